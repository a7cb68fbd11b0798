"""Plausible wrong answers of chapter 2, first part, each with words that its hint must contain."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


def _field(layers, *, first=False, dilated=True, start=1):
    size, jump = start, 1
    for k, s, d in layers:
        if first:
            jump *= s
        size += (d if dilated else 1) * (k - 1) * jump
        if not first:
            jump *= s
    return size, jump


def _cost(cin, cout, k, g, h, w, *, grouped=True, bias=True, factor=1):
    weights = cout * cin * k * k // (g if grouped else 1)
    return weights + (cout if bias else 0), factor * weights * h * w


def _same(n, k, s, d, *, swap=False, stride=True, clamp=True):
    s = s if stride else 1
    total = (-(-n // s) - 1) * s + d * (k - 1) + 1 - n
    total = max(total, 0) if clamp else total
    pair = total // 2, total - total // 2
    return pair[::-1] if swap else pair


def _equivariant(f, c, h, w, *, axes=(2, 3), step=1, exact=False, inner=0):
    x = torch.randn(1, c, h, w, dtype=torch.float64)
    for axis in axes:
        a, b = f(x.roll(step, axis)), f(x).roll(step, axis)
        if inner:
            a, b = (t[..., inner:-inner, inner:-inner] for t in (a, b))
        if not (torch.equal(a, b) if exact else torch.allclose(a, b)):
            return False
    return True


NEAR_MISSES = {
    "cnn.output_size": [
        (lambda n, k, s, p, d: (n + 2 * p - k) // s + 1, "dilation"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s, "+ 1"),
        (lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1, "down"),
        (lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1, "both sides"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1, "//"),
    ],
    "cnn.cost": [
        (lambda *a: _cost(*a, bias=False), "bias"),
        (lambda *a: _cost(*a, grouped=False), "groups"),
        (lambda *a: _cost(*a, factor=2), "operations"),
        (lambda i, o, k, g, h, w: (o * i * k * k // g + o,) * 2, "multiply-adds"),
    ],
    "cnn.conv2d": [
        (lambda x, weight, s: F.conv2d(x, weight.flip(-2, -1), stride=s), "turned"),
        (lambda x, weight, s: F.conv2d(x, weight), "stride"),
        (lambda x, weight, s: F.conv2d(x, weight, stride=s)[:, None], "axis"),
        (lambda x, weight, s: F.conv2d(x, weight, stride=s, padding=1), "shape"),
        (lambda x, weight, s: F.conv2d(x.mul_(1.5), weight, stride=s), "in place"),
    ],
    "cnn.same_padding": [
        (lambda *a: _same(*a, swap=True), "behind"),
        (lambda *a: _same(*a, stride=False), "stride 1"),
        (lambda *a: _same(*a, clamp=False), "negative"),
        (lambda n, k, s, d: (_same(n, k, s, d)[0], _same(n, k, s, d)[1] + (s > 1)), "fewest"),
    ],
    "cnn.receptive_field": [
        (lambda layers: _field(layers, first=True), "after adding"),
        (lambda layers: _field(layers, dilated=False), "dilation"),
        (lambda layers: (sum(k for k, _, _ in layers), 1), "added the kernels"),
        (lambda layers: _field(layers, start=0), "begin with"),
        (lambda layers: (_field(layers)[0], 1), "product of all strides"),
    ],
    "cnn.merge": [
        (lambda d, p: p.transpose(0, 1) * d, "exchanged"),
        (lambda d, p: (p * d.transpose(0, 1)).sum(1, keepdim=True), "summed"),
        (lambda d, p: p * d if p.shape[0] == p.shape[1] else p * d.transpose(0, 1), "input channel"),
        (lambda d, p: p.transpose(0, 1) * d.transpose(0, 1) if p.shape[0] == p.shape[1] else p * d.transpose(0, 1), "transposed"),
    ],
    "cnn.unshuffle": [
        (lambda x, g: nn.ChannelShuffle(g)(x), "once more"),
        (lambda x, g: x, "has not changed"),
        (lambda x, g: rearrange(x, "b (c g) h w -> b (g c) h w", g=g).flip(1), "values are not"),
    ],
    "cnn.clips": [
        (lambda v: v.reshape(2, 3, 4, 5, 6).float() / 255, "reshape"),
        (lambda v: v.permute(0, 4, 1, 2, 3).float(), "255"),
        (lambda v: v.permute(0, 1, 4, 2, 3).float() / 255, "exchanged"),
        (lambda v: v.permute(0, 4, 1, 2, 3), "integers"),
        (lambda v: v.permute(0, 4, 1, 3, 2).float() / 255, "Height and width"),
    ],
    "cnn.equivariant": [
        (lambda *a: _equivariant(*a, axes=(2,)), "both axes"),
        (lambda *a: _equivariant(*a, axes=(3,)), "both axes"),
        (lambda *a: _equivariant(*a, step=2), "shift by one"),
        (lambda *a: _equivariant(*a, inner=2), "border"),
        (lambda *a: True, "zero padding"),
        (lambda *a: False, "allclose"),
        (lambda f, c, h, w: 1.0, "True or False"),
    ],
}
