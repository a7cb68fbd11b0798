"""Sinusoidal positions: attention does not see order, so each token carries its place as a set of sines.

Source: Vaswani et al., NeurIPS 2017, section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) the cosine.
The form for maps gives half of the width to the row and half to the column; it is a common extension, not in the paper.
"""

import torch
from einops import rearrange

from ._check import check_count

__all__ = ["sinusoidal_positions", "sinusoidal_positions_2d"]


def sinusoidal_positions(n: int, d: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Positions of a sequence; sines at even, cosines at odd indices, wavelengths from 2π to nearly 10000·2π tokens.

    Args:
        n: number of tokens.
        d: token width, even.
        device: where the result lives.

    Returns:
        (n, d) float32, values in [-1, 1]. Every row has the same norm, √(d/2).

    Raises:
        ValueError: if ``n`` or ``d`` is not a positive integer, or ``d`` is odd.

    >>> sinusoidal_positions(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    check_count("sinusoidal_positions", n=n, d=d)
    if d % 2:
        raise ValueError(f"sinusoidal_positions: expected an even width d, got {d}; each sine has its cosine")
    position = torch.arange(n, dtype=torch.float64)[:, None]                                    # (n, 1)
    frequency = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)                    # (d/2)
    angle = position * frequency                                                                # (n, d/2)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)                                     # (n, d/2, 2)
    return rearrange(pairs, "n half two -> n (half two)").to(device=device, dtype=torch.float32)    # (n, d)


def sinusoidal_positions_2d(h: int, w: int, d: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Positions of a map: the first half of the width tells the row, the second half the column.

    Args:
        h, w: height and width in tokens.
        d: token width, divisible by 4.
        device: where the result lives.

    Returns:
        (h w, d) float32, tokens row by row.

    Raises:
        ValueError: if a size is not a positive integer, or ``d`` is not divisible by 4.

    >>> sinusoidal_positions_2d(8, 8, 96).shape
    torch.Size([64, 96])
    """
    check_count("sinusoidal_positions_2d", h=h, w=w, d=d)
    if d % 4:
        raise ValueError(f"sinusoidal_positions_2d: expected a width d divisible by 4, got {d}; "
                         "half of it goes to the row, half to the column, and each to sines and cosines")
    rows = sinusoidal_positions(h, d // 2, device).repeat_interleave(w, dim=0)      # (h w, d/2)
    columns = sinusoidal_positions(w, d // 2, device).repeat(h, 1)                  # (h w, d/2)
    return torch.cat([rows, columns], dim=-1)                                       # (h w, d)
