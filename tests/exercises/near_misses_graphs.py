"""Plausible wrong answers to the exercises of chapter 5c, each with a piece of the hint that must name the mistake."""

import torch
import torch.nn.functional as F


def _first(answer, start):
    return torch.full_like(answer[:, :1], start)


def _loops(a):
    return a + torch.eye(len(a))


def _in_place(a):
    a += torch.eye(len(a))
    scale = a.sum(1).rsqrt()
    return scale[:, None] * a * scale


def _count(d, heads, ff):
    return 4 * d * d + 4 * d + 2 * d * ff + ff + d + 4 * d


def _apart(h, w):
    i = torch.arange(h * w)
    return (i[:, None] // w - i // w).abs(), (i[:, None] % w - i % w).abs()


def _numbers(h, w):
    i = torch.arange(h * w)
    gap = (i[:, None] - i).abs()
    return ((gap == 1) | (gap == w)).float()


def _quadratic(q, k, v):
    w = (F.elu(q) + 1) @ (F.elu(k) + 1).T
    return w / w.sum(-1, keepdim=True) @ v


def _phi(q, k, v):
    w = q @ k.T
    return w / w.sum(-1, keepdim=True) @ v


def _spread(a, labels, known, steps, degree=True, back=True):
    share = labels
    for _ in range(steps):
        share = a @ share / (a.sum(1, keepdim=True) if degree else 1)
        share = torch.where(known[:, None], labels, share) if back else share
    return share


NEAR_MISSES = {
    "graphs.shift_right": [
        (lambda answer, start: torch.cat([_first(answer, start), answer], 1), "too long"),
        (lambda answer, start: torch.cat([answer[:, 1:], _first(answer, start)], 1), "moved left"),
        (lambda answer, start: answer.roll(1, 1), "roll"),
        (lambda answer, start: answer, "Nothing moved"),
        (lambda answer, start: torch.cat([_first(answer, start), answer[:, 1:]], 1), "overwrote"),
    ],
    "graphs.block_parameters": [
        (lambda d, heads, ff: _count(d, heads, ff) - 4 * d, "two norms"),
        (lambda d, heads, ff: 4 * d * d + 2 * d * ff, "biases"),
        (lambda d, heads, ff: _count(d, heads, ff) + (heads - 1) * (4 * d * d + 4 * d), "More heads"),
        (lambda d, heads, ff: _count(d, heads, ff) - d * d - d, "four maps"),
        (lambda d, heads, ff: 0, "expected"),
    ],
    "graphs.normalize": [
        (lambda a: a / (a.sum(1)[:, None] * a.sum(1)).sqrt(), "self-loops"),
        (lambda a: _loops(a) / _loops(a).sum(1, keepdim=True), "one degree"),
        (lambda a: _loops(a) / (_loops(a).sum(1)[:, None] * _loops(a).sum(1)), "roots"),
        (lambda a: _loops(a) / (a.sum(1)[:, None] * a.sum(1)).sqrt(), "count the self-loop"),
        (lambda a: a.softmax(-1), "softmax"),
        (_in_place, "in place"),
    ],
    "graphs.neighbour_weights": [
        (lambda s, a: s.softmax(-1), "did not use"),
        (lambda s, a: s.softmax(-1) * _loops(a), "after the softmax"),
        (lambda s, a: (s * _loops(a)).softmax(-1), "closed door"),
        (lambda s, a: s.masked_fill(a == 0, float("-inf")).softmax(-1), "own neighbourhood"),
        (lambda s, a: s.masked_fill(_loops(a) == 0, float("-inf")).softmax(0), "wrong axis"),
        (lambda s, a: s.masked_fill(_loops(a) == 0, -20.0).softmax(-1), "exactly zero"),
    ],
    "graphs.pair_scores": [
        (lambda h, a: (h @ a[:h.shape[1]])[:, None] + h @ a[h.shape[1]:], "missing"),
        (lambda h, a: F.leaky_relu((h @ a[h.shape[1]:])[:, None] + h @ a[:h.shape[1]], 0.2), "Transposed"),
        (lambda h, a: F.leaky_relu((h @ a[:h.shape[1]])[:, None] + h @ a[h.shape[1]:]), "default slope"),
        (lambda h, a: F.leaky_relu(h @ a[:h.shape[1]], 0.2)[:, None] + F.leaky_relu(h @ a[h.shape[1]:], 0.2), "after the sum"),
    ],
    "graphs.grid": [
        (lambda h, w: (sum(_apart(h, w)) <= 1).float(), "loops"),
        (lambda h, w: (torch.maximum(*_apart(h, w)) == 1).float(), "eight"),
        (_numbers, "token numbers"),
        (lambda h, w: sum(_apart(h, w)) == 1, "floats"),
    ],
    "graphs.linear_attention": [
        (lambda q, k, v: (F.elu(q) + 1) @ ((F.elu(k) + 1).T @ v), "not normalised"),
        (lambda q, k, v: (q @ k.T * q.shape[1]**-0.5).softmax(-1) @ v, "softmax attention"),
        (_phi, "negative"),
        (_quadratic, "n x n"),
    ],
    "graphs.propagate": [
        (lambda a, labels, known, steps: _spread(a, labels, known, steps, back=False), "washed out"),
        (lambda a, labels, known, steps: _spread(a, labels, known, steps, degree=False), "summed"),
        (lambda a, labels, known, steps: torch.where(known[:, None], labels, _spread(a, labels, known, steps, back=False)),
         "only at the end"),
        (lambda a, labels, known, steps: _spread(a, labels, known, 1), "one step"),
    ],
}
