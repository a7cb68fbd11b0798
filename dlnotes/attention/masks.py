"""Masks: who may attend to whom. All are boolean with True = may attend, as ``F.scaled_dot_product_attention`` has it.

Beware: ``attn_mask`` and ``key_padding_mask`` of ``nn.MultiheadAttention`` mean the opposite (True = may not attend).
Masks combine with ``&``: ``causal_mask(n) & padding_mask(lengths, n)``. Source of the causal mask: Vaswani et al.,
NeurIPS 2017, section 3.2.3.
"""

from collections.abc import Sequence

import torch

from ._check import check_count

__all__ = ["causal_mask", "local_mask", "padding_mask"]


def causal_mask(n: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Each token may attend to itself and to those before it.

    Args:
        n: number of tokens.
        device: where the mask lives.

    Returns:
        Boolean mask (n, n), lower triangle True.

    Raises:
        ValueError: if ``n`` is not a positive integer.

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    check_count("causal_mask", n=n)
    return torch.ones(n, n, dtype=torch.bool, device=device).tril()


def padding_mask(lengths: torch.Tensor | Sequence[int], n: int) -> torch.Tensor:
    """Sequences of different lengths in one batch: the padding behind each may not be attended to.

    Args:
        lengths: (b,) integers from 0 to n: how many tokens of each sequence are real.
        n: tokens in the padded batch.

    Returns:
        Boolean mask (b, 1, 1, n) on the device of ``lengths``: it broadcasts over heads and queries.

    Raises:
        ValueError: if ``lengths`` is not a list of integers from 0 to n.

    >>> padding_mask([1, 3], 3)[:, 0, 0].int()
    tensor([[1, 0, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    check_count("padding_mask", n=n)
    lengths = torch.as_tensor(lengths)
    if lengths.ndim != 1 or lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ValueError("padding_mask: expected lengths of shape (b,) and an integer dtype, "
                         f"got shape {tuple(lengths.shape)}, {lengths.dtype}; give one whole number for each sample")
    if lengths.numel() and not 0 <= lengths.min() <= lengths.max() <= n:
        raise ValueError(f"padding_mask: expected lengths from 0 to n={n}, got {lengths.min()} to {lengths.max()}; "
                         "n is the length of the longest, padding included")
    real = torch.arange(n, device=lengths.device) < lengths[:, None]            # (b, n)
    return real[:, None, None, :]                                               # (b, 1, 1, n)


def local_mask(h: int, w: int, radius: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Each position of an (h, w) map may attend to the square of side 2·radius + 1 around it, cut at the border.

    Args:
        h, w: height and width of the map; its tokens are numbered row by row.
        radius: reach in rows and in columns; 0 leaves each token alone with itself.
        device: where the mask lives.

    Returns:
        Boolean mask (h w, h w), symmetric.

    Raises:
        ValueError: if ``h`` or ``w`` is not a positive integer, or ``radius`` is negative.

    >>> local_mask(1, 4, 1).int()
    tensor([[1, 1, 0, 0],
            [1, 1, 1, 0],
            [0, 1, 1, 1],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    check_count("local_mask", h=h, w=w)
    if not isinstance(radius, int) or radius < 0:
        raise ValueError(f"local_mask: expected radius to be an integer of at least 0, got {radius!r}; pass a whole number")
    y = torch.arange(h, device=device).repeat_interleave(w)                     # (h w)
    x = torch.arange(w, device=device).repeat(h)                                # (h w)
    near_y = (y[:, None] - y[None, :]).abs() <= radius                          # (h w, h w)
    near_x = (x[:, None] - x[None, :]).abs() <= radius                          # (h w, h w)
    return near_y & near_x
