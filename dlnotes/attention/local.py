"""Local attention: each position of a map attends to the window around it, and only those scores are ever computed.

The map of keys is unfolded into one small window for each query, so there are n·window² scores instead of n². A class
that masks a full n × n matrix gives the same numbers at the full price. At the border the part of the window outside the
map is masked; padding with zero keys instead would let them take weight, since exp(0) = 1.
Source: Ramachandran et al., "Stand-Alone Self-Attention in Vision Models", NeurIPS 2019, section 3, without its relative
positions.
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from ._check import check_count, check_qkv

__all__ = ["local_attention"]


def local_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, h: int, w: int, window: int,
                    scale: float | None = None) -> torch.Tensor:
    """Attention of every position to the (window, window) square around it, cut at the border.

    Equal to ``attention(q, k, v, local_mask(h, w, window // 2))``. Memory: n·window² scores, and n·window²·d numbers
    each for the unfolded keys and values, with n = h·w.

    Args:
        q, k, v: (..., h w, d), tokens row by row, same leading axes, floating dtype.
        h, w: height and width of the map.
        window: side of the window in positions, odd.
        scale: factor on the scores; 1/√d when None.

    Returns:
        (..., h w, d).

    Raises:
        ValueError: if shapes do not fit, or ``window`` is even.

    >>> q, k, v = (torch.randn(2, 30, 8) for _ in range(3))
    >>> local_attention(q, k, v, h=5, w=6, window=3).shape
    torch.Size([2, 30, 8])
    """
    check_qkv("local_attention", q, k, v)
    check_count("local_attention", h=h, w=w, window=window)
    if window % 2 == 0:
        raise ValueError(f"local_attention: expected an odd window, so that it has a centre, got {window}; "
                         f"take {window + 1}")
    if not q.shape[:-1] == k.shape[:-1] == v.shape[:-1] or q.shape[-2] != h * w:
        raise ValueError(f"local_attention: expected q, k, v of shape (..., h*w={h * w}, d) with equal leading axes, "
                         f"got {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}; "
                         "dlnotes.shapes.to_tokens makes such of maps")
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    lead = q.shape[:-2]
    q, k, v = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))                         # b n d
    keys, values = (_windows(x, h, w, window) for x in (k, v))                          # b n window² d
    inside = _windows(k.new_ones(1, h * w, 1), h, w, window)[..., 0] > 0                # 1 n window²
    scores = torch.einsum("b n d, b n j d -> b n j", q * scale, keys)                   # b n window²
    weights = scores.masked_fill(~inside, float("-inf")).softmax(dim=-1)                # b n window²
    out = torch.einsum("b n j, b n j d -> b n d", weights, values)                      # b n d
    return out.reshape(*lead, *out.shape[-2:])                                          # (..., n, d)


def _windows(x: torch.Tensor, h: int, w: int, window: int) -> torch.Tensor:
    """(b, h w, d) -> (b, h w, window², d): the window around every position, zeros outside the map."""
    x = rearrange(x, "b (h w) d -> b d h w", h=h, w=w)
    x = F.pad(x, [window // 2] * 4)                                                     # b d h+window-1 w+window-1
    x = x.unfold(-2, window, 1).unfold(-2, window, 1)                                   # b d h w i j (a view)
    return rearrange(x, "b d h w i j -> b (h w) (i j) d")
