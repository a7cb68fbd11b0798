"""Wrong answers of chapter 3 (U-Net), each with words that its hint must hold."""

import torch
import torch.nn.functional as F


def _linear(n, m, half=True, clamp=True, corners=False):
    i = torch.arange(m)
    at = i * (n - 1) / max(m - 1, 1) if corners else (i + 0.5) * n / m - 0.5 if half else i * n / m
    at = at.clamp(0, n - 1) if clamp else at
    return (1 - (at[:, None] - torch.arange(n)).abs()).clamp(min=0)


def _valid(n, depth, parity=True, bottom=4, rim=4, floor=True):
    for _ in range(depth):
        n -= rim
        if (n < 2 and floor) or (parity and n % 2):
            return 0
        n //= 2
    n -= bottom
    for _ in range(depth):
        n = 2 * n - rim
    return max(n, 0) if floor else n


def _crop(fine, coarse, swap=False, corner=False, resize=False):
    h, w = coarse.shape[2:]
    top, left = (0, 0) if corner else ((fine.shape[2] - h) // 2, (fine.shape[3] - w) // 2)
    middle = F.interpolate(fine, (h, w), mode="bilinear") if resize else fine[:, :, top:top + h, left:left + w]
    return torch.cat([coarse, middle] if swap else [middle, coarse], dim=1)


def _align(coarse, fine, how):
    dy, dx = (a - b for a, b in zip(fine.shape[2:], coarse.shape[2:]))
    return F.pad(coarse, how(dy, dx))


def _cut(net, k, x, change, remove=True, post=False):
    register = net.joins[k].register_forward_hook if post else net.joins[k].register_forward_pre_hook
    hook = register(change)
    out = net(x)
    if remove:
        hook.remove()
    return out


def _skip_zero(_module, maps):
    return torch.zeros_like(maps[0]), maps[1]


NEAR_MISSES = {
    "unet.transposed_size": [
        (lambda n, k, s, p, e: (n + 2 * p - k) // s + 1, "ordinary convolution"),
        (lambda n, k, s, p, e: n * s - 2 * p + k + e, "(n - 1) * stride"),
        (lambda n, k, s, p, e: (n - 1) * s + 2 * p + k + e, "smaller"),
        (lambda n, k, s, p, e: (n - 1) * s - p + k + e, "both sides"),
        (lambda n, k, s, p, e: (n - 1) * s - 2 * p + k, "output_padding is missing"),
        (lambda n, k, s, p, e: (n, n), "whole number"),
    ],
    "unet.linear_matrix": [
        (lambda n, m: _linear(n, m).T, "transpose"),
        (lambda n, m: _linear(n, m, corners=True), "align_corners=True"),
        (lambda n, m: _linear(n, m, clamp=False), "Clamp the places"),
        (lambda n, m: _linear(n, m, half=False), "half pixel"),
        (lambda n, m: _linear(n, m).tolist(), "Expected a tensor"),
    ],
    "unet.overlaps": [
        (lambda k, s: [k // s] * s, "never show"),
        (lambda k, s: [-(-k // s)] * s, "Only some positions"),
        (lambda k, s: [len(range(i, k, s)) for i in range(s)][::-1], "reversed"),
        (lambda k, s: [k] * s, "sum to k"),
        (lambda k, s: len(range(0, k, s)), "Expected a list"),
    ],
    "unet.valid_side": [
        (lambda n, d: _valid(n, d, parity=False), "odd side"),
        (lambda n, d: _valid(n, d, bottom=0), "at the bottom"),
        (lambda n, d: _valid(n, d, rim=2, bottom=2), "2 pixels each"),
        (lambda n, d: n, "without padding"),
        (lambda n, d: _valid(n, d, floor=False), "negative"),
    ],
    "unet.copy_and_crop": [
        (lambda f, c: _crop(f, c, swap=True), "channels come first"),
        (lambda f, c: _crop(f, c, corner=True), "top left corner"),
        (lambda f, c: _crop(f, c, resize=True), "resized the fine map"),
        (lambda f, c: torch.cat([f, F.interpolate(c, f.shape[2:])], dim=1), "crop the fine one"),
    ],
    "unet.align": [
        (lambda c, f: _align(c, f, lambda dy, dx: (dy // 2, dy - dy // 2, dx // 2, dx - dx // 2)), "last axis first"),
        (lambda c, f: _align(c, f, lambda dy, dx: (0, dx, 0, dy)), "bottom and right"),
        (lambda c, f: _align(c, f, lambda dy, dx: (dx - dx // 2, dx // 2, dy - dy // 2, dy // 2)), "smaller half"),
        (lambda c, f: _align(c, f, lambda dy, dx: (dx // 2, dx // 2, dy // 2, dy // 2)), "odd difference"),
        (lambda c, f: F.interpolate(c, f.shape[2:], mode="bilinear"), "resized"),
    ],
    "unet.decoder_channels": [
        (lambda w, j: [c * (2 if j == "concat" else 1) for c in w], "reversed"),
        (lambda w, j: [2 * c for c in reversed(w)], "Adding keeps"),
        (lambda w, j: list(reversed(w)), "twice as many"),
        (lambda w, j: [3 * c for c in reversed(w)], "halves the channels"),
        (lambda w, j: [2 * c for c in reversed(w)][:1], "Expected 4 numbers"),
    ],
    "unet.mirror": [
        (lambda s: [(2, 2)] * (len(s) - 1), "2x2 everywhere"),
        (lambda s: list(s[1:]), "undone first"),
        (lambda s: list(reversed(s[:-1])), "Off by one"),
        (lambda s: [f[::-1] for f in reversed(s[1:])], "exchanged"),
        (lambda s: list(reversed(s)), "Expected 2 factors"),
    ],
    "unet.without_skip": [
        (lambda net, k, x: net(x), "whole network"),
        (lambda net, k, x: _cut(net, k, x, lambda m, a: (a[0], torch.zeros_like(a[1]))), "map from below"),
        (lambda net, k, x: _cut(net, k, x, lambda m, a: tuple(torch.zeros_like(z) for z in a)), "both maps"),
        (lambda net, k, x: _cut(net, k, x, _skip_zero, remove=False), "remove the hook"),
        (lambda net, k, x: _cut(net, 1 - k, x, _skip_zero), "joins[0] is the deepest"),
    ],
}
