"""Plausible wrong answers to the exercises of chapter 5b, each with a piece of the hint that must name the mistake."""

import torch
import torch.nn.functional as F


def _in_place(x):
    value, gate = x.chunk(2, dim=1)
    value *= torch.sigmoid(gate)
    return value


def _eca(x, kernel, pad="constant", flip=False):
    k = len(kernel)
    z = F.pad(x.mean((2, 3))[:, None], (k // 2, k // 2), mode=pad)
    kernel = kernel.flip(0) if flip else kernel
    return F.conv1d(z, kernel[None, None])[:, 0]


def _channels(q, k, v, scores):
    q, k, v_ = q.flatten(2), k.flatten(2), v.flatten(2)
    return (scores(q, k) @ v_).view_as(v)


def _unit(m, dim=-1):
    return F.normalize(m, dim=dim)


def _dear(x, y, weight, bias, mode="bilinear"):
    return F.conv2d(torch.cat([x, F.interpolate(y, scale_factor=4, mode=mode)], 1), weight[:, :, None, None], bias)


def _split(x, y, weight, bias_x, bias_y, mode="bilinear"):
    c = x.shape[1]
    y = F.conv2d(y, weight[:, c:, None, None], bias_y)
    return F.conv2d(x, weight[:, :c, None, None], bias_x) + F.interpolate(y, scale_factor=4, mode=mode)


NEAR_MISSES = {
    "channels.glu": [
        (lambda x: F.glu(x, dim=-1), "another axis"),
        (lambda x: F.glu(x.roll(x.shape[1] // 2, 1), dim=1), "first half as gates"),
        (lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1], "no sigmoid"),
        (_in_place, "in place"),
    ],
    "channels.se_gates": [
        (lambda x, w1, w2: F.relu(x.mean((2, 3)) @ w1.T) @ w2.T, "sigmoid"),
        (lambda x, w1, w2: torch.sigmoid(x.mean((2, 3)) @ w1.T @ w2.T), "ReLU"),
        (lambda x, w1, w2: (F.relu(x.mean((2, 3)) @ w1.T) @ w2.T).softmax(-1), "compete"),
        (lambda x, w1, w2: torch.sigmoid(F.relu(x.amax((2, 3)) @ w1.T) @ w2.T), "maximum"),
        (lambda x, w1, w2: torch.sigmoid(F.relu(x.sum((2, 3)) @ w1.T) @ w2.T), "sum"),
    ],
    "channels.eca": [
        (lambda x, kernel: torch.sigmoid(_eca(x, kernel)), "Multiply the map"),
        (lambda x, kernel: x * _eca(x, kernel)[:, :, None, None], "sigmoid"),
        (lambda x, kernel: x * torch.sigmoid(_eca(x, kernel, flip=True))[:, :, None, None], "flipped"),
        (lambda x, kernel: x * torch.sigmoid(_eca(x, kernel, pad="circular"))[:, :, None, None], "ring"),
    ],
    "channels.summaries": [
        (lambda x: torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1), "other way round"),
        (lambda x: torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1), "over space"),
        (lambda x: torch.stack([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1), "cat"),
    ],
    "channels.transposed": [
        (lambda q, k, v, t: _channels(q, k, v, lambda q, k: (_unit(q) @ _unit(k).mT * t).softmax(-2)), "last axis"),
        (lambda q, k, v, t: _channels(q, k, v, lambda q, k: (q @ k.mT * t).softmax(-1)), "length 1"),
        (lambda q, k, v, t: _channels(q, k, v, lambda q, k: (_unit(q, 1) @ _unit(k, 1).mT * t).softmax(-1)), "over its pixels"),
        (lambda q, k, v, t: _channels(q, k, v, lambda q, k: (_unit(q) @ _unit(k).mT / t).softmax(-1)), "multiplies"),
        (lambda q, k, v, t: ((q.flatten(2).mT @ k.flatten(2) * t).softmax(-1) @ v.flatten(2).mT).mT.view_as(v), "c × c"),
    ],
    "channels.mixup": [
        (lambda x, y, s: x + y + s.sigmoid().sigmoid() * x + (1 - s.sigmoid().sigmoid()) * y, "Two sigmoids"),
        (lambda x, y, s: x + y + s * x + (1 - s) * y, "scores as shares"),
        (lambda x, y, s: x + y + s.sigmoid() * y + (1 - s.sigmoid()) * x, "exchanged"),
        (lambda x, y, s: s.sigmoid() * x + (1 - s.sigmoid()) * y, "left out the sum"),
    ],
    "channels.cheaper": [
        (_dear, "operations"),
        (lambda x, y, weight, bias: _split(x, y, weight, bias, bias), "twice"),
        (lambda x, y, weight, bias: _split(x, y, weight, None, None), "bias is missing"),
        (lambda x, y, weight, bias: _split(x, y, weight, bias, None, mode="nearest"), "nearest"),
    ],
}
