"""Optimisers in a few lines each, and learning-rate schedules as plain functions of the step.

:mod:`~dlnotes.optim.optimizers` has SGD, RMSprop, Adam and AdamW, equal to ``torch.optim``'s and usable in their place.
:mod:`~dlnotes.optim.schedules` has the factors by which a schedule multiplies the learning rate, for ``LambdaLR``.
"""

from .optimizers import SGD, Adam, AdamW, RMSprop
from .schedules import (constant, cosine, cosine_restarts, exponential, halving, linear, multi_step, sequence, step_decay,
                        warm_up)

__all__ = ["SGD", "Adam", "AdamW", "RMSprop", "constant", "cosine", "cosine_restarts", "exponential", "halving", "linear",
           "multi_step", "sequence", "step_decay", "warm_up"]
