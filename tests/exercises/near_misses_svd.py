"""Plausible wrong answers of chapter 8, each with words that its hint must contain."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def _parts(x):
    return torch.linalg.svd(x, full_matrices=False)


def _rank(x, tolerance, *, power=2, root=True, shift=0, strict=False):
    values = torch.linalg.svdvals(x) ** power
    k = 1
    while True:
        error = values[k + shift:].sum() / values.sum()
        error = error.sqrt() if root else error
        if error < tolerance if strict else error <= tolerance:
            return k
        k += 1


def _thin(layer, r, *, values=True, bias="second", swap=False, wide=False):
    U, s, Vh = _parts(layer.weight.detach())
    if wide:
        r = len(s)
    down, up = nn.Linear(layer.in_features, r, bias=bias == "both"), nn.Linear(r, layer.out_features, bias=bias != "none")
    with torch.no_grad():
        down.weight.copy_(Vh[-r:] if swap else Vh[:r])
        up.weight.copy_(U[:, :r] * s[:r] if values else U[:, :r])
        if bias != "none":
            up.bias.copy_(layer.bias)
        if bias == "both":
            down.bias.fill_(1.0)
    return nn.Sequential(down, up)


def _sobel(x, *, scale=8.0, mode="replicate", sign=1.0, swap=False, pad=True):
    k = sign * torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).to(x) / scale
    padded = F.pad(x, (1, 1, 1, 1), mode=mode) if pad else x
    pair = F.conv2d(padded, k[None, None]), F.conv2d(padded, k.T[None, None])
    return pair[::-1] if swap else pair


def _split(kernel, *, tolerance=1e-5, scale="one", transpose=False, magnitude=False):
    U, s, Vh = torch.linalg.svd(kernel)
    if tolerance is not None and s[1] > tolerance * s[0]:
        return False
    column, row = U[:, 0], Vh[0]
    if magnitude:
        column, row = column.abs(), row.abs()
    column = column * {"one": s[0], "none": 1.0, "both": s[0]}[scale]
    row = row * (s[0] if scale == "both" else 1.0)
    return (row, column) if transpose else (column, row)


def _components(cube, k, *, centre="band", scale=True):
    x = cube.flatten(1)
    x = {"band": lambda: x - x.mean(1, keepdim=True), "none": lambda: x, "pixel": lambda: x - x.mean(0, keepdim=True)}[centre]()
    _, s, Vh = _parts(x)
    return (s[:k, None] * Vh[:k] if scale else Vh[:k]).unflatten(1, cube.shape[1:])


NEAR_MISSES = {
    "svd.rank_k": [
        (lambda x, k: _parts(x)[0][:, :k] @ _parts(x)[2][:k], "singular values are missing"),
        (lambda x, k: _parts(x)[1][k - 1] * torch.outer(_parts(x)[0][:, k - 1], _parts(x)[2][k - 1]), "only term k"),
        (lambda x, k: _parts(x)[0][:, -k:] * _parts(x)[1][-k:] @ _parts(x)[2][-k:], "largest come first"),
        (lambda x, k: x[:k], "Expected shape"),
    ],
    "svd.smallest_rank": [
        (lambda x, t: _rank(x, t, root=False), "square root"),
        (lambda x, t: _rank(x, t, power=1, root=False), "add their squares"),
        (lambda x, t: _rank(x, t, shift=-1), "too many"),
        (lambda x, t: max(_rank(x, t) - 1, 0), "too few"),
    ],
    "svd.break_even": [
        (lambda h, w, size: h * w // (h + w + 1), "not bytes"),
        (lambda h, w, size: h * w // (size * (h + w)), "singular values"),
        (lambda h, w, size: h * w / (size * (h + w + 1)), "round down"),
        (lambda h, w, size: h * w // (size * (h + w + 1)), "nothing is saved"),
    ],
    "svd.thin_layer": [
        (lambda layer, r: _thin(layer, r, values=False), "singular values are missing"),
        (lambda layer, r: _thin(layer, r, bias="none"), "bias"),
        (lambda layer, r: _thin(layer, r, bias="both"), "bias"),
        (lambda layer, r: _thin(layer, r, swap=True), "nearest layer"),
        (lambda layer, r: _thin(layer, r, wide=True), "should meet in"),
        (lambda layer, r: layer, "parameters"),
    ],
    "svd.sobel": [
        (lambda x: _sobel(x, scale=1.0), "gives 8"),
        (lambda x: _sobel(x, scale=4.0), "gives 2"),
        (lambda x: _sobel(x, swap=True), "exchanged"),
        (lambda x: _sobel(x, sign=-1.0), "signs"),
        (lambda x: _sobel(x, mode="constant"), "zeros"),
        (lambda x: _sobel(x, mode="reflect"), "replicate"),
        (lambda x: _sobel(x, pad=False), "smaller than the picture"),
        (lambda x: torch.cat(_sobel(x), 1), "pair"),
    ],
    "svd.split": [
        (lambda k: _split(k, scale="none"), "scale"),
        (lambda k: _split(k, scale="both"), "scale"),
        (lambda k: _split(k, transpose=True), "exchanged"),
        (lambda k: _split(k, tolerance=0.0), "tolerance"),
        (lambda k: _split(k, tolerance=None), "return False"),
        (lambda k: _split(k, magnitude=True), "outer product"),
    ],
    "svd.gain": [
        (lambda f, n: (8 * math.sin(2 * math.pi * f)) ** n, "divide by 8"),
        (lambda f, n: (2 * math.sin(2 * math.pi * f)) ** n, "half of it"),
        (lambda f, n: (2 * math.pi * f) ** n, "exact derivative"),
        (lambda f, n: abs(math.sin(math.pi * f)) ** n, "two pixels apart"),
        (lambda f, n: abs(math.sin(2 * math.pi * f)), "left n out"),
        (lambda f, n: n * abs(math.sin(2 * math.pi * f)), "the power n"),
    ],
    "svd.components": [
        (lambda c, k: _components(c, k, centre="none"), "means are still in"),
        (lambda c, k: _components(c, k, centre="pixel"), "wrong mean"),
        (lambda c, k: _components(c, k, scale=False), "whitened"),
        (lambda c, k: c[:k] - c[:k].mean((1, 2), keepdim=True), "first bands"),
        (lambda c, k: c.flatten(1)[:k], "Expected shape"),
    ],
}
