"""The largest batch that a budget holds, found by prediction alone: nothing is allocated, nothing has to crash first.

At any one moment the bytes alive grow in a straight line with the batch, and the peak is the highest of these lines. A line
through two predictions therefore leads to the answer or past it, and one more prediction says which.
"""

from collections.abc import Sequence
from functools import cache

from torch import nn

from dlnotes._check import check_integers

from .parts import in_words
from .predict import predict

__all__ = ["largest_batch"]


def largest_batch(model: nn.Module, input_size: Sequence[int], budget_bytes: int, *, margin: float = 0.1,
                  at_most: int = 65536, multiple: int = 1, **step) -> int:
    """The largest batch whose predicted step fits into a budget.

    Args:
        model: any network; it is not run.
        input_size: of one sample, (channels, height, width).
        budget_bytes: what may be used, for example :func:`~dlnotes.memory.free_memory` of the device.
        margin: share of the budget that stays free, because a prediction is one: 0.1 keeps a tenth.
        at_most: no batch is larger, however much memory there is.
        multiple: the batch is divisible by it. 2 serves networks whose batch norm cannot train on one sample.
        **step: what else :func:`~dlnotes.memory.predict` takes: ``dtype``, ``optimizer``, ``checkpointing``, ``device``, ...

    Returns:
        A number of samples.

    Raises:
        ValueError: if an argument is out of range, or the smallest batch does not fit; the message says what it needs.

    >>> from dlnotes.models import create
    >>> largest_batch(create("resnet18"), (3, 224, 224), 2**30, optimizer="adamw")
    35
    """
    check_integers("largest_batch", budget_bytes=budget_bytes, at_most=at_most, multiple=multiple)
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"largest_batch: expected margin from 0 to below 1, got {margin!r}; 0.1 keeps a tenth free")
    if multiple > at_most:
        raise ValueError(f"largest_batch: expected at_most of at least multiple, got at_most={at_most} and "
                         f"multiple={multiple}; raise at_most")
    budget, most = int(budget_bytes * (1 - margin)), at_most // multiple

    @cache
    def needs(batches: int) -> int:
        return predict(model, input_size, batches * multiple, **step).total

    if needs(1) > budget:
        raise ValueError(f"largest_batch: expected a budget for a batch of {multiple}, {in_words(needs(1))} and "
                         f"{margin:.0%} more, got {in_words(budget_bytes)}; take smaller pictures, checkpointing, or mixed "
                         "precision")
    fits, too_many, other = 1, most + 1, 2                          # all in units of `multiple`
    for _ in range(3):                                              # follow the line through 1 and another batch
        if too_many - fits == 1:
            break
        slope = (needs(other) - needs(1)) / (other - 1)
        other = 1 + int((budget - needs(1)) / slope) if slope > 0 else most
        other = min(max(other, fits + 1, 2), too_many - 1)
        for batches in (other, other + 1):                          # the answer lies between them, if the line is straight
            if fits < batches < too_many:
                fits, too_many = (batches, too_many) if needs(batches) <= budget else (fits, batches)
    while too_many - fits > 1:                                      # and if it is bent, halve what is left
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if needs(middle) <= budget else (fits, middle)
    return fits * multiple
