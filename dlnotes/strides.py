"""How a tensor reads its storage: strides, offset, who shares memory, and the exact rule for when ``view`` works.

A tensor is a flat block of memory and a rule for reading it: element (i, j) lies at ``offset + i * stride[0] + j *
stride[1]``. Strides and offsets count elements, not bytes. The rule of :func:`why_not_view` is the one in PyTorch's
reference for ``Tensor.view``; a property test holds it against ``view`` itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

__all__ = ["Description", "describe", "memory_order", "shares_storage", "why_not_view"]


@dataclass(frozen=True)
class Description:
    """How a tensor reads its storage. Strides and offset count elements, not bytes."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    contiguous: bool
    channels_last: bool
    storage_elements: int
    shares_storage: bool | None

    def __repr__(self) -> str:
        order = "contiguous" if self.contiguous else "channels_last" if self.channels_last else "not contiguous"
        shared = {None: "", True: ", shares storage", False: ", own storage"}[self.shares_storage]
        return f"shape {self.shape}, strides {self.strides}, offset {self.offset}, {order}{shared}"


def shares_storage(a: Tensor, b: Tensor) -> bool:
    """True if both tensors read the same block of memory, even through different windows of it."""
    for x in (a, b):
        if not isinstance(x, Tensor):
            raise TypeError(f"shares_storage: expected two tensors, got {type(x).__name__}; use np.shares_memory for arrays")
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr() and a.untyped_storage().nbytes() > 0


def describe(x: Tensor, other: Tensor | None = None) -> Description:
    """Shape, strides, offset and order of ``x``; with ``other``, also whether the two share storage.

    >>> x = torch.arange(6).reshape(2, 3)
    >>> describe(x.t(), x)
    shape (3, 2), strides (1, 3), offset 0, not contiguous, shares storage
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"describe: expected a tensor, got {type(x).__name__}; use torch.as_tensor first")
    return Description(
        shape=tuple(x.shape), strides=x.stride(), offset=x.storage_offset(), contiguous=x.is_contiguous(),
        channels_last=x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last),
        storage_elements=x.untyped_storage().nbytes() // x.element_size(),
        shares_storage=None if other is None else shares_storage(x, other))


def memory_order(x: Tensor) -> Tensor:
    """Where each element of ``x`` lies in its storage, ``offset + sum(index * stride)``: int64 on the CPU, shaped like x.

    >>> memory_order(torch.zeros(2, 3).t()).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"memory_order: expected a tensor, got {type(x).__name__}; use torch.as_tensor first")
    place = torch.full(x.shape, x.storage_offset(), dtype=torch.int64)
    for axis, (length, stride) in enumerate(zip(x.shape, x.stride())):
        place = place + (torch.arange(length) * stride).view([-1 if a == axis else 1 for a in range(x.ndim)])
    return place


def why_not_view(shape: Sequence[int], strides: Sequence[int], new_shape: Sequence[int]) -> str | None:
    """None if ``view(new_shape)`` works on a tensor of this shape and these strides, else one sentence saying why not.

    The rule: wherever one new axis runs across the border between two old axes, one step of the left axis must equal one
    whole run of the right axis, ``stride[left] == size[right] * stride[right]``. Axes of size 1 do not count, and
    contiguity is not asked. Works on the numbers alone, no tensor needed.

    >>> why_not_view((2, 3, 4), (12, 4, 1), (6, 4)) is None
    True
    >>> print(why_not_view((2, 4, 3), (12, 1, 4), (2, 12)))
    axes 1 and 2 cannot be merged: a step along axis 1 moves 1 in storage, a whole run of axis 2 moves 3 * 4 = 12
    """
    if len(shape) != len(strides):
        raise ValueError(f"why_not_view: expected one stride per axis, got shape {tuple(shape)} and strides "
                         f"{tuple(strides)}; pass x.shape and x.stride()")
    numel, new = prod(shape), list(new_shape)
    if new.count(-1) == 1:
        rest = -prod(new)
        if rest < 1 or numel % rest:
            raise ValueError(f"why_not_view: expected the other sizes of {tuple(new_shape)} to divide {numel} elements, "
                             f"got a product of {rest}; check the new shape")
        new[new.index(-1)] = numel // rest
    if any(size < 0 for size in (*shape, *new)) or prod(new) != numel:
        raise ValueError(f"why_not_view: expected a new shape of {numel} elements, got {tuple(new_shape)} from "
                         f"{tuple(shape)}; view moves no element and drops none")
    borders = {prod(new[:i]) for i in range(len(new) + 1)}
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    for left, right in zip(axes, axes[1:]):
        run = shape[right] * strides[right]
        if numel and prod(shape[:left + 1]) not in borders and strides[left] != run:
            return (f"axes {left} and {right} cannot be merged: a step along axis {left} moves {strides[left]} in storage, "
                    f"a whole run of axis {right} moves {shape[right]} * {strides[right]} = {run}")
    return None
