"""Which axis holds the channels, and how a module made for maps reads a network whose features are laid out otherwise.

Convolutional networks pass maps (b c h w), ViT passes tokens (b n c), Swin maps with channels last (b h w c). The size of a
picture tells them apart: run a network on a larger one, and the axis that does not grow is the channels'.
"""

from collections.abc import Sequence
from math import isqrt

import torch
from einops import rearrange
from torch import nn

__all__ = ["LAYOUTS", "adapt", "channel_axis", "layout_of"]

LAYOUTS = {"b c": 1, "b n c": 2, "b c n": 1, "b c h w": 1, "b h w c": 3, "b c t h w": 1, "b t h w c": 4}
"""The layouts that features come in, and the axis of the channels in each."""


def channel_axis(shape: Sequence[int], larger: Sequence[int] | None = None) -> int | None:
    """The axis of the channels, or None where the shapes do not tell.

    Args:
        shape: of the features of one picture.
        larger: of the features of a larger picture, or None.

    >>> channel_axis((1, 96, 8, 8), (1, 96, 16, 16)), channel_axis((1, 8, 8, 96), (1, 16, 16, 96))
    (1, 3)
    >>> channel_axis((1, 8, 8, 96)) is None                         # 8 channels of 8 by 96, or 96 channels of 8 by 8?
    True
    """
    if larger is not None and len(larger) == len(shape):
        still = [axis for axis in range(1, len(shape)) if shape[axis] == larger[axis]]
        if len(still) == 1:
            return still[0]
    if len(shape) == 4 and shape[1] == shape[2] != shape[3]:
        return None
    return {2: 1, 3: 2}.get(len(shape), 1)


def layout_of(shape: Sequence[int], larger: Sequence[int] | None = None) -> str | None:
    """The layout of features, one of ``LAYOUTS``, or None where the shapes do not tell.

    >>> layout_of((1, 197, 192)), layout_of((1, 64, 7, 7))
    ('b n c', 'b c h w')
    """
    axis = channel_axis(shape, larger)
    return next((axes for axes, channels in LAYOUTS.items() if len(axes.split()) == len(shape) and channels == axis), None)


class OnTokens(nn.Module):
    """A module for maps, at work on tokens: those of the grid become a map, those before it (a class token) pass by.

    Args:
        module: takes (b, c, h, w) to (b, c, h, w).
        grid: height and width of the map in tokens.

    >>> OnTokens(nn.Conv2d(8, 8, 3, padding=1), grid=(4, 6))(torch.zeros(2, 1 + 24, 8)).shape
    torch.Size([2, 25, 8])
    """

    def __init__(self, module: nn.Module, grid: tuple[int, int]):
        super().__init__()
        self.module, self.grid = module, grid

    def forward(self, *tokens: torch.Tensor) -> torch.Tensor:
        """(b, n, c) to (b, n, c), with n of at least h * w; raises ValueError where there are fewer."""
        h, w = self.grid
        first = tokens[0].shape[1] - h * w
        if first < 0:
            raise ValueError(f"OnTokens: expected at least {h} * {w} = {h * w} tokens, got {tokens[0].shape[1]}; "
                             "insert for the size of picture that you use, or pass its grid=(height, width)")
        maps = [rearrange(each[:, first:], "b (h w) c -> b c h w", h=h) for each in tokens]
        out = rearrange(self.module(*maps), "b c h w -> b (h w) c")                     # b h*w c
        return torch.cat([tokens[0][:, :first], out], dim=1)                            # b n c


class OnChannelsLast(nn.Module):
    """A module for maps, at work on maps with channels last.

    Args:
        module: takes (b, c, h, w) to (b, c, h, w).

    >>> OnChannelsLast(nn.Conv2d(8, 8, 3, padding=1))(torch.zeros(2, 4, 6, 8)).shape
    torch.Size([2, 4, 6, 8])
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """(b, h, w, c) to (b, h, w, c)."""
        out = self.module(*(rearrange(each, "b h w c -> b c h w") for each in maps))
        return rearrange(out, "b c h w -> b h w c")                                     # b h w c


def adapt(module: nn.Module, layout: str, shape: Sequence[int], grid: tuple[int, int] | None, name: str) -> nn.Module:
    """The module for maps such that it takes features of the given layout and shape.

    Raises:
        ValueError: if the layout is not one of maps, or the tokens fill no square and no ``grid`` says how they lie.
    """
    if layout == "b c h w":
        return module
    if layout == "b h w c":
        return OnChannelsLast(module)
    if layout != "b n c":
        raise ValueError(f"insert: expected {name} to pass maps or tokens to {type(module).__name__}, got shape "
                         f"{tuple(shape)}; choose a place inside the network, or a module made for that shape")
    if grid is None:
        square = next((isqrt(n) for n in (shape[1], shape[1] - 1) if n > 0 and isqrt(n) ** 2 == n), None)
        if square is None:
            raise ValueError(f"insert: expected the tokens of {name} to fill a square, with or without a class token, got "
                             f"{shape[1]}; pass grid=(height, width)")
        grid = (square, square)
    return OnTokens(module, grid)
