"""Scaled dot-product attention: each query asks every key how well it fits, and takes a weighted mean of the values.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.1, equation 1:
softmax(q kᵀ / √d) v. The division keeps the variance of the scores near one, whatever the width.

``explicit_attention`` is the teaching version: it makes the whole matrix of weights. ``attention`` gives the same
output through PyTorch's fused kernel, which never stores that matrix. ``fused_attention`` is that kernel without the checks,
for models that have checked their input.
Departure from PyTorch's history: a query that may attend to nothing gets zeros here, in every version of torch. The
plain formula divides 0 by 0 there and gives NaN (as ``torch.softmax`` does on a row of -inf), and one NaN row spoils
every gradient.
"""

import torch
import torch.nn.functional as F

from ._check import broadcast, check_mask, check_qkv

__all__ = ["attention", "attention_scores", "attention_weights", "explicit_attention", "fused_attention"]


def attention_scores(q: torch.Tensor, k: torch.Tensor, scale: float | None = None) -> torch.Tensor:
    """How well each query fits each key: q kᵀ · scale, before the softmax.

    Args:
        q: queries (..., n, d), floating dtype.
        k: keys (..., m, d).
        scale: factor on the scores; 1/√d when None.

    Returns:
        Scores (..., n, m).

    Raises:
        ValueError, TypeError: if shapes, dtypes or devices do not fit.

    >>> attention_scores(torch.ones(5, 4), torch.ones(3, 4))[0]
    tensor([2., 2., 2.])
    """
    check_qkv("attention_scores", q, k)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return (q * scale) @ k.mT                                       # (..., n, m)


def attention_weights(q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None = None,
                      scale: float | None = None) -> torch.Tensor:
    """Softmax of the scores over the keys: each row is non-negative and sums to one.

    Args:
        q: queries (..., n, d), floating dtype.
        k: keys (..., m, d).
        mask: broadcasts to (..., n, m). Boolean: True = may attend, as in ``F.scaled_dot_product_attention``
            (``nn.MultiheadAttention`` has it the other way round). Of q's dtype: added to the scores.
        scale: factor on the scores; 1/√d when None.

    Returns:
        Weights (..., n, m). A row in which nothing may be attended to (all False, or all -inf) is zero, not NaN.

    Raises:
        ValueError, TypeError: if shapes, dtypes or devices do not fit.

    >>> mask = torch.tensor([[True, True, False], [False, False, False]])
    >>> attention_weights(torch.zeros(2, 4), torch.zeros(3, 4), mask)
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    check_qkv("attention_weights", q, k)
    scores = attention_scores(q, k, scale)                          # (..., n, m)
    if mask is None:
        return scores.softmax(dim=-1)
    check_mask("attention_weights", mask, scores.shape, scores.dtype)
    mask, empty = _open_empty_rows(mask)
    scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1).masked_fill(empty, 0.0)           # (..., n, m)


def explicit_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None,
                       scale: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention as the formula says it, with the matrix of weights: the version to read, to plot and to change.

    Args:
        q: queries (..., n, d), floating dtype.
        k: keys (..., m, d).
        v: values (..., m, e).
        mask, scale: as in :func:`attention_weights`.

    Returns:
        Output (..., n, e) and weights (..., n, m). A query that may attend to nothing gets zeros in both.

    Raises:
        ValueError, TypeError: if shapes, dtypes or devices do not fit.

    >>> q, k, v = torch.zeros(1, 4), torch.zeros(2, 4), torch.tensor([[1.0], [3.0]])
    >>> explicit_attention(q, k, v)
    (tensor([[2.]]), tensor([[0.5000, 0.5000]]))
    """
    check_qkv("explicit_attention", q, k, v)
    weights = attention_weights(q, k, mask, scale)                  # (..., n, m)
    return weights @ v, weights                                     # (..., n, e)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None,
              scale: float | None = None, *, dropout: float = 0.0) -> torch.Tensor:
    """The output of :func:`explicit_attention` through PyTorch's fused kernel: memory grows with n, not with n².

    The kernel takes four axes (b, heads, tokens, width); other numbers of leading axes are brought to that form, since
    torch would otherwise fall back to the explicit matrix. It does so too where values are wider than keys.

    Args:
        q: queries (..., n, d), floating dtype.
        k: keys (..., m, d).
        v: values (..., m, e).
        mask, scale: as in :func:`attention_weights`.
        dropout: probability with which a weight is set to zero. Pass 0.0 outside training.

    Returns:
        Output (..., n, e). A query that may attend to nothing gets zeros (``dlnotes.capture``, which sees what the kernel is
        given, records equal weights for it).

    Raises:
        ValueError, TypeError: if shapes, dtypes or devices do not fit.

    >>> q, k, v = (torch.randn(2, 8, 5, 4) for _ in range(3))
    >>> torch.allclose(attention(q, k, v), explicit_attention(q, k, v)[0], atol=1e-6)
    True
    """
    check_qkv("attention", q, k, v)
    lead = broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    empty = None
    if mask is not None:
        check_mask("attention", mask, (*lead, q.shape[-2], k.shape[-2]), q.dtype)
        mask, empty = _open_empty_rows(torch.atleast_2d(mask))
        mask = _four_axes(mask, lead) if mask.ndim > 2 else mask
    q, k, v = (_four_axes(x.expand(*lead, *x.shape[-2:]), lead) for x in (q, k, v))         # (b, heads, tokens, width)
    out = fused_attention(q, k, v, mask, scale, dropout)
    out = out.reshape(*lead, *out.shape[-2:])                                               # (..., n, e)
    return out if empty is None else out.masked_fill(empty, 0.0)


def fused_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None,
                    scale: float | None = None, dropout: float = 0.0) -> torch.Tensor:
    """The core that all our models share: nothing is checked, and no row of the mask may be empty.

    No kernel for the CPU passes a gradient to the mask. Where one is needed, for biases that are learned, the formula is
    written out, which takes less time there than what PyTorch falls back to.

    Args:
        q: queries (b, heads, n, d).
        k: keys (b, heads, m, d).
        v: values (b, heads, m, e).
        mask, scale, dropout: as in :func:`attention`.

    Returns:
        Output (b, heads, n, e).
    """
    if mask is not None and mask.requires_grad and mask.device.type == "cpu":
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        weights = ((q * scale) @ k.mT + mask).softmax(dim=-1)       # (b, heads, n, m)
        return F.dropout(weights, dropout) @ v                      # (b, heads, n, e)
    if mask is not None and mask.shape[-1] == 1:                    # torch 2.4's kernel for the CPU reads m values there, and 1 is
        mask = mask.expand(*mask.shape[:-1], k.shape[-2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)


def _open_empty_rows(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Let a query that may attend to nothing attend to all, and say which rows those are, to be zeroed afterwards.

    Zeroing afterwards alone would leave NaN in the gradients: 0 times NaN is NaN.
    """
    if mask.dtype == torch.bool:
        empty = ~mask.any(dim=-1, keepdim=True)                     # (..., n, 1)
        return mask | empty, empty
    empty = (mask == float("-inf")).all(dim=-1, keepdim=True)       # (..., n, 1)
    return mask.masked_fill(empty, 0.0), empty


def _four_axes(x: torch.Tensor, lead: tuple[int, ...]) -> torch.Tensor:
    """(..., n, d) with any number of leading axes -> (b, heads, n, d); the first leading axes are merged."""
    x = x.reshape(*[1] * (len(lead) + 2 - x.ndim), *x.shape)        # as many axes as the scores
    if len(lead) < 2:
        return x.reshape(*[1] * (2 - len(lead)), *x.shape)
    if len(lead) > 2:
        return x.expand(*lead, *x.shape[-2:]).flatten(0, -4)
    return x
