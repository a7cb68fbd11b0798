"""Carry what a Transformer learned about places over to another resolution, by interpolation, and only when asked."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

__all__ = ["is_resizable", "resize_bias_table", "resize_pos_embed", "resize_tensor"]


def resize_pos_embed(positions: torch.Tensor, grid: tuple[int, int],
                     old_grid: tuple[int, int] | None = None) -> torch.Tensor:
    """Position embeddings (1, 1 + n, d), class token first, for another grid of patches (bicubic).

    Source: Dosovitskiy et al., ICLR 2021, section 3.2. The class token keeps its own.

    Args:
        positions: (1, 1 + h*w, d).
        grid: new (height, width) in patches.
        old_grid: the old one; a square when None.

    Returns:
        (1, 1 + grid[0] * grid[1], d).

    Raises:
        ValueError: if the number of positions does not belong to ``old_grid``.

    >>> resize_pos_embed(torch.zeros(1, 1 + 14 * 14, 8), (16, 20)).shape
    torch.Size([1, 321, 8])
    """
    n = positions.shape[1] - 1
    side = math.isqrt(max(n, 0))
    old = old_grid or (side, side)
    if old[0] * old[1] != n:
        raise ValueError(f"resize_pos_embed: expected 1 + {old[0]} * {old[1]} positions, got {positions.shape[1]}; "
                         "pass old_grid=(height, width)")
    if tuple(old) == tuple(grid):
        return positions
    of_map = rearrange(positions[:, 1:], "1 (h w) d -> 1 d h w", h=old[0])
    of_map = F.interpolate(of_map, size=grid, mode="bicubic", antialias=True, align_corners=False)     # 1 d h' w'
    return torch.cat([positions[:, :1], rearrange(of_map, "1 d h w -> 1 (h w) d")], dim=1)             # 1 1+h'w' d


def resize_bias_table(table: torch.Tensor, window: int | tuple[int, int]) -> torch.Tensor:
    """A table of relative position biases ((2m-1)², heads) for windows of another size (bicubic over the offsets).

    Source: Liu et al., "Swin Transformer", ICCV 2021, section 3.2 ("relative position bias").

    Args:
        table: ((2m - 1)**2, heads), rows of offsets first.
        window: new window size, one side or (height, width).

    Returns:
        ((2 * height - 1) * (2 * width - 1), heads).

    Raises:
        ValueError: if the table does not belong to a square window.

    >>> resize_bias_table(torch.zeros(13 * 13, 3), 8).shape
    torch.Size([225, 3])
    """
    side = math.isqrt(table.shape[0])
    if side * side != table.shape[0] or side % 2 == 0:
        raise ValueError(f"resize_bias_table: expected (2m - 1)**2 rows, got a table of shape {tuple(table.shape)}; "
                         "pass the table of a square window")
    height, width = (window, window) if isinstance(window, int) else window
    of_map = rearrange(table, "(h w) heads -> 1 heads h w", h=side)
    of_map = F.interpolate(of_map, size=(2 * height - 1, 2 * width - 1), mode="bicubic", align_corners=False)
    return rearrange(of_map, "1 heads h w -> (h w) heads")


def is_resizable(name: str) -> bool:
    """Whether a parameter of that name speaks of places, so that interpolating it means something."""
    return name.endswith(("pos_embed", "relative_position_bias_table"))


def resize_tensor(name: str, tensor: torch.Tensor, model: nn.Module) -> torch.Tensor | None:
    """The tensor at the size that the model's parameter of that name has, or None where no rule speaks of it."""
    wanted = model.get_parameter(name) if name in dict(model.named_parameters()) else None
    if wanted is None:
        return None
    if name.endswith("pos_embed") and tensor.ndim == 3 and tensor.shape[2] == wanted.shape[2]:
        return resize_pos_embed(tensor, model.grid)
    if name.endswith("relative_position_bias_table") and tensor.ndim == 2 and tensor.shape[1] == wanted.shape[1]:
        window = model.get_submodule(name.rpartition(".")[0]).window_size
        return resize_bias_table(tensor, window)
    return None
