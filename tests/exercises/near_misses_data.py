"""Plausible wrong answers of chapter 9, each with words that its hint must contain."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def _tensor(picture, *, order=lambda x: x.movedim(-1, 0), scale=255.0, dtype=torch.float32):
    return order(torch.from_numpy(np.array(picture))).to(dtype) / scale


def _crop(image, mask, size, *, more=1, twice=False, fixed=False, diagonal=False):
    h, w = mask.shape
    draw = (lambda n: 0) if fixed else (lambda n: torch.randint(0, n - size + more, ()).item())
    top, left = draw(h), draw(w)
    left = top if diagonal else left
    there = (draw(h), draw(w)) if twice else (top, left)
    return image[:, top:top + size, left:left + size], mask[there[0]:there[0] + size, there[1]:there[1] + size]


def _mask(mask, size, *, mode="nearest-exact", to=torch.int64, extra=False):
    out = F.interpolate(mask[None, None].double(), size, mode=mode)
    return (out if extra else out[0, 0]).round().to(to)


def _pad(images, *, valid="sizes"):
    H, W = (max(x.shape[a] for x in images) for a in (1, 2))
    batch = torch.stack([F.pad(x, (0, W - x.shape[2], 0, H - x.shape[1])) for x in images])
    real = torch.stack([F.pad(torch.ones(x.shape[1:]), (0, W - x.shape[2], 0, H - x.shape[1])) for x in images]) > 0
    return batch, {"values": (batch != 0).any(1), "channels": real[:, None].expand_as(batch), "inverted": ~real,
                   "floats": real.float()}[valid]


def _stats(x, mean, std):
    return torch.tensor(mean, dtype=x.dtype)[:, None, None], torch.tensor(std, dtype=x.dtype)[:, None, None]


def _seeded(key):
    return torch.rand(3, generator=torch.Generator().manual_seed(key))


def _global(seed, epoch, index):
    torch.manual_seed(seed * 10**8 + epoch * 10**5 + index)
    return torch.rand(3)


NEAR_MISSES = {
    "data.batches": [(lambda n, b, d: n / b, "Round it"), (lambda n, b, d: n // b, "a batch of its own"),
                     (lambda n, b, d: -(-n // b), "left out"), (lambda n, b, d: n // b if d else n // b + 1, "one too many")],
    "data.to_tensor": [(lambda p: _tensor(p, order=lambda x: x), "channels are still last"),
                       (lambda p: _tensor(p, order=lambda x: x.reshape(3, *x.shape[:2])), "scrambled"),
                       (lambda p: _tensor(p, scale=1), "divide by 255"), (lambda p: _tensor(p, dtype=torch.float64), "float32"),
                       (lambda p: _tensor(p, order=lambda x: x.permute(2, 1, 0)), "exchanged"), (lambda p: np.array(p), "a tensor")],
    "data.paired_crop": [(lambda i, m, s: _crop(i, m, s, twice=True), "draw the place once"),
                         (lambda i, m, s: _crop(i, m, s, more=0), "last place is never taken"),
                         (lambda i, m, s: _crop(i, m, s, fixed=True), "one and the same place"),
                         (lambda i, m, s: _crop(i, m, s, diagonal=True), "a random number each"),
                         (lambda i, m, s: (i[:, :s], m[:s]), "slice the last two axes")],
    "data.resize_mask": [(lambda m, s: _mask(m, s, mode="bilinear"), "never there"), (lambda m, s: _mask(m, s, mode="nearest"), "shifts"),
                         (lambda m, s: _mask(m, s, to=torch.float32), "return int64"), (lambda m, s: _mask(m, s, extra=True), "extra axes"),
                         (lambda m, s: _mask(m, s, to=torch.int32), "Expected int64")],
    "data.undo": [(lambda x, m, s: x * torch.tensor(s).double() + torch.tensor(m).double(), "last axis"),
                  (lambda x, m, s: (x + _stats(x, m, s)[0]) * _stats(x, m, s)[1], "order is wrong"),
                  (lambda x, m, s: (x - _stats(x, m, s)[0]) / _stats(x, m, s)[1], "once more")],
    "data.pad_batch": [(lambda i: _pad(i, valid="values"), "black pixel is a real pixel"),
                       (lambda i: _pad(i, valid="channels"), "one answer per pixel"), (lambda i: _pad(i, valid="inverted"), "inverted"),
                       (lambda i: _pad(i, valid="floats"), "booleans"), (lambda i: _pad(i, valid="values")[0], "Expected a pair")],
    "data.shard": [(lambda x, w, n: x, "Every worker yields everything"),
                   (lambda x, w, n: x[w * (len(x) // n):(w + 1) * (len(x) // n)], "come never"),
                   (lambda x, w, n: x[w * -(-len(x) // n):(w + 1) * -(-len(x) // n)], "differ by one"),
                   (lambda x, w, n: x[w:], "come twice")],
    "data.workers": [(lambda ms, b, s: ms * b / s, "Round up"), (lambda ms, b, s: max(1, ms * b // s), "still waits"),
                     (lambda ms, b, s: math.ceil(ms * b / s) if ms * b >= 2 else 0, "At least one"),
                     (lambda ms, b, s: max(1, math.ceil(ms / s)), "whole batches"),
                     (lambda ms, b, s: math.ceil((ms * b + s) / s), "Leave it out"),
                     (lambda ms, b, s: math.floor(ms * b / s) + 1, "just enough")],
    "data.fair_weights": [(lambda y: [1.0] * len(y), "divide by the size"), (lambda y: [y.count(k) for k in y], "made it worse"),
                          (lambda y: [1 / y.count(k) for k in sorted(set(y))], "one for each sample"),
                          (lambda y: [y.count(k) ** -0.5 for k in y], "must be equal")],
    "data.sample_numbers": [(_global, "global generator has moved"), (lambda s, e, i: _seeded(s + e + i), "no key"),
                            (lambda s, e, i: _seeded(s * 10**6 + i), "all three"),
                            (lambda s, e, i: torch.from_numpy(np.random.default_rng([s, e, i]).random(3)), "expected float32"),
                            (lambda s, e, i: torch.tensor([s, e, i]) / 1200, "mean 0.5")],
}
