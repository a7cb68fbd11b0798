"""Plausible wrong answers of chapter 2, second part, each with words that its hint must contain."""

import torch
import torch.nn.functional as F
from torch import nn


def _counts(shape, kind, groups=1, **wrong):
    b, c, h, w = shape
    return {"batch": c, "layer": b, "pixel": b * h * w, "instance": b * c, "group": b * groups, **wrong}[kind]


def _sharing(shape, kind, groups=1):
    b, c, h, w = shape
    return b * c * h * w // _counts(shape, kind, groups)


def _remember(mean, var, x, m, *, unbiased=True, root=lambda v: v, flip=False):
    m = 1 - m if flip else m
    return (1 - m) * mean + m * x.mean((0, 2, 3)), (1 - m) * var + m * root(x.var((0, 2, 3), unbiased=unbiased))


def _in_place(mean, var, x, m):
    return mean.mul_(1 - m).add_(m * x.mean((0, 2, 3))), (1 - m) * var + m * x.var((0, 2, 3))


def _group(x, groups, gamma, beta, *, unbiased=False, power=0.5, affine=True):
    parts = x.reshape(len(x), groups, -1)
    n = (parts - parts.mean(-1, keepdim=True)) / (parts.var(-1, unbiased=unbiased, keepdim=True) + 1e-5) ** power
    n = n.reshape(x.shape)
    return n * gamma[:, None, None] + beta[:, None, None] if affine else n


def _strided(x, groups, gamma, beta):
    b, c, h, w = x.shape
    n = F.group_norm(x.reshape(b, c // groups, groups, h, w).transpose(1, 2).reshape(x.shape), groups)
    n = n.reshape(b, groups, c // groups, h, w).transpose(1, 2).reshape(x.shape)
    return n * gamma[:, None, None] + beta[:, None, None]


def _backward(x, g, *, mean=True, along=True, divide=True):
    std = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    n = (x - x.mean(-1, keepdim=True)) / std
    out = g - mean * g.mean(-1, keepdim=True) - along * n * (g * n).mean(-1, keepdim=True)
    return out / std if divide else out


def _fold(bn, linear, *, power=0.5, rows=False, mean=True, old=True, twice=False):
    scale = bn.weight / (bn.running_var + bn.eps) ** power
    shift = bn.bias - mean * scale * bn.running_mean
    weight = linear.weight * (scale[:, None] if rows and len(scale) == len(linear.weight) else scale)
    return weight, old * linear.bias + (weight if twice else linear.weight) @ shift


def _dropout(x, p, training, *, keep=False, scale=None, evaluation=1.0):
    if not training:
        return x * evaluation if evaluation == 1.0 else x * (1 - p)
    mask = torch.rand_like(x) < p if keep else torch.rand_like(x) >= p
    return x * mask * (scale(p) if scale else 1 / (1 - p) if p < 1 else 1.0)


def _frozen(model, kinds=(nn.BatchNorm1d, nn.BatchNorm2d), modules=lambda m: m.modules(), act=lambda m: m.eval()):
    model.train()
    for module in modules(model):
        if isinstance(module, kinds):
            act(module)
    return model


def _reset(module):
    module.reset_running_stats()
    module.eval()


NEAR_MISSES = {
    "normalization.count_means": [
        (_sharing, "share a mean"),
        (lambda shape, kind, groups=1: _counts(shape, kind, groups, layer=shape[0] * shape[2] * shape[3]), "One per pixel is 'pixel'"),
        (lambda shape, kind, groups=1: _counts(shape, kind, groups, group=groups), "b times groups"),
        (lambda shape, kind, groups=1: _counts(shape, kind, groups, instance=shape[1]), "not shared"),
    ],
    "normalization.remember": [
        (lambda *a: _remember(*a, unbiased=False), "n - 1"),
        (lambda *a: _remember(*a, flip=True), "weighs the new batch"),
        (lambda *a: _remember(*a, root=torch.sqrt), "standard deviations"),
        (lambda mean, var, x, m: (x.mean((0, 2, 3)), x.var((0, 2, 3))), "alone"),
        (_in_place, "in place"),
        (lambda *a: _remember(*a)[0], "pair"),
    ],
    "normalization.group_norm": [
        (lambda *a: _group(*a, affine=False), "gamma and beta are missing"),
        (lambda *a: _group(*a, unbiased=True), "biased"),
        (lambda *a: _group(*a, power=1), "square root"),
        (_strided, "neighbouring channels"),
        (lambda x, g, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True), "BatchNorm"),
        (lambda x, g, gamma, beta: F.group_norm(x, 1, gamma, beta), "one group for all"),
    ],
    "normalization.layer_norm_2d": [
        (lambda x: F.layer_norm(x, x.shape[1:]), "per pixel"),
        (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]), "permute back"),
        (lambda x: F.instance_norm(x), "InstanceNorm"),
        (lambda x: F.layer_norm(x.reshape(len(x), *x.shape[2:], x.shape[1]), x.shape[1:2]).reshape(x.shape), "scrambles"),
        (lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt(), "biased"),
        (lambda x: F.layer_norm(x, x.shape[1:2]), "normalized_shape"),
    ],
    "normalization.backward": [
        (lambda x, g: _backward(x, g, mean=False, along=False), "constants"),
        (lambda x, g: _backward(x, g, along=False), "along n"),
        (lambda x, g: _backward(x, g, mean=False), "mean of the gradient"),
        (lambda x, g: _backward(x, g, divide=False), "divide by the standard deviation"),
    ],
    "normalization.fold_before": [
        (lambda bn, linear: (_fold(bn, linear)[0], linear.bias), "passes through the weight"),
        (lambda *a: _fold(*a, power=1), "square root"),
        (lambda *a: _fold(*a, mean=False), "running mean"),
        (lambda *a: _fold(*a, old=False), "is lost"),
        (lambda *a: _fold(*a, twice=True), "scaled twice"),
        (lambda *a: _fold(*a, rows=True), "rows"),
    ],
    "normalization.dropout": [
        (lambda x, p, training: _dropout(x, p, training, keep=True), "probability of dropping"),
        (lambda x, p, training: _dropout(x, p, training, scale=lambda p: 1.0), "1 / (1 - p)"),
        (lambda x, p, training: _dropout(x, p, training, scale=lambda p: 1 / p if p else 1.0), "divided by p"),
        (lambda x, p, training: _dropout(x, p, training, evaluation=0.0), "nothing is scaled"),
        (lambda x, p, training: _dropout(x, p, True), "Outside of training"),
        (lambda x, p, training: x * (torch.rand(len(x), 1) >= p) / (1 - p) if training else x, "together"),
        (lambda x, p, training: x * (torch.rand_like(x) >= p) / (1 - p) if training else x, "p = 1"),
    ],
    "normalization.freeze_statistics": [
        (lambda model: model.eval(), "Dropout is off"),
        (lambda model: model.train().requires_grad_(False), "BatchNorms into eval()"),
        (lambda model: _frozen(model, nn.BatchNorm2d), "nested modules"),
        (lambda model: _frozen(model, act=lambda m: setattr(m, "momentum", 0.0)), "does not use it"),
        (lambda model: _frozen(model, act=lambda m: m.eval().requires_grad_(False)), "no gradient"),
        (lambda model: _frozen(model, act=_reset), "lost"),
    ],
}
