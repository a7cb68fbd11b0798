"""Checkers of chapter TITLE. TODO: replace them one by one."""

import torch

from ._core import Hint, exercise, expect_equal, expect_number

__all__: list[str] = []


def _picture(h=3, w=5, dtype=torch.float32):
    return torch.arange(3 * h * w).reshape(3, h, w).to(dtype)                       # c h w


@exercise("MODULE.numbers")
def numbers(answer):
    got = expect_number(answer(_picture()), "how many numbers there are")
    if got in (15, 3):
        raise Hint("You left an axis out: a picture has channels, rows and columns.")
    if got != 45:
        raise Hint(f"Expected 45 for shape (3, 3, 5), got {got}.")


@exercise("MODULE.size")
def size(answer):
    for dtype, right in ((torch.float32, 180), (torch.uint8, 45), (torch.float64, 360)):
        got = expect_number(answer(_picture(dtype=dtype)), "how many bytes they take")
        if got == 45 and dtype != torch.uint8:
            raise Hint("You counted numbers: how many bytes does one of them take?")
        if got != right:
            raise Hint(f"Expected {right} bytes for {dtype}, got {got}. Does your answer depend on the dtype?")


@exercise("MODULE.mirror")
def mirror(answer):
    x = _picture()
    got = answer(x.clone())
    if isinstance(got, torch.Tensor) and got.shape == x.shape:
        if torch.equal(got, x.flip(1)):
            raise Hint("You exchanged top and bottom: columns are the last axis.")
        if torch.equal(got, x.flip(0)):
            raise Hint("You exchanged the colours: columns are the last axis.")
    expect_equal(got, x.flip(2))


@exercise("MODULE.grey")
def grey(answer):
    x = _picture()
    got = answer(x.clone())
    if isinstance(got, torch.Tensor) and got.shape == x.shape[1:]:
        raise Hint("The channel axis is gone: keep it, with one channel.")
    if isinstance(got, torch.Tensor) and got.shape == (1, 3, 5) and torch.equal(got, x.sum(0, keepdim=True)):
        raise Hint("That is the sum: divide by the number of channels.")
    expect_equal(got, x.mean(0, keepdim=True))


@exercise("MODULE.middle")
def middle(answer):
    x = _picture(6, 9)
    for k in (2, 3):
        got, top, left = answer(x.clone(), k), (6 - k) // 2, (9 - k) // 2
        if isinstance(got, torch.Tensor) and torch.equal(got, x[:, :k, :k]):
            raise Hint("That is the corner, not the middle.")
        expect_equal(got, x[:, top:top + k, left:left + k], hint="Half of the rest, rounded down, comes before the square.")


@exercise("MODULE.stretch")
def stretch(answer):
    x = _picture() * torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)          # c 1 1
    got = answer(x.clone())
    if isinstance(got, torch.Tensor) and got.shape == x.shape:
        if torch.allclose(got, (x - x.min()) / (x.max() - x.min())):
            raise Hint("You took the least and greatest of all channels together.")
        if torch.allclose(got, x / high):
            raise Hint("The least number of a channel does not become 0: subtract it first.")
    expect_equal(got, (x - low) / (high - low))
