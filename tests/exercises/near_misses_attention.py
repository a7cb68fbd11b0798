"""Plausible wrong answers to the exercises of chapter 5, each with a piece of the hint that must name the mistake."""

import math

import torch


def _entropy(p):
    return -(p * p.clamp_min(1e-30).log()).sum().item()


def _bisect(measure, target, low=1e-3, high=1e3):
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if measure(middle) < target else (low, middle)
    return middle


def _in_place_scores(q, k):
    q /= math.sqrt(q.shape[-1])
    return q @ k.transpose(-2, -1)


def _in_place_lookup(query, keys, values, sharpness):
    query *= sharpness
    return (keys @ query).softmax(0) @ values


def _positions(h, w):
    index = torch.arange(h * w)
    return index // w, index % w


def _chebyshev(h, w):
    row, column = _positions(h, w)
    return torch.maximum((row[:, None] - row).abs(), (column[:, None] - column).abs())


def _diamond(h, w, radius):
    row, column = _positions(h, w)
    return (row[:, None] - row).abs() + (column[:, None] - column).abs() <= radius


def _swapped_sides(h, w, radius):
    index = torch.arange(h * w)
    return torch.maximum((index[:, None] // h - index // h).abs(), (index[:, None] % h - index % h).abs()) <= radius


def _angles(n, d, start=0, step=2):
    position = torch.arange(start, n + start)[:, None]
    return position / 10000 ** (torch.arange(d // 2) * step / d)


def _interleave(even, odd):
    return torch.stack([even, odd], -1).flatten(1)


def _product(matrices):
    total = torch.eye(matrices[0].shape[-1])
    for matrix in matrices:
        total = matrix @ total
    return total


def _mixed(weights):
    return [(layer.mean(0) + torch.eye(layer.shape[-1])) / 2 for layer in weights]


def _shapes(**changes):
    def answer(b, n, m, heads, d):
        right = {"q": (b, heads, n, d), "k": (b, heads, m, d), "weights": (b, heads, n, m), "out": (b, n, heads * d)}
        return right | {name: change(b, n, m, heads, d) for name, change in changes.items()}
    return answer


NEAR_MISSES = {
    "attention.soft_lookup": [
        (lambda query, keys, values, sharpness: (sharpness * (keys @ query)) @ values, "raw scores"),
        (lambda query, keys, values, sharpness: values[(keys @ query).argmax()], "hard look-up"),
        (lambda query, keys, values, sharpness: (keys @ query).softmax(0) @ values, "ignores sharpness"),
        (lambda query, keys, values, sharpness: (keys @ query / sharpness).softmax(0) @ values, "divided by sharpness"),
        (_in_place_lookup, "in place"),
    ],
    "attention.scaled_scores": [
        (lambda q, k: q @ k.transpose(-2, -1), "did not scale"),
        (lambda q, k: q @ k.transpose(-2, -1) / math.sqrt(q.shape[1] * q.shape[-1]), "embedding width"),
        (lambda q, k: q @ k.transpose(-2, -1) / q.shape[-1], "divided by d"),
        (lambda q, k: q @ k.transpose(-2, -1) / math.sqrt(k.shape[-2]), "number of tokens"),
        (_in_place_scores, "in place"),
    ],
    "attention.causal": [
        (lambda n: torch.ones(n, n).triu().bool(), "transposed"),
        (lambda n: torch.ones(n, n).tril(-1).bool(), "diagonal"),
        (lambda n: torch.ones(n, n).triu(1).bool(), "inverted"),
        (lambda n: torch.ones(n, n).tril(), "boolean"),
    ],
    "attention.split_heads": [
        (lambda x, heads: x.reshape(x.shape[0], heads, x.shape[1], -1), "mixes tokens"),
        (lambda x, heads: x.reshape(x.shape[0], x.shape[1], -1, heads).permute(0, 3, 1, 2), "(d heads)"),
        (lambda x, heads: x.reshape(x.shape[0], x.shape[1], heads, -1), "before the token axis"),
    ],
    "attention.cross_shapes": [
        (_shapes(weights=lambda b, n, m, heads, d: (b, heads, m, n)), "keys as rows"),
        (_shapes(weights=lambda b, n, m, heads, d: (b, n, m)), "head axis"),
        (_shapes(out=lambda b, n, m, heads, d: (b, m, heads * d)), "one token per query"),
        (_shapes(k=lambda b, n, m, heads, d: (b, heads, n, d)), "'k'"),
        (_shapes(out=lambda b, n, m, heads, d: n), "tuple of numbers"),
    ],
    "attention.sinusoid": [
        (lambda n, d: torch.cat([_angles(n, d).sin(), _angles(n, d).cos()], -1), "another order"),
        (lambda n, d: _interleave(_angles(n, d, start=1).sin(), _angles(n, d, start=1).cos()), "start at 1"),
        (lambda n, d: _interleave(_angles(n, d, step=1).sin(), _angles(n, d, step=1).cos()), "exponent"),
        (lambda n, d: _interleave(_angles(n, d).cos(), _angles(n, d).sin()), "changed places"),
    ],
    "attention.score_bytes": [
        (lambda batch, heads, tokens, size: batch * heads * tokens * size, "tokens squared"),
        (lambda batch, heads, tokens, size: batch * tokens**2 * size, "multiply by heads"),
        (lambda batch, heads, tokens, size: batch * heads * tokens**2, "bytes of each"),
        (lambda batch, heads, tokens, size: batch * heads * tokens**2 * size * 8, "Bits and bytes"),
        (lambda batch, heads, tokens, size: batch * heads * tokens**2 * size / 2**30, "GiB"),
    ],
    "attention.local_mask": [
        (lambda h, w, radius: (torch.arange(h * w)[:, None] - torch.arange(h * w)).abs() <= radius, "token numbers"),
        (_diamond, "diamond"),
        (_swapped_sides, "exchanged h and w"),
        (lambda h, w, radius: _chebyshev(h, w) < radius, "too small"),
        (lambda h, w, radius: _chebyshev(h, w) > radius, "inverted"),
    ],
    "attention.rollout": [
        (lambda weights: _product([layer.mean(0) for layer in weights]), "skip connection"),
        (lambda weights: _product(_mixed(weights)[::-1]), "reversed"),
        (lambda weights: _product([2 * layer for layer in _mixed(weights)]), "did not normalise"),
        (lambda weights: weights[-1].mean(0), "last layer alone"),
    ],
    "attention.temperature": [
        (lambda logits, target: 1 / _bisect(lambda t: _entropy((logits / t).softmax(0)), target), "inverse"),
        (lambda logits, target: _bisect(lambda t: _entropy((logits / t).softmax(0)) / math.log(2), target), "in bits"),
        (lambda logits, target: _bisect(lambda t: _entropy((logits / t).softmax(0)) / math.log(len(logits)), target),
         "by log n"),
        (lambda logits, target: 1.0, "entropy is"),
    ],
}
