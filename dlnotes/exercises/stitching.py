"""Checkers of chapter 3c (module stitching)."""

import math

import torch

from ._core import Hint, exercise

_NOTHING = "Your function returned nothing yet: replace the ... and return the result."


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _tensor(got, shape: tuple[int, ...]) -> torch.Tensor:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, torch.Tensor):
        raise Hint(f"Expected a tensor, got {type(got).__name__}.")
    if got.shape != shape:
        raise Hint(f"Expected the shape {tuple(shape)}, got {tuple(got.shape)}.")
    return got.detach()


def _same(got: torch.Tensor, want: torch.Tensor) -> bool:
    return torch.allclose(got.to(want), want, atol=1e-6)


def _whole(got, what: str) -> int:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        raise Hint(f"Expected {what} as a whole number, got {type(got).__name__}.")
    if got != int(got):
        raise Hint(f"Expected {what} as a whole number, got {got}.")
    return int(got)


@exercise("stitching.combine")
def combine(answer):
    x = _noise(2, 3, 4, 5)
    calls = {"f": 0, "m": 0}

    def f(z):
        calls["f"] += 1
        return 2 * z + 1

    def m(z):
        calls["m"] += 1
        return z.square() - 3

    y = 2 * x + 1
    want = {"add": y + y.square() - 3, "nest": y.square() - 3, "parallel": y + x.square() - 3, "replace": x.square() - 3}
    for how, expected in want.items():
        calls.update(f=0, m=0)
        got = _tensor(answer(f, m, x.clone(), how), x.shape)
        if not _same(got, expected):
            other = next((name for name, value in want.items() if _same(got, value)), None)
            if other:
                raise Hint(f"For {how!r} you return what {other!r} should give.")
            if how == "nest" and _same(got, 2 * (x.square() - 3) + 1):
                raise Hint("For 'nest' that is f(m(x)): the module stands behind the part, m(f(x)).")
            if how == "add" and _same(got, x + y.square() - 3):
                raise Hint("For 'add' the module's answer is added to y = f(x), not to x.")
            raise Hint(f"For {how!r} the numbers are others: read its row in the table of the four ways.")
        if how == "replace" and calls["f"]:
            raise Hint("For 'replace' the part f is gone: do not call it.")
        if calls["f"] > 1 or calls["m"] > 1:
            raise Hint(f"For {how!r} f was called {calls['f']} times and m {calls['m']} times: once each is enough, keep y = f(x).")
    return "What m reads, f's input or f's output, decides which shapes fit."


@exercise("stitching.blend")
def blend(answer):
    y = _noise(2, 3, 4, 4)

    def m(z):
        return z.exp() - 2

    for gamma in (0.0, 1.0, 0.25, -0.5):
        got = _tensor(answer(y.clone(), m, gamma), y.shape)
        if _same(got, y + gamma * (m(y) - y)):
            continue
        if _same(got, gamma * m(y)):
            raise Hint("At γ = 0 that gives zeros: what must be left there is y.")
        if _same(got, y + gamma * m(y)):
            raise Hint("That is 'add' with γ: at γ = 1 it gives y + m(y), and m(y) alone is wanted.")
        if _same(got, gamma * y + (1 - gamma) * m(y)):
            raise Hint("The ends are exchanged: y belongs to γ = 0.")
        raise Hint(f"For γ = {gamma} the numbers are others: a straight line from y to m(y).")
    return "Nothing binds γ to the range from 0 to 1; training decides."


@exercise("stitching.strips")
def strips(answer):
    for h, w in ((4, 6), (5, 3)):
        x = _noise(2, 3, h, w)
        rows, columns = x.mean(3), x.mean(2)                                # b c h, b c w
        want = torch.cat([rows, columns], 2)[..., None]                     # b c h+w 1
        got = answer(x.clone())
        if isinstance(got, torch.Tensor) and got.shape == want.shape[:-1]:
            raise Hint("The last axis of size 1 is missing: the strips enter a 2-D convolution.")
        if isinstance(got, torch.Tensor) and got.ndim == 4 and got.shape[2:] == (1, h + w):
            raise Hint("Your strip lies along the last axis: (b, c, h + w, 1) is wanted.")
        got = _tensor(got, want.shape)
        if _same(got, want):
            continue
        if _same(got, torch.cat([columns, rows], 2)[..., None]):
            raise Hint("Rows come first: the mean of a row runs over the columns, axis 3.")
        if _same(got, torch.cat([x.amax(3), x.amax(2)], 2)[..., None]):
            raise Hint("That is the maximum; coordinate attention takes the mean.")
        if _same(got, torch.cat([x.sum(3), x.sum(2)], 2)[..., None]):
            raise Hint("That is the sum: a longer row would weigh more. Take the mean.")
        raise Hint("The mean of each row (over axis 3), then the mean of each column (over axis 2), joined along axis 2.")
    return "h + w numbers a channel, where squeeze-and-excitation keeps one."


@exercise("stitching.recover")
def recover(answer):
    x, y = _noise(2, 3, 4, 4, seed=1), _noise(2, 3, 4, 4, seed=2)
    w = _noise(2, 3, 4, 4, seed=3).sigmoid()
    x[0, 0, :2] = y[0, 0, :2]                                               # equal here: w cannot be known
    z = x + y + w * x + (1 - w) * y
    want = torch.where(x == y, 0.5, w)
    got = _tensor(answer(x.clone(), y.clone(), z.clone()), want.shape)
    if not torch.isfinite(got).all():
        raise Hint("There are numbers that are not finite: where x and y are equal you divide by zero. Return 0.5 there.")
    if _same(got[0, 1:], want[0, 1:]) and _same(got[1], want[1]):
        if _same(got, want):
            return "Where both maps agree the gate has nothing to decide, and it gets no gradient either."
        raise Hint("Right where x and y differ. Where they are equal, return 0.5.")
    if _same(got[1], (1 - want)[1]):
        raise Hint("That is 1 - w: w belongs to x.")
    d = torch.where(x == y, torch.ones_like(x), x - y)
    if _same(got[1], ((z - y) / d)[1]):
        raise Hint("You left out the x + y in front: solve z - x - y = w x + (1 - w) y.")
    raise Hint("Solve z = x + y + w x + (1 - w) y for w: z - x - 2 y = w (x - y).")


@exercise("stitching.window_bytes")
def window_bytes(answer):
    for b, k, h, w, m, size in [(10, 8, 128, 256, 8, 4), (1, 2, 32, 64, 8, 4), (3, 4, 14, 21, 7, 2), (2, 1, 16, 16, 16, 2)]:
        want = b * k * h * w * m * m * size
        got = _whole(answer(b, k, h, w, m, size), "the bytes")
        if got == want:
            continue
        if got == b * k * (h * w) ** 2 * size:
            raise Hint("That is the table over all pairs: in a window a token meets m * m keys only.")
        if got == b * k * m**4 * size:
            raise Hint("That is one window: there are (h / m) * (w / m) of them.")
        if got == 2 * want:
            raise Hint("That is twice as much: one table, of scores, is asked for.")
        if got == b * k * h * w * m * size:
            raise Hint("A window of side m has m * m keys, not m.")
        if got * size == want:
            raise Hint("That is the number of scores: times the bytes of each.")
        raise Hint(f"For batch {b}, heads {k}, {h} × {w}, m = {m}, {size} bytes: {want}, got {got}.")
    return "Linear in the number of positions: a map twice as wide costs twice as much."


@exercise("stitching.largest_side")
def largest_side(answer):
    def side(budget: int, cells: int) -> int:
        s = 0
        while cells * (s + 1) ** 4 <= budget:
            s += 1
        return s

    for budget, b, k in [(2**30, 1, 1), (24 * 2**30, 10, 8), (8 * 2**30, 4, 8), (7, 1, 1), (8 * 81, 1, 1), (8 * 81 - 1, 1, 1)]:
        want = side(budget, 8 * b * k)
        got = _whole(answer(budget, b, k), "the side")
        if got == want:
            continue
        if got == side(budget, 4 * b * k):
            raise Hint("You counted one table: scores and weights are both there.")
        if got == side(budget, 2 * b * k):
            raise Hint("A number of float32 takes four bytes.")
        if got == math.isqrt(budget // (8 * b * k)):
            raise Hint("That is the number of tokens: a square map of side s has s² of them, and the table s⁴ cells.")
        if got == want + 1:
            raise Hint("One too large: round down, it must still fit.")
        raise Hint(f"For {budget} bytes, batch {b} and {k} heads the side is {want}, got {got}: 8 · batch · heads · s⁴ must fit.")
    return "The fourth root: sixteen times the memory buys a map of twice the side."


@exercise("stitching.paired")
def paired(answer):
    a, b = [0.81, 0.84, 0.78, 0.90, 0.85], [0.79, 0.83, 0.77, 0.87, 0.84]
    d = torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)
    want = d.mean().item(), (d.std() / 5**0.5).item()
    got = answer(list(a), list(b))
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Hint("Expected two numbers: the mean difference and its standard error.")
    mean, error = (float(x) for x in got)
    if math.isclose(mean, -want[0], rel_tol=1e-4):
        raise Hint("The sign is turned: with minus without.")
    if not math.isclose(mean, want[0], rel_tol=1e-4):
        raise Hint(f"The mean difference is {want[0]:.4f}, got {mean:.4f}.")
    if math.isclose(error, want[1], rel_tol=1e-3):
        return "The seeds' common ups and downs have cancelled: the differences vary far less than the scores."
    spread = [torch.tensor(s, dtype=torch.float64).std().item() for s in (a, b)]
    if math.isclose(error, d.std().item(), rel_tol=1e-3):
        raise Hint("That is the standard deviation of the differences: divide by √n.")
    if math.isclose(error, d.std(unbiased=False).item() / 5**0.5, rel_tol=1e-3):
        raise Hint("Divide by n - 1, not by n, inside the standard deviation.")
    if math.isclose(error, ((spread[0] ** 2 + spread[1] ** 2) / 5) ** 0.5, rel_tol=1e-3):
        raise Hint("That takes the two lists as unrelated. They share their seeds: take the deviation of the differences.")
    raise Hint(f"The standard error of the differences is {want[1]:.5f}, got {error:.5f}.")
