"""Wrong answers of chapter 3c (module stitching), each with words that its hint must hold."""

import math

import torch


def _combine(add=lambda f, m, x: f(x) + m(f(x)), nest=lambda f, m, x: m(f(x)), parallel=lambda f, m, x: f(x) + m(x),
             replace=lambda f, m, x: m(x)):
    return lambda f, m, x, how: {"add": add, "nest": nest, "parallel": parallel, "replace": replace}[how](f, m, x)


def _once(f, m, x):
    y = f(x)
    return y + m(y)


def _wasteful(f, m, x):
    f(x)
    return m(x)


def _strips(x, first=3, second=2, how=torch.mean):
    return torch.cat([how(x, first), how(x, second)], 2)[..., None]


def _side(budget, cells, more=0):
    s = 0
    while cells * (s + 1) ** 4 <= budget:
        s += 1
    return s + more


def _paired(error, sign=1.0):
    def answer(a, b):
        a, b = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
        return sign * (a - b).mean().item(), float(error(a, b))
    return answer


NEAR_MISSES = {
    "stitching.combine": [
        (_combine(), "once each is enough"),
        (_combine(add=_once, nest=lambda f, m, x: f(m(x))), "f(m(x))"),
        (_combine(add=_once, parallel=_once), "what 'add' should give"),
        (_combine(add=lambda f, m, x: x + m(f(x))), "not to x"),
        (_combine(add=_once, replace=_wasteful), "do not call it"),
        (lambda f, m, x, how: 3.0, "Expected a tensor"),
    ],
    "stitching.blend": [
        (lambda y, m, g: g * m(y), "zeros"),
        (lambda y, m, g: y + g * m(y), "m(y) alone"),
        (lambda y, m, g: g * y + (1 - g) * m(y), "exchanged"),
        (lambda y, m, g: y + g * g * (m(y) - y), "straight line"),
    ],
    "stitching.strips": [
        (lambda x: _strips(x)[..., 0], "axis of size 1 is missing"),
        (lambda x: _strips(x).mT, "along the last axis"),
        (lambda x: _strips(x, 2, 3), "Rows come first"),
        (lambda x: _strips(x, how=torch.amax), "maximum"),
        (lambda x: _strips(x, how=torch.sum), "sum"),
        (lambda x: x.mean((2, 3), keepdim=True), "Expected the shape"),
    ],
    "stitching.recover": [
        (lambda x, y, z: (z - x - 2 * y) / (x - y), "not finite"),
        (lambda x, y, z: (z - x - 2 * y) / torch.where(x == y, 1.0, x - y), "return 0.5"),
        (lambda x, y, z: 1 - (z - x - 2 * y) / torch.where(x == y, 1.0, x - y), "1 - w"),
        (lambda x, y, z: (z - y) / torch.where(x == y, 1.0, x - y), "left out"),
        (lambda x, y, z: z, "Solve"),
    ],
    "stitching.window_bytes": [
        (lambda b, k, h, w, m, s: b * k * (h * w) ** 2 * s, "all pairs"),
        (lambda b, k, h, w, m, s: b * k * m**4 * s, "one window"),
        (lambda b, k, h, w, m, s: 2 * b * k * h * w * m * m * s, "twice"),
        (lambda b, k, h, w, m, s: b * k * h * w * m * s, "not m"),
        (lambda b, k, h, w, m, s: b * k * h * w * m * m, "bytes of each"),
    ],
    "stitching.largest_side": [
        (lambda budget, b, k: _side(budget, 4 * b * k), "one table"),
        (lambda budget, b, k: _side(budget, 2 * b * k), "four bytes"),
        (lambda budget, b, k: math.isqrt(budget // (8 * b * k)), "number of tokens"),
        (lambda budget, b, k: _side(budget, 8 * b * k, 1), "round down"),
        (lambda budget, b, k: (budget / (8 * b * k)) ** 0.25, "whole number"),
    ],
    "stitching.paired": [
        (_paired(lambda a, b: (a - b).std()), "√n"),
        (_paired(lambda a, b: (a - b).std(unbiased=False) / 5**0.5), "n - 1"),
        (_paired(lambda a, b: ((a.var() + b.var()) / 5) ** 0.5), "unrelated"),
        (_paired(lambda a, b: (a - b).std() / 5**0.5, -1.0), "sign"),
        (lambda a, b: 0.1, "two numbers"),
    ],
}
