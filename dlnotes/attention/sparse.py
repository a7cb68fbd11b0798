"""Top-k attention: each query keeps its ``keep`` best keys; the others are set to -inf before the softmax.

Masking before the softmax keeps every row a weighting that sums to one. Multiplying the scores, or the weights, by a 0/1
mask does not. It saves no work: all n² scores are needed to know which are the best.
Source: Zhao et al., "Explicit Sparse Transformer", arXiv 1912.11637 (2019), section 3. Departure: where scores tie at the
threshold we keep exactly ``keep`` keys (``topk`` decides which); the paper keeps all that tie.
"""

import torch

from ._check import check_count, check_qkv
from .scaled_dot_product import attention_scores, explicit_attention

__all__ = ["topk_attention", "topk_mask"]


def topk_mask(scores: torch.Tensor, keep: int) -> torch.Tensor:
    """True at the ``keep`` largest scores of every row.

    Args:
        scores: (..., n, m).
        keep: how many keys each query keeps, 1 to m.

    Returns:
        Boolean mask (..., n, m) with exactly ``keep`` True in every row.

    Raises:
        ValueError: if ``keep`` is not an integer from 1 to m.

    >>> topk_mask(torch.tensor([[1.0, 3.0, 2.0]]), keep=2)
    tensor([[False,  True,  True]])
    """
    check_count("topk_mask", keep=keep)
    if not isinstance(scores, torch.Tensor) or scores.ndim < 1 or keep > scores.shape[-1]:
        shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ValueError(f"topk_mask: expected scores (..., n, m) with at least keep={keep} keys, got {shape}; keep fewer")
    best = scores.topk(keep, dim=-1).indices                                        # (..., n, keep)
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)       # (..., n, m)


def topk_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, keep: int, scale: float | None = None) -> torch.Tensor:
    """Attention of each query to its ``keep`` best keys only.

    Args:
        q: queries (..., n, d), floating dtype.
        k: keys (..., m, d).
        v: values (..., m, e).
        keep: how many keys each query keeps, 1 to m; m gives plain attention.
        scale: factor on the scores; 1/√d when None.

    Returns:
        (..., n, e).

    Raises:
        ValueError, TypeError: if shapes do not fit or ``keep`` is out of range.

    >>> q, k, v = torch.zeros(1, 4), torch.randn(6, 4), torch.randn(6, 3)
    >>> topk_attention(q, k, v, keep=6).shape
    torch.Size([1, 3])
    """
    check_qkv("topk_attention", q, k, v)
    mask = topk_mask(attention_scores(q, k, scale), keep)                           # (..., n, m)
    return explicit_attention(q, k, v, mask, scale)[0]
