"""Plausible wrong answers of chapter 6, each with words that its hint must contain."""

import torch
import torch.nn.functional as F
from einops import rearrange


def _embed(x, weight, bias, *, order="(c p q)", tokens="(h w)"):
    p = weight.shape[-1]
    return rearrange(x, f"b c (h p) (w q) -> b {tokens} {order}", p=p, q=p) @ weight.flatten(1).T + bias


def _post(x, norm1, attention, norm2, mlp):
    x = norm1(x + attention(x))
    return norm2(x + mlp(x))


def _in_place(x, norm1, attention, norm2, mlp):
    x += attention(norm1(x))
    return x + mlp(norm2(x))


def _resize(positions, old, new, *, keep=True, order="(h w)", **kind):
    kind = kind or {"mode": "bilinear", "align_corners": False}
    of_map = rearrange(positions[:, 1:], f"1 {order} d -> 1 d h w", h=old[0])
    of_map = rearrange(F.interpolate(of_map, size=new, **kind), "1 d h w -> 1 (h w) d")
    return torch.cat([positions[:, :1], of_map], dim=1) if keep else of_map


def _list(positions, old, new):
    line = F.interpolate(positions[:, 1:].mT, size=new[0] * new[1], mode="linear", align_corners=False).mT
    return torch.cat([positions[:, :1], line], dim=1)


def _reverse(windows, m, h, w, pattern="(b nh nw) (i j) c -> b (nh i) (nw j) c"):
    return rearrange(windows, pattern, nh=h // m, nw=w // m, i=m)


def _index(h, w, *, combine=lambda down, across, h, w: down * (2 * w - 1) + across):
    place = torch.arange(h * w)
    row, column = place // w, place % w
    return combine(row[:, None] - row + h - 1, column[:, None] - column + w - 1, h, w)


def _mask(h, w, m, s, region=lambda y, x, h, w, s: 2 * (y >= h - s).long() + (x >= w - s).long()):
    cut = rearrange(region(torch.arange(h)[:, None], torch.arange(w)[None], h, w, s), "(nh i) (nw j) -> (nh nw) (i j)", i=m, j=m)
    return cut[:, :, None] == cut[:, None, :]


NEAR_MISSES = {
    "transformers.sequence_length": [
        (lambda h, w, p: h // p * (w // p), "class token"),
        (lambda h, w, p: h * w // p + 1, "divided by p once"),
        (lambda h, w, p: (h // p) ** 2 + 1, "need not be square"),
        (lambda h, w, p: h * w / p**2 + 1, "int"),
    ],
    "transformers.patch_embedding": [
        (lambda x, weight, bias: _embed(x, weight, 0 * bias), "bias is missing"),
        (lambda *a: _embed(*a, order="(p q c)"), "order inside a patch"),
        (lambda *a: _embed(*a).mT, "exchanged"),
        (lambda *a: _embed(*a, tokens="(w h)"), "row by row"),
    ],
    "transformers.pre_norm": [
        (_post, "post-norm"),
        (lambda x, n1, a, n2, m: m(n2(x + a(n1(x)))), "around the MLP"),
        (lambda x, n1, a, n2, m: a(n1(x)) + m(n2(a(n1(x)))), "around attention"),
        (lambda x, n1, a, n2, m: x + a(n1(x)) + m(n2(x)), "one after the other"),
        (_in_place, "in place"),
    ],
    "transformers.resize_positions": [
        (lambda *a: _resize(*a, keep=False), "class token is missing"),
        (lambda *a: _resize(*a, mode="bilinear", align_corners=True), "align_corners=False"),
        (lambda *a: _resize(*a, mode="nearest"), "Another kind"),
        (_list, "along the list"),
        (lambda *a: _resize(*a, order="(w h)"), "row by row"),
    ],
    "transformers.reverse": [
        (lambda *a: _reverse(*a, pattern="(nh nw b) (i j) c -> b (nh i) (nw j) c"), "slowest in the batch"),
        (lambda *a: _reverse(*a, pattern="(b nw nh) (i j) c -> b (nh i) (nw j) c"), "row by row"),
        (lambda *a: _reverse(*a, pattern="(b nh nw) (j i) c -> b (nh i) (nw j) c"), "inside the windows"),
        (lambda x, m, h, w: x.reshape(-1, h, w, x.shape[-1]), "order of memory"),
    ],
    "transformers.bias_index": [
        (lambda h, w: _index(h, w).T, "key minus query"),
        (lambda h, w: _index(h, w, combine=lambda y, x, h, w: y * (2 * h - 1) + x), "2 w - 1"),
        (lambda h, w: _index(h, w, combine=lambda y, x, h, w: y + x), "A sum"),
        (lambda h, w: _index(h, w, combine=lambda y, x, h, w: (y - h + 1) * (2 * w - 1) + x - w + 1), "below zero"),
        (lambda h, w: _index(h, w).double(), "int64"),
    ],
    "transformers.shift_mask": [
        (lambda *a: ~_mask(*a), "exchanged"),
        (lambda *a: _mask(*a, region=lambda y, x, h, w, s: 2 * (y < s).long() + (x < s).long()), "rolled up and left"),
        (lambda *a: _mask(*a, region=lambda y, x, h, w, s: (y >= h - s).long() + (x >= w - s).long()), "same number"),
        (lambda *a: _mask(*a, region=lambda y, x, h, w, s: (y >= h - s).long() + 0 * x), "Both axes"),
        (lambda *a: torch.ones_like(_mask(*a)), "Everything is allowed"),
        (lambda *a: _mask(*a).float(), "boolean"),
    ],
    "transformers.cost_ratio": [
        (lambda h, w, c, m: h * w / m**2, "scores alone"),
        (lambda h, w, c, m: (4 * c + 2 * m**2) / (4 * c + 2 * h * w), "Upside down"),
        (lambda h, w, c, m: (3 * c + 2 * h * w) / (3 * c + 2 * m**2), "fourth"),
        (lambda h, w, c, m: (4 * c + h * w) / (4 * c + m**2), "Two products"),
        (lambda h, w, c, m: (4 * c + 2 * h * w) / (4 * c + 2 * m), "m times m"),
    ],
    "transformers.merge_kernel": [
        (lambda weight: rearrange(weight, "d (p q c) -> d c p q", p=2, q=2), "Rows and columns"),
        (lambda weight: weight.reshape(len(weight), -1, 2, 2), "bare reshape"),
        (lambda weight: rearrange(weight, "d (c q p) -> d c p q", p=2, q=2), "fastest"),
    ],
}
