"""Checkers of chapter 6 (ViT and Swin)."""

import torch
import torch.nn.functional as F
from einops import rearrange

from dlnotes.attention.window import relative_position_index, shifted_window_mask
from dlnotes.conv.cost import multiply_adds

from ._core import Hint, exercise, expect_equal, expect_number


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _same(got, expected: torch.Tensor) -> bool:
    return (isinstance(got, torch.Tensor) and got.shape == expected.shape and not got.is_complex()
            and torch.allclose(got.detach().to(expected), expected, atol=1e-6, rtol=1e-4))


@exercise("transformers.sequence_length")
def sequence_length(answer):
    for h, w, p in [(224, 224, 16), (64, 96, 8), (30, 20, 5)]:
        got, n = expect_number(answer(h, w, p), "a count"), (h // p) * (w // p)
        if got == n + 1 and isinstance(got, int):
            continue
        if got == n + 1:
            raise Hint("A count is an int: divide with //.")
        if got == n:
            raise Hint("The class token is missing: it stands in the list too.")
        if got in (h * w // p, h * w // p + 1):
            raise Hint("You divided by p once. A patch has p rows and p columns.")
        if got == (h // p) ** 2 + 1:
            raise Hint("The picture need not be square: count patches down and patches across.")
        raise Hint(f"For ({h}, {w}) and patches of {p} expected {n + 1}, got {got}: patches down times patches across, and one.")
    return "197 for ViT-B/16 at 224: 14 times 14 patches, and the class token."


@exercise("transformers.patch_embedding")
def patch_embedding(answer):
    for b, c, h, w, p, d, seed in [(2, 3, 8, 12, 4, 5, 0), (1, 2, 6, 4, 2, 7, 1)]:
        x, weight, bias = _noise(b, c, h, w, seed=seed), _noise(d, c, p, p, seed=seed + 5), _noise(d, seed=seed + 9)
        right = rearrange(F.conv2d(x, weight, bias, stride=p), "b d h w -> b (h w) d")                 # b n d
        got = answer(x.clone(), weight.clone(), bias.clone())
        if _same(got, right):
            continue
        cut = rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=p, q=p)                              # b n (c p q)
        if _same(got, cut @ weight.flatten(1).T):
            raise Hint("The bias is missing.")
        last = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=p, q=p)                             # b n (p q c)
        if _same(got, last @ weight.flatten(1).T + bias):
            raise Hint("The order inside a patch differs from the weight's: flatten both as (c p q).")
        if isinstance(got, torch.Tensor) and got.shape == (b, d, h // p * (w // p)):
            raise Hint("Tokens come last but one: expected (b, n, d). The two last axes are exchanged.")
        if _same(got, rearrange(right, "b (h w) d -> b (w h) d", h=h // p)):
            raise Hint("The patches come column by column; row by row is asked.")
        expect_equal(got, right, hint="Cut into (b, n, c p p), multiply with the flattened weight, add the bias.")
    return "One matrix for all patches: that is all a strided convolution with kernel = stride does."


@exercise("transformers.pre_norm")
def pre_norm(answer):
    x = _noise(2, 5, 8)

    def norm1(t):
        return F.layer_norm(t, (8,)) * 1.5

    def norm2(t):
        return F.layer_norm(t, (8,)) + 0.25

    def attention(t):
        return t.flip(1) * 0.7 + t.mean(1, keepdim=True)

    def mlp(t):
        return F.gelu(t) * 2

    y = x + attention(norm1(x))                                                                         # b n d
    right = y + mlp(norm2(y))                                                                           # b n d
    given = x.clone()
    got = answer(given, norm1, attention, norm2, mlp)
    if not torch.equal(given, x):
        raise Hint("Your function changed its input in place: write x = x + ..., not x += ....")
    z = norm1(x + attention(x))
    wrong = {
        "That is post-norm: the norm must stand before each module, off the main road.": norm2(z + mlp(z)),
        "The residual sum around the MLP is missing: x + mlp(norm2(x)).": mlp(norm2(y)),
        "The residual sum around attention is missing: x + attention(norm1(x)).":
            attention(norm1(x)) + mlp(norm2(attention(norm1(x)))),
        "The MLP must read what attention has added to, not the input: the two run one after the other.":
            x + attention(norm1(x)) + mlp(norm2(x)),
        "The sum must go on from x itself, not from norm(x): what is added to is never normalised.":
            norm2(norm1(x) + attention(norm1(x))) + mlp(norm2(norm1(x) + attention(norm1(x)))),
    }
    for hint, value in wrong.items():
        if _same(got, value):
            raise Hint(hint)
    expect_equal(got, right, hint="Two lines: x = x + attention(norm1(x)), then x + mlp(norm2(x)).")
    return "From the first block to the last there is a road of sums that no norm stands on."


@exercise("transformers.resize_positions")
def resize_positions(answer):
    for old, new, d in [((4, 6), (6, 9), 3), ((3, 2), (5, 7), 4)]:
        positions = _noise(1, 1 + old[0] * old[1], d)
        of_map = rearrange(positions[:, 1:], "1 (h w) d -> 1 d h w", h=old[0])                          # 1 d h w

        def resized(of_map=of_map, new=new, **kwargs):
            return rearrange(F.interpolate(of_map, size=new, **kwargs), "1 d h w -> 1 (h w) d")         # 1 n' d

        body = resized(mode="bilinear", align_corners=False)
        right = torch.cat([positions[:, :1], body], dim=1)                                              # 1 1+n' d
        got = answer(positions.clone(), old, new)
        if _same(got, right):
            continue
        if isinstance(got, torch.Tensor) and got.shape == body.shape:
            raise Hint("The class token is missing: it keeps its own vector, in front.")
        if _same(got, torch.cat([body, positions[:, :1]], dim=1)):
            raise Hint("The class token stands at the end; it comes first.")
        for kind in ({"mode": "bilinear", "align_corners": True}, {"mode": "bicubic", "align_corners": False},
                     {"mode": "nearest"}, {"mode": "bilinear", "align_corners": False, "antialias": True}):
            if _same(got, torch.cat([positions[:, :1], resized(**kind)], dim=1)):
                raise Hint("Another kind of interpolation: mode='bilinear' with align_corners=False is asked.")
        line = F.interpolate(positions[:, 1:].mT, size=new[0] * new[1], mode="linear", align_corners=False).mT
        if _same(got, torch.cat([positions[:, :1], line], dim=1)):
            raise Hint("You interpolated along the list. The places form a map: bring them to (1, d, h, w) first.")
        turned = rearrange(positions[:, 1:], "1 (w h) d -> 1 d h w", h=old[0])                          # 1 d h w
        if _same(got, torch.cat([positions[:, :1], resized(turned, mode="bilinear", align_corners=False)], dim=1)):
            raise Hint("The list is row by row: (h w), the column counts fastest.")
        expect_equal(got, right, hint="Take the class token off, make a map (1, d, h, w), interpolate, flatten, put it back.")
    return "This is resize_pos_embed, which uses bicubic with antialias, as timm does."


@exercise("transformers.reverse")
def reverse(answer):
    for b, h, w, m, c in [(2, 8, 12, 4, 3), (3, 6, 3, 3, 2)]:
        x = _noise(b, h, w, c)
        windows = rearrange(x, "b (nh i) (nw j) c -> (b nh nw) (i j) c", i=m, j=m)                      # windows n c
        got = answer(windows.clone(), m, h, w)
        if _same(got, x):
            continue
        sizes = {"nh": h // m, "nw": w // m, "i": m}
        for pattern, hint in {
            "(nh nw b) (i j) c -> b (nh i) (nw j) c": "The pictures are slowest in the batch axis: (b nh nw).",
            "(b nw nh) (i j) c -> b (nh i) (nw j) c": "The windows come row by row: (nh nw), the column counts fastest.",
            "(b nh nw) (j i) c -> b (nh i) (nw j) c": "Rows and columns inside the windows are exchanged.",
            "(b nh nw) (i j) c -> b (i nh) (j nw) c": "A row of the map is (nh i): windows slow, places inside a window fast.",
        }.items():
            if _same(got, rearrange(windows, pattern, **sizes)):
                raise Hint(hint)
        if _same(got, windows.reshape(b, h, w, c)):
            raise Hint("reshape alone keeps the order of memory. The axis i must move next to nh, and j next to nw.")
        expect_equal(got, x, hint="Split into (b nh nw) (i j), then join to (nh i) and (nw j).")
    return "Partition and reverse move no number to another value: they only name the axes."


@exercise("transformers.bias_index")
def bias_index(answer):
    square = relative_position_index(3)
    for h, w in [(3, 3), (2, 4), (4, 3)]:
        place = torch.arange(h * w)
        row, column = place // w, place % w                                                             # n each
        down, across = row[:, None] - row + h - 1, column[:, None] - column + w - 1                     # n n each
        right = down * (2 * w - 1) + across                                                             # n n
        assert (h, w) != (3, 3) or torch.equal(right, square)
        got = answer(h, w)
        if isinstance(got, torch.Tensor) and got.is_floating_point():
            raise Hint("An index must be int64: use torch.arange and //, not /.")
        if _same(got, right):
            continue
        if _same(got, right.T):
            raise Hint("That is key minus query; query minus key is asked: the query counts the rows.")
        if _same(got, down * (2 * h - 1) + across):
            raise Hint("The factor must be the number of offsets across, 2 w - 1; with 2 h - 1 numbers collide or leave gaps.")
        if _same(got, down + across):
            raise Hint("A sum makes different offsets equal. Multiply one of them, as the row of a hall with 2 w - 1 seats.")
        if _same(got, across * (2 * h - 1) + down):
            raise Hint("The offsets are numbered column by column; row by row is asked.")
        if _same(got, down * (2 * w - 1) + across - (h - 1) * (2 * w - 1) - (w - 1)):
            raise Hint("Numbers below zero: add h - 1 and w - 1 first, so that the most negative offset is number 0.")
        expect_equal(got, right, hint="(rows apart + h - 1) * (2 w - 1) + columns apart + w - 1.")
    return "(2h-1)(2w-1) numbers per head. Only the width shows as a factor; the height only moves the start."


@exercise("transformers.shift_mask")
def shift_mask(answer):
    for h, w, m, s in [(8, 8, 4, 2), (6, 9, 3, 1), (4, 8, 4, 1)]:
        right = shifted_window_mask(h, w, m, s)                                                         # windows n n
        got = answer(h, w, m, s)
        if isinstance(got, torch.Tensor) and got.shape == right.shape and got.dtype != torch.bool:
            raise Hint(f"Expected a boolean mask, got {got.dtype}: compare regions with ==.")
        if _same(got, right):
            continue
        if _same(got, torch.ones_like(right)):
            raise Hint("Everything is allowed: in the last windows tokens meet that were never neighbours.")
        if _same(got, ~right):
            raise Hint("True and False are exchanged: True where a pair may attend.")

        def of(region, m=m):
            cut = rearrange(region, "(nh i) (nw j) -> (nh nw) (i j)", i=m, j=m)                         # windows n
            return cut[:, :, None] == cut[:, None, :]                                                   # windows n n

        y, x = torch.arange(h)[:, None], torch.arange(w)[None]
        if _same(got, of((y < s).long() * 2 + (x < s).long())):
            raise Hint("The map was rolled up and left: what went round is at the bottom and at the right now.")
        if _same(got, of((y >= h - s).long() + (x >= w - s).long())):
            raise Hint("What came from the top and what came from the left get the same number. Give each of the four its own.")
        if _same(got, of((y >= h - s).long() + 0 * x)) or _same(got, of((x >= w - s).long() + 0 * y)):
            raise Hint("Both axes were rolled: rows and columns have gone round.")
        if _same(got, of((y >= h - m).long() * 2 + (x >= w - m).long())):
            raise Hint("What has gone round is s rows and s columns, not a whole window.")
        expect_equal(got, right, hint="Number the regions of the rolled map, cut it into windows, compare each pair.")
    return "Four regions suffice; the authors' nine give the same mask."


@exercise("transformers.cost_ratio")
def cost_ratio(answer):
    from dlnotes.attention import WindowAttention

    for h, w, c, m in [(56, 56, 96, 7), (14, 28, 64, 7), (32, 16, 8, 4)]:
        n = h * w
        local, full = 4 * n * c**2 + 2 * n * m**2 * c, 4 * n * c**2 + 2 * n**2 * c
        if (h, w) == (56, 56):
            with torch.device("meta"):
                assert multiply_adds(WindowAttention(c, 4, m), torch.empty(1, h, w, c)) == local
        got = expect_number(answer(h, w, c, m), "a ratio")
        wrong = {
            local / full: "Upside down: global over windowed, above 1.",
            n / m**2: "That is the ratio of the scores alone. The four matrices cost the same in both.",
            (3 * n * c**2 + 2 * n**2 * c) / (3 * n * c**2 + 2 * n * m**2 * c): "Query, key and value are three matrices; "
                                                                               "the projection of the output is the fourth.",
            (4 * n * c**2 + n**2 * c) / (4 * n * c**2 + n * m**2 * c): "Two products have the size of the scores: "
                                                                       "q k and weights times values.",
            (4 * n * c**2 + 2 * n**2 * c) / (4 * n * c**2 + 2 * n * m * c): "A window has m times m keys.",
        }
        for value, hint in wrong.items():
            if abs(got - value) < 1e-6 * value:
                raise Hint(hint)
        if abs(got - full / local) > 1e-6 * (full / local):
            raise Hint(f"For ({h}, {w}, {c}, {m}) expected {full / local:.3f}, got {got:.3f}: (4 n c c + 2 n n c) over "
                       "(4 n c c + 2 n m m c).")
    return "The ratio is far below n / m², because the matrices cost the same in both."


@exercise("transformers.merge_kernel")
def merge_kernel(answer):
    for c, seed in [(3, 0), (2, 1)]:
        weight = _noise(2 * c, 4 * c, seed=seed)
        right = rearrange(weight, "d (q p c) -> d c p q", p=2, q=2)                                     # 2c c 2 2
        got = answer(weight.clone())
        if _same(got, right):
            continue
        for pattern, hint in {
            "d (p q c) -> d c p q": "Rows and columns are exchanged: the columns' parity q is slowest, then the rows' p.",
            "d (c p q) -> d c p q": "A bare reshape takes the channel as slowest. Here it is fastest: (q p c).",
            "d (c q p) -> d c p q": "The channel is fastest in the linear layer's inputs: (q p c).",
        }.items():
            if _same(got, rearrange(weight, pattern, p=2, q=2)):
                raise Hint(hint)
        expect_equal(got, right, hint="Split the inputs as (q p c) and move them to (c, p, q).")
    return "So a Swin is a pyramid of strided convolutions with attention between them."
