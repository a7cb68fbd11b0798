"""The matrix of attention scores, before it is allocated: its bytes, and what each of four remedies would take instead.

The story behind it: a feature map of 128 by 256 positions, flattened to 32,768 tokens, a batch of 10 and 8 heads. The
scores have shape (10, 8, 32768, 32768), and in float32 they take 320 GiB. Sizes are those of
:func:`dlnotes.attention.attention_cost`.

Sources of the remedies: windows, Liu et al., "Swin Transformer", ICCV 2021, section 3.2; memory-efficient kernels, Rabe and
Staats, arXiv 2112.05682, 2021, and Dao et al., "FlashAttention", NeurIPS 2022; channel attention, Zamir et al., "Restormer",
CVPR 2022, section 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch

from dlnotes._check import check_integers
from dlnotes.attention import attention_cost

from .parts import in_words

__all__ = ["Advice", "Remedy", "advise", "attention_scores_bytes"]


@dataclass(frozen=True)
class Remedy:
    """One way out: what to do, the bytes it takes instead of the scores, and what changes."""

    name: str
    size: int
    what_changes: str


@dataclass(frozen=True)
class Advice:
    """Made by :func:`advise`; ``print`` it.

    Attributes:
        shape: of the scores, (batch, heads, queries, keys).
        size: their bytes.
        fits: whether they fit into the budget; None without a budget.
        remedies: as :class:`Remedy`, in the order in which they are worth trying.
    """

    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    size: int
    fits: bool | None
    remedies: tuple[Remedy, ...]

    def __str__(self) -> str:
        verdict = {None: "", True: ", which fits", False: ", which does not fit"}[self.fits]
        lines = [f"attention scores {self.shape}, {str(self.dtype).removeprefix('torch.')}: {in_words(self.size)}{verdict}"]
        for remedy in self.remedies:
            lines.append(f"  {remedy.name:26}{in_words(remedy.size):>12}   {remedy.what_changes}")
        return "\n".join(lines)


def attention_scores_bytes(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> int:
    """Bytes of one matrix of attention scores. The explicit form needs two at once, scores and softmax.

    Args:
        shape: (batch, heads, queries, keys).
        dtype: of the scores.

    Raises:
        ValueError: if the shape is none. TypeError: if ``dtype`` is no floating dtype.

    >>> attention_scores_bytes((10, 8, 32768, 32768)) == 320 * 2**30
    True
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 4:
        raise ValueError(f"attention_scores_bytes: expected a shape (batch, heads, queries, keys), got {shape!r}; "
                         "one head is (b, 1, n, m)")
    check_integers("attention_scores_bytes", **dict(zip(("batch", "heads", "queries", "keys"), shape)))
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"attention_scores_bytes: expected a floating dtype such as torch.float32, got {dtype!r}; "
                        "scores are no whole numbers")
    return prod(shape) * dtype.itemsize


def advise(shape: Sequence[int], dtype: torch.dtype = torch.float32, *, head_dim: int = 64, window: int = 8,
           downsample: int = 4, budget_bytes: int | None = None) -> Advice:
    """What to do about a matrix of scores, each remedy with its bytes.

    Args:
        shape: (batch, heads, tokens, tokens) of self-attention.
        dtype: of the scores.
        head_dim: width of one head; it decides what channel attention and the fused kernel take.
        window: side of a window, in tokens.
        downsample: factor by which height and width shrink before attention.
        budget_bytes: what there is, to say whether the matrix fits.

    Raises:
        ValueError, TypeError: as :func:`attention_scores_bytes`; or if queries and keys differ in number.

    >>> print(advise((10, 8, 32768, 32768), head_dim=8, budget_bytes=24 * 2**30))
    attention scores (10, 8, 32768, 32768), float32: 320.0 GiB, which does not fit
      memory-efficient kernel       90.0 MiB   the same result, if nobody needs the weights
      windows of 8 by 8            640.0 MiB   a token sees its window only; shift windows between layers
      channel attention             20.0 KiB   mixes channels over the whole picture, not positions
      4 times smaller map            1.2 GiB   16 times fewer tokens; fine detail is gone before attention sees it
    """
    size = attention_scores_bytes(shape, dtype)
    batch, heads, tokens, keys = shape
    if keys != tokens:
        raise ValueError(f"advise: expected self-attention with as many keys as queries, got {tokens} queries and {keys} "
                         "keys; attention_scores_bytes counts any shape")
    check_integers("advise", head_dim=head_dim, window=window, downsample=downsample)
    if budget_bytes is not None:
        check_integers("advise", at_least=0, budget_bytes=budget_bytes)
    whole = attention_cost(tokens, head_dim, heads, batch, dtype)
    in_window = min(window**2, tokens)
    windows = attention_cost(in_window, head_dim, heads, batch * -(-tokens // in_window), dtype)
    channels = attention_cost(head_dim, tokens, heads, batch, dtype)                # channels take the place of tokens
    fewer = attention_cost(max(1, tokens // downsample**2), head_dim, heads, batch, dtype)
    return Advice(tuple(shape), dtype, size, None if budget_bytes is None else size <= budget_bytes, (
        Remedy("memory-efficient kernel", whole.fused_extra_bytes, "the same result, if nobody needs the weights"),
        Remedy(f"windows of {window} by {window}", windows.score_bytes,
               "a token sees its window only; shift windows between layers"),
        Remedy("channel attention", channels.score_bytes, "mixes channels over the whole picture, not positions"),
        Remedy(f"{downsample} times smaller map", fewer.score_bytes,
               f"{downsample**2} times fewer tokens; fine detail is gone before attention sees it")))
