"""Plausible wrong answers of chapter 9b, each with words that its hint must contain."""

import io
import math
from collections import Counter

import numpy as np
import torch
from PIL import Image


def _open(buffer):
    return torch.from_numpy(np.array(Image.open(io.BytesIO(buffer.tobytes()))))


def _names(text, *, mark=True, lines=str.splitlines, blank=True, cut=None):
    cut = cut or (lambda n: n[:-4] if n.lower().endswith((".png", ".jpg")) else n)
    names = [cut(line.strip()) for line in lines(text.lstrip("\ufeff") if mark else text)]
    return [n for n in names if n] if blank else names


def _complaints(pictures, masks, *, both=True, area=False):
    same = (lambda a, b: math.prod(a) == math.prod(b)) if area else (lambda a, b: a == b)
    found = [(n, "no mask") for n in pictures if n not in masks]
    found += [(n, "size") for n in pictures if n in masks and not same(pictures[n], masks[n])]
    return sorted(found + ([(n, "no picture") for n in masks if n not in pictures] if both else []))


def _starts(length, tile, step, *, border=True):
    first = list(range(0, length - tile + 1, step))
    return first + ([length - tile] if border and first[-1] + tile < length else [])


NEAR_MISSES = {
    "files.in_two": [(lambda lists: sorted(set(lists["train"]) & set(lists["test"])) if "train" in lists else ["q"], "any two"),
                     (lambda lists: sorted(set.intersection(*map(set, lists.values()))), "any two"),
                     (lambda lists: sorted(n for n, c in Counter(sum(lists.values(), [])).items() if c > 1), "twice in one list"),
                     (lambda lists: [n for n in dict.fromkeys(sum(lists.values(), [])) if sum(n in v for v in lists.values()) > 1],
                      "sort them"),
                     (lambda lists: set(), "as a list")],
    "files.names": [(lambda t: _names(t, mark=False), "byte-order mark"), (lambda t: _names(t, lines=str.split), "one name"),
                    (lambda t: _names(t, blank=False), "blank line"), (lambda t: _names(t, cut=lambda n: n.rsplit(".", 1)[0]), "no ending"),
                    (lambda t: _names(t, cut=lambda n: n.removesuffix(".png").removesuffix(".jpg")), "in capitals"),
                    (lambda t: _names(t, cut=lambda n: n.rstrip(".png").rstrip(".jpgJPG") if not n.endswith("v2") else n), "letters"),
                    (lambda t: [n[:-4] if n.lower().endswith((".png", ".jpg")) else n for n in t.lstrip("\ufeff").split("\n") if n],
                     "carriage return")],
    "files.imdecode": [(lambda b: torch.from_numpy(b), "bytes of the file"), (_open, "channels are still last"),
                       (lambda b: _open(b).permute(2, 0, 1) if _open(b).ndim == 3 else _open(b), "add the channel"),
                       (lambda b: (_open(b).movedim(-1, 0) if _open(b).ndim == 3 else _open(b)[None]).float(), "uint8"),
                       (lambda b: _open(b).reshape(-1, 5, 7), "scrambled"),
                       (lambda b: torch.from_numpy(np.array(Image.open(io.BytesIO(b.tobytes())).convert("RGB"))).movedim(-1, 0),
                        "keep its one channel")],
    "files.complaints": [(lambda p, m: _complaints(p, m)[:1], "first complaint"), (lambda p, m: _complaints(p, m)[::-1], "sort"),
                         (lambda p, m: _complaints(p, m, both=False), "both dicts"),
                         (lambda p, m: _complaints(p, m, area=True), "as many pixels")],
    "files.folds": [(lambda g, k: [i % k for i in range(len(g))], "deal out groups"), (lambda g, k: [0] * len(g), "stay empty"),
                    (lambda g, k: [sorted(set(g), key=str).index(x) for x in g], "whole numbers from 0"),
                    (lambda g, k: list(range(k)), "one fold for each")],
    "files.tile_starts": [(lambda n, t, o: list(range(0, n, t - o)), "beyond the picture"),
                          (lambda n, t, o: _starts(n, t, t - o, border=False), "covered by no tile"),
                          (lambda n, t, o: _starts(n, t, t), "must share at least"),
                          (lambda n, t, o: _starts(n, t, max(1, (t - o) // 2)), "are enough")],
    "files.clips": [(lambda f, n, s, h: max(0, (f - n) // h + 1), "spans more"), (lambda f, n, s, h: max(0, (f - n * s) // h + 1), "no stride"),
                    (lambda f, n, s, h: max(0, (f - (n - 1) * s - 1) // h), "frame 0"),
                    (lambda f, n, s, h: (f - (n - 1) * s - 1) // h + 1, "shorter than a clip")],
}
