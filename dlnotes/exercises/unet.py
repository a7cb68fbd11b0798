"""Checkers of chapter 3 (U-Net)."""

from itertools import product

import torch
import torch.nn.functional as F

from ._core import Hint, exercise, expect_equal

_NOTHING = "Your function returned nothing yet: replace the ... and return the result."


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _same(got, expected: torch.Tensor, atol: float = 1e-5) -> bool:
    return isinstance(got, torch.Tensor) and got.shape == expected.shape and torch.allclose(got.detach().to(expected), expected, atol=atol)


def _whole(got, what: str) -> int:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        raise Hint(f"Expected {what} as a whole number, got {type(got).__name__}.")
    if got != int(got):
        raise Hint(f"Expected {what} as a whole number, got {got}: divide with //.")
    return int(got)


def _sequence(got, what: str, length: int) -> list:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, torch.Tensor):
        got = got.tolist()
    if not isinstance(got, (list, tuple)):
        raise Hint(f"Expected a list of {what}, got {type(got).__name__}.")
    if len(got) != length:
        raise Hint(f"Expected {length} {what}, got {len(got)}.")
    return list(got)


@exercise("unet.transposed_size")
def transposed_size(answer):
    for n, k, s, p, extra in [(6, 2, 2, 0, 0), (7, 3, 2, 1, 1), (5, 4, 2, 1, 0), (4, 5, 3, 2, 2), (9, 1, 1, 0, 0)]:
        want = (n - 1) * s - 2 * p + k + extra
        got = _whole(answer(n, k, s, p, extra), "the side")
        if got == want:
            continue
        if got == (n + 2 * p - k) // s + 1:
            raise Hint("That is the size of the ordinary convolution: solve its formula for the input.")
        if got == n * s - 2 * p + k + extra:
            raise Hint("The last stamp begins at (n - 1) * stride, not at n * stride.")
        if got == (n - 1) * s + 2 * p + k + extra:
            raise Hint("Padding makes the output of a transposed convolution smaller: it is cut off on both sides.")
        if got == (n - 1) * s - p + k + extra:
            raise Hint("Padding is cut off on both sides: take it twice.")
        if got == want - extra:
            raise Hint("output_padding is missing: it tells apart the sizes that share one strided size.")
        raise Hint(f"For n={n}, kernel={k}, stride={s}, padding={p}, output_padding={extra} the side is {want}, got {got}.")
    return "Only output_padding can say which of the sizes that shrink to n you want back."


@exercise("unet.linear_matrix")
def linear_matrix(answer):
    for n, m in [(4, 8), (5, 12), (7, 7), (8, 3), (3, 10)]:
        want = F.interpolate(torch.eye(n)[None], size=m, mode="linear", align_corners=False)[0].T           # m n
        got = answer(n, m)
        if _same(got, want):
            continue
        if _same(got, want.T):
            raise Hint("That is the transpose: one row for each output pixel, (m, n).")
        if m > 1 and _same(got, F.interpolate(torch.eye(n)[None], size=m, mode="linear", align_corners=True)[0].T):
            raise Hint("That is align_corners=True, where the centres of the end pixels coincide. Here the outer edges do.")
        i, pixel = torch.arange(m), torch.arange(n)
        for places, hint in (((i + 0.5) * n / m - 0.5, "Rows at the border do not sum to 1: repeat the end pixels. Clamp the places."),
                             (i * n / m, "You left out the half pixel: add 0.5, scale, take 0.5 off.")):
            for at in (places, places.clamp(0, n - 1)):
                if _same(got, (1 - (at[:, None] - pixel).abs()).clamp(min=0)):
                    raise Hint(hint)
        if _same(got, F.interpolate(torch.eye(n)[None], size=m, mode="linear", antialias=False).round()[0].T):
            raise Hint("Each row has a single 1: that is nearest-neighbour interpolation.")
        expect_equal(got, want, hint="Tent weights of the distance between the place (i + 0.5) n / m - 0.5 and the pixels.")
    return "Making a map smaller this way skips pixels: 8 to 3 leaves two pixels without any weight."


@exercise("unet.overlaps")
def overlaps(answer):
    for k, s in [(3, 2), (2, 2), (4, 2), (5, 3), (6, 3), (2, 3), (5, 1)]:
        want = [len(range(position, k, s)) for position in range(s)]
        got = _sequence(answer(k, s), f"numbers for kernel {k}, stride {s}", s)
        if got == want:
            continue
        if got == [k // s] * s:
            raise Hint("k // s for all would never show a checkerboard: count the stamps of each position by itself.")
        if got == [-(-k // s)] * s:
            raise Hint("Only some positions lie under ceil(k / s) stamps: count for each position.")
        if got == want[::-1]:
            raise Hint("The order is reversed: position 0 is where a stamp begins, and lies under most stamps.")
        if len(got) == s and sum(x for x in got if isinstance(x, (int, float))) != k:
            raise Hint("The counts of one period must sum to k: each stamp's k taps fall into the s positions.")
        raise Hint(f"For kernel {k} and stride {s} the counts are {want}, got {got}.")
    return "They sum to k, so they can be equal only if s divides k."


@exercise("unet.valid_side")
def valid_side(answer):
    def side(n: int, depth: int, *, parity: bool = True, bottom: bool = True, rim: int = 4) -> int:
        for _ in range(depth):
            n -= rim
            if n < 2 or (parity and n % 2):
                return 0
            n //= 2
        n -= rim if bottom else 0
        for _ in range(depth):
            n = 2 * n - rim
        return max(n, 0)

    for n, depth in [(572, 4), (188, 4), (570, 4), (44, 2), (46, 2), (40, 2), (20, 1), (16, 4), (140, 4), (100, 0), (92, 3)]:
        want = side(n, depth)
        got = _whole(answer(n, depth), "the side")
        if got == want:
            continue
        if want == 0 and got < 0:
            raise Hint("A side cannot be negative: return 0 where nothing is left.")
        if want == 0 and got == side(n, depth, parity=False):
            raise Hint(f"With {n} pixels a pooling meets an odd side: return 0 there.")
        if got == side(n, depth, bottom=False):
            raise Hint("You forgot the two convolutions at the bottom.")
        if got == side(n, depth, rim=2):
            raise Hint("Two convolutions of 3x3 cost 2 pixels each, 4 together.")
        if got == n:
            raise Hint("The convolutions are valid, without padding: the output is smaller.")
        raise Hint(f"For n={n} and depth={depth} the side is {want}, got {got}.")
    return "With four poolings the output lacks 184 pixels, whatever the size: 92 on each side."


@exercise("unet.copy_and_crop")
def copy_and_crop(answer):
    for (h, w), (a, b) in [((9, 12), (5, 6)), ((8, 7), (8, 3)), ((11, 10), (4, 10))]:
        fine, coarse = _noise(2, 3, h, w, seed=1), _noise(2, 5, a, b, seed=2)
        top, left = (h - a) // 2, (w - b) // 2
        middle = fine[:, :, top:top + a, left:left + b]                     # b c a b
        want = torch.cat([middle, coarse], dim=1)
        got = answer(fine.clone(), coarse.clone())
        if _same(got, want):
            continue
        if _same(got, torch.cat([coarse, middle], dim=1)):
            raise Hint("The order is exchanged: the fine map's channels come first.")
        if _same(got, torch.cat([fine[:, :, :a, :b], coarse], dim=1)):
            raise Hint("You kept the top left corner: crop at the centre, or the two maps show different places.")
        if _same(got, torch.cat([F.interpolate(fine, (a, b), mode="bilinear"), coarse], dim=1)) or _same(
                got, torch.cat([F.interpolate(fine, (a, b)), coarse], dim=1)):
            raise Hint("You resized the fine map. Copy and crop keeps its scale and cuts the rim off.")
        if isinstance(got, torch.Tensor) and got.shape[2:] == (h, w):
            raise Hint("You enlarged the coarse map: crop the fine one instead.")
        expect_equal(got, want, hint="Crop (H - h) // 2 rows from the top, (W - w) // 2 columns from the left.")
    return "It is a view until the concatenation copies it: the crop itself costs nothing."


@exercise("unet.align")
def align(answer):
    for (h, w), (a, b) in [((9, 12), (8, 12)), ((7, 9), (7, 6)), ((15, 15), (14, 14)), ((10, 9), (7, 8))]:
        coarse, fine = _noise(1, 2, a, b), torch.zeros(1, 4, h, w)
        dy, dx = h - a, w - b
        want = F.pad(coarse, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
        got = answer(coarse.clone(), fine.clone())
        if _same(got, want):
            continue
        if _same(got, F.pad(coarse, (dy // 2, dy - dy // 2, dx // 2, dx - dx // 2))):
            raise Hint("The axes are exchanged: F.pad lists the last axis first (left, right, top, bottom).")
        if _same(got, F.pad(coarse, (0, dx, 0, dy))):
            raise Hint("Everything went to the bottom and right: half of it, rounded down, belongs to the top and left.")
        if _same(got, F.pad(coarse, (dx - dx // 2, dx // 2, dy - dy // 2, dy // 2))):
            raise Hint("Rounding is the other way round: top and left get the smaller half.")
        if _same(got, F.pad(coarse, (dx // 2, dx // 2, dy // 2, dy // 2))):
            raise Hint("For an odd difference one row or column is lost: the second half is d - d // 2.")
        if _same(got, F.interpolate(coarse, (h, w), mode="bilinear")) or _same(got, F.interpolate(coarse, (h, w))):
            raise Hint("You resized the map: pad it with zeros, so that its pixels stay where they are.")
        expect_equal(got, want, hint="The size of the fine map, zeros around the coarse one.")
    return "Test on pictures that are odd in one axis only: there exchanged axes show."


@exercise("unet.decoder_channels")
def decoder_channels(answer):
    for widths, join in [((64, 128, 256, 512), "concat"), ((64, 128, 256, 512), "add"), ((8, 12), "concat"), ((5,), "add")]:
        deepest = [c for c in reversed(widths)]
        want = [c * (2 if join == "concat" else 1) for c in deepest]
        got = _sequence(answer(widths, join), "numbers, one for each level", len(widths))
        if got == want:
            continue
        if len(want) > 1 and got == want[::-1]:
            raise Hint("The order is reversed: the deepest block comes first.")
        if join == "add" and got == [2 * c for c in deepest]:
            raise Hint("Adding keeps the number of channels; only concatenation doubles it.")
        if join == "concat" and got == deepest:
            raise Hint("Concatenation puts the skip's channels beside those from below: twice as many.")
        if got == [3 * c for c in deepest]:
            raise Hint("The transposed convolution halves the channels before the join: 2c become c.")
        raise Hint(f"For widths {widths} and {join!r} the blocks read {want}, got {got}.")
    return "A first convolution of twice the input channels has twice the weights: the price of concatenation."


@exercise("unet.mirror")
def mirror(answer):
    for strides in ([(1, 2), (1, 2), (2, 2)], [(2, 2), (1, 2), (2, 1), (2, 2)], [(4, 4), (2, 2)]):
        want = list(reversed(strides[1:]))
        got = _sequence(answer(list(strides)), "factors, one for each skip", len(want))
        got = [tuple(factor) if isinstance(factor, (list, tuple)) else factor for factor in got]
        if got == want:
            continue
        if got == [(2, 2)] * len(want):
            raise Hint("2x2 everywhere is the mistake of the chapter: undo each step's own strides.")
        if got == strides[1:]:
            raise Hint("The order is that of the encoder: the last step is undone first.")
        if got == list(reversed(strides[:-1])):
            raise Hint("Off by one step: the first factor undoes the last stride and meets the map before it.")
        if got == [factor[::-1] for factor in want]:
            raise Hint("Rows and columns are exchanged.")
        raise Hint(f"For strides {strides} the factors are {want}, got {got}.")
    return "The first stride is never undone here: the output is as large as the first map, and a head must do the rest."


@exercise("unet.without_skip")
def without_skip(answer):
    from dlnotes.models.unet import UNet

    for k, seed in product((0, 1), (0, 1)):
        torch.manual_seed(seed)
        net = UNet(in_channels=1, num_classes=2, width=4, depth=2).eval()
        x = _noise(2, 1, 16, 20, seed=seed)
        with torch.no_grad():
            whole = net(x)

            def run(change):
                hook = net.joins[k].register_forward_pre_hook(change)
                out = net(x)
                hook.remove()
                return out

            want = run(lambda _m, maps: (torch.zeros_like(maps[0]), maps[1]))
            other = run(lambda _m, maps: (maps[0], torch.zeros_like(maps[1])))
            both = run(lambda _m, maps: tuple(torch.zeros_like(z) for z in maps))
            got = answer(net, k, x.clone())
            if got is None or got is ...:
                raise Hint(_NOTHING)
            if _same(got, whole):
                raise Hint("The output is that of the whole network: a forward PRE-hook on net.joins[k] must return the changed inputs.")
            if _same(got, other):
                raise Hint("You silenced the map from below: the join is called with (skip, x), so zero the first.")
            if _same(got, both):
                raise Hint("You silenced both maps: keep the second.")
            expect_equal(got, want, hint="Zeros for the skip of net.joins[k] only; joins[0] is the deepest.")
            if not _same(net(x), whole):
                raise Hint("The network is changed afterwards: remove the hook, in a finally block.")
    return "With try and finally the hook goes even if the forward pass fails."
