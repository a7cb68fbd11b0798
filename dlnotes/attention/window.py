"""Attention inside windows: a map is cut into squares, each attends within itself, and every second layer cuts elsewhere.

The cost grows with the number of tokens, not with its square. Moving the cut by half a window lets neighbours that were
separated meet in the next layer. Windows that then stick out of the map are filled by rolling the map around, and a mask
keeps apart what only the rolling has brought together. A learned bias tells each pair in a window how far apart it is.
Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, section 3.2,
equation 4 (bias) and figure 4 (cyclic shift).
Departures: masked pairs get exactly no weight (-inf), where the authors' code adds -100 to their scores. A map that is no
higher (or no wider) than one window is not shifted along that axis, as in torchvision; the authors' code then leaves the
other axis in place too.
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

from .scaled_dot_product import fused_attention

__all__ = ["WindowAttention", "relative_position_index", "shifted_regions", "shifted_window_mask"]


def relative_position_index(window: int) -> torch.Tensor:
    """Which row of the table of biases belongs to each pair of positions in a window.

    Two positions in a window of side m differ by -(m - 1) to m - 1 rows, and as many columns: (2m - 1)² offsets, each with
    one learned number per head. Offsets are numbered row by row, from the most negative. Pairs with the same offset share a
    number, as the pixels under one weight of a convolution do.

    Args:
        window: side of the window in positions.

    Returns:
        (window², window²) int64: query, key.

    Raises:
        ValueError: if ``window`` is not a positive integer.

    >>> relative_position_index(2)                  # offset (0, 0), row 1 of 3, column 1 of 3, has number 4
    tensor([[4, 3, 1, 0],
            [5, 4, 2, 1],
            [7, 6, 4, 3],
            [8, 7, 5, 4]])
    """
    check_integers("relative_position_index", window=window)
    place = torch.arange(window * window)                                           # n = window²
    row, column = place // window, place % window                                   # n
    rows_apart = row[:, None] - row[None, :] + window - 1                           # n n, from 0 to 2m - 2
    columns_apart = column[:, None] - column[None, :] + window - 1                  # n n
    return rows_apart * (2 * window - 1) + columns_apart                            # n n


def shifted_regions(h: int, w: int, window: int, shift: int | tuple[int, int],
                    device: torch.device | str | None = None) -> torch.Tensor:
    """Which positions of a rolled map have gone round: 0 has not, 1 went from left to right, 2 from top to bottom, 3 both.

    The map has been rolled up and left by ``shift``. What left at the top is now at the bottom, beside rows that it has
    nothing to do with. The authors number nine regions; the other borders among those are borders between windows, which
    separate anyway, so these four give the same mask.

    Args:
        h, w: height and width of the map, divisible by ``window``.
        window: side of a window.
        shift: rows and columns that the map was rolled by, one number or (rows, columns), less than ``window``.
        device: where the result lives.

    Returns:
        (h, w) int64.

    Raises:
        ValueError: if ``h`` or ``w`` is not divisible by ``window``, or ``shift`` not from 0 to ``window - 1``.

    >>> shifted_regions(4, 4, window=2, shift=1)
    tensor([[0, 0, 0, 1],
            [0, 0, 0, 1],
            [0, 0, 0, 1],
            [2, 2, 2, 3]])
    """
    check_integers("shifted_regions", h=h, w=w, window=window)
    check_divisible("shifted_regions", "window", window, h=h, w=w)
    pair = shift if isinstance(shift, tuple) else (shift, shift)
    if len(pair) != 2 or any(not isinstance(s, int) or not 0 <= s < window for s in pair):
        raise ValueError(f"shifted_regions: expected shift from 0 to window - 1 = {window - 1}, got {shift!r}; "
                         "half a window is usual")
    from_top = torch.arange(h, device=device) >= h - pair[0]                        # h
    from_left = torch.arange(w, device=device) >= w - pair[1]                       # w
    return 2 * from_top.long()[:, None] + from_left.long()[None, :]                 # h w


def shifted_window_mask(h: int, w: int, window: int, shift: int | tuple[int, int],
                        device: torch.device | str | None = None) -> torch.Tensor:
    """Within each window of a rolled map, who may attend to whom: those of the same region.

    Args:
        h, w, window, shift, device: as in :func:`shifted_regions`.

    Returns:
        Boolean mask (windows, window², window²), windows row by row, True = may attend. No row is empty: a position may
        always attend to itself.

    >>> shifted_window_mask(4, 4, window=2, shift=1)[1].int()       # top right: its second column came from the left
    tensor([[1, 0, 1, 0],
            [0, 1, 0, 1],
            [1, 0, 1, 0],
            [0, 1, 0, 1]], dtype=torch.int32)
    """
    regions = shifted_regions(h, w, window, shift, device)                                          # h w
    regions = rearrange(regions, "(nh i) (nw j) -> (nh nw) (i j)", i=window, j=window)              # windows n
    return regions[:, :, None] == regions[:, None, :]                                               # windows n n


class WindowAttention(nn.Module):
    """Multi-head self-attention within the windows of a map, with a learned bias for each offset (W-MSA, SW-MSA).

    Args:
        dim: width of a token, divisible by ``heads``.
        heads: number of heads.
        window_size: side m of a window in tokens.
        shift: tokens by which the windows are moved down and right; 0, or about half of ``window_size``.

    Raises:
        ValueError: if a size is not a positive integer, ``dim`` not divisible by ``heads``, or ``shift`` not less than
            ``window_size``.

    >>> layer = WindowAttention(dim=32, heads=4, window_size=7, shift=3)
    >>> layer(torch.randn(2, 14, 21, 32)).shape
    torch.Size([2, 14, 21, 32])
    """

    def __init__(self, dim: int, heads: int, window_size: int = 7, shift: int = 0):
        super().__init__()
        check_integers("WindowAttention", dim=dim, heads=heads, window_size=window_size)
        check_integers("WindowAttention", at_least=0, shift=shift)
        check_divisible("WindowAttention", "heads", heads, dim=dim)
        if shift >= window_size:
            raise ValueError(f"WindowAttention: expected shift below window_size={window_size}, got {shift}; "
                             f"half a window is {window_size // 2}")
        self.dim, self.heads, self.window_size, self.shift = dim, heads, window_size, shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window_size), persistent=False)

    def bias(self) -> torch.Tensor:
        """The bias of every pair in a window: (1, heads, n, n) with n = window_size²."""
        bias = self.relative_position_bias_table[self.relative_position_index]      # n n heads
        return rearrange(bias, "n m heads -> 1 heads n m").contiguous()             # 1 heads n n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend within windows.

        Args:
            x: a map, channels last: (b, h, w, dim), height and width divisible by ``window_size``.

        Returns:
            (b, h, w, dim).

        Raises:
            ValueError: if a size does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        m = self.window_size
        check_input("WindowAttention", x, "b h w c", c=self.dim, multiple=m, like=self)
        b, h, w, _ = x.shape
        rows, columns = (0 if side <= m else self.shift for side in (h, w))         # one window has nothing to exchange
        mask = self.bias()                                                          # 1 heads n n
        if rows or columns:
            x = x.roll((-rows, -columns), dims=(1, 2))
            allowed = shifted_window_mask(h, w, m, (rows, columns), x.device)       # windows n n
            apart = torch.zeros_like(allowed, dtype=mask.dtype).masked_fill(~allowed, float("-inf"))    # windows n n
            mask = mask + apart.repeat(b, 1, 1)[:, None]                            # (b windows) heads n n
        x = rearrange(x, "b (nh i) (nw j) c -> (b nh nw) (i j) c", i=m, j=m)        # (b windows) n c
        x = self.qkv(x)                                                             # (b windows) n 3c
        q, k, v = rearrange(x, "b n (three heads d) -> three b heads n d", three=3, heads=self.heads)
        x = fused_attention(q, k, v, mask)                                          # (b windows) heads n d, as q, k, v
        x = self.proj(rearrange(x, "b heads n d -> b n (heads d)"))                 # (b windows) n c
        x = rearrange(x, "(b nh nw) (i j) c -> b (nh i) (nw j) c", b=b, nh=h // m, i=m)             # b h w c
        return x.roll((rows, columns), dims=(1, 2)) if rows or columns else x
