"""Checks at the boundary, in one voice: who asked, what was expected, what came, and the remedy."""

from collections.abc import Collection, Sequence

import torch
from torch import nn

__all__ = ["check_choice", "check_divisible", "check_input", "check_integers", "check_numbers", "check_probability"]

_REMEDY = {"b c h w": "x.unsqueeze(0) adds a missing batch axis, x.movedim(-1, 1) brings channels forward",
           "b h w c": "x.movedim(1, -1) brings channels last",
           "b n c": "dlnotes.shapes.to_tokens turns a feature map into tokens"}


def check_input(owner: str, x: torch.Tensor, axes: str, *, multiple: int = 1, at_least: int = 1,
                like: torch.Tensor | nn.Module | None = None, **sizes: int) -> None:
    """A floating tensor with the named axes, some of a fixed size, and h and w that divide.

    Args:
        owner: the class or function that asks.
        x: what came.
        axes: names separated by spaces, such as ``"b c h w"``.
        multiple: height and width must be divisible by it.
        at_least: smallest height and width, in pixels.
        like: whose dtype x must have (outside autocast): a tensor, or a module, whose first parameter tells.
        **sizes: axis name -> size it must have, such as ``c=64``.

    Raises:
        TypeError: if x is no tensor, or of another dtype.
        ValueError: if the number of axes or a size differs.

    >>> check_input("Demo", torch.zeros(2, 8, 5, 5), "b c h w", c=16)
    Traceback (most recent call last):
    ValueError: Demo: expected (b, c=16, h, w), got (b=2, c=8, h=5, w=5); pass 16 channels, or build the layer for 8
    """
    names = axes.split()
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{owner}: expected a tensor {_wanted(names, sizes)}, got {type(x).__name__}; "
                        "use torch.as_tensor first")
    if x.ndim != len(names):
        raise ValueError(f"{owner}: expected {len(names)} axes {_wanted(names, sizes)}, got shape {tuple(x.shape)}; "
                         f"{_REMEDY.get(axes, 'x.unsqueeze(0) adds a missing batch axis')}")
    for name, came in zip(names, x.shape):
        if name in sizes and came != sizes[name]:
            remedy = (f"pass {sizes[name]} channels, or build the layer for {came}" if name == "c"
                      else f"bring {name} to {sizes[name]}")
            raise ValueError(f"{owner}: expected {_wanted(names, sizes)}, got {_came(names, x)}; {remedy}")
        if name in ("h", "w") and came < at_least:
            raise ValueError(f"{owner}: expected height and width of at least {at_least}, got {_came(names, x)}; "
                             "enlarge the picture first, for example with F.interpolate")
        if name in ("h", "w") and came % multiple:
            last = ", channels_last=True" if names[-1] == "c" else ""
            raise ValueError(f"{owner}: expected height and width divisible by {multiple}, got {_came(names, x)}; "
                             f"pad first with dlnotes.shapes.pad_to_multiple(x, {multiple}{last})")
    if not x.is_floating_point():
        raise TypeError(f"{owner}: expected a floating-point tensor, got {x.dtype}; convert with x.float(), "
                        "and divide 8-bit pixels by 255")
    if isinstance(like, nn.Module):
        like = next(like.parameters())
    if like is not None and x.dtype != like.dtype and (x.device.type == "meta" or not torch.is_autocast_enabled(x.device.type)):
        raise TypeError(f"{owner}: expected {like.dtype}, the dtype of the weights, got {x.dtype}; "
                        f"convert with x.to({like.dtype})")


def _wanted(names: list[str], sizes: dict[str, int]) -> str:
    return "(" + ", ".join(f"{name}={sizes[name]}" if name in sizes else name for name in names) + ")"


def _came(names: list[str], x: torch.Tensor) -> str:
    return "(" + ", ".join(f"{name}={size}" for name, size in zip(names, x.shape)) + ")"


def check_integers(owner: str, *, at_least: int = 1, **values: int) -> None:
    """Each named value must be a whole number of at least ``at_least``; raises ValueError."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise ValueError(f"{owner}: expected {name} to be an integer of at least {at_least}, got {value!r}; "
                             "pass a whole number")


def check_numbers(owner: str, **values: Sequence) -> None:
    """Each named value must be a tuple or list of at least one entry; raises ValueError."""
    for name, value in values.items():
        if not isinstance(value, (tuple, list)) or not value:
            raise ValueError(f"{owner}: expected {name} to be a tuple with an entry for each stage, got {value!r}; "
                             f"write for example {name}=(2, 2)")


def check_divisible(owner: str, by: str, divisor: int, **values: int) -> None:
    """Each named value must be divisible by the divisor called ``by``; raises ValueError."""
    for name, value in values.items():
        if value % divisor:
            raise ValueError(f"{owner}: expected {name} divisible by {by}, got {name}={value}, {by}={divisor}; "
                             f"choose {name} as a multiple of {divisor}")


def check_choice(owner: str, choices: Collection, **value: object) -> None:
    """The one named value must be among the choices; raises ValueError."""
    (name, got), = value.items()
    if got not in choices:
        raise ValueError(f"{owner}: expected {name} to be one of {', '.join(map(repr, choices))}, got {got!r}; choose one")


def check_probability(owner: str, **values: float) -> None:
    """Each named value must lie in [0, 1); raises ValueError."""
    for name, value in values.items():
        if not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:
            raise ValueError(f"{owner}: expected {name} in [0, 1), got {value!r}; 0.0 switches it off")
