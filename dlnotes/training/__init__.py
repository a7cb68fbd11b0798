"""Training anywhere, from one call that survives being killed, and the pieces it is made of.

:func:`fit` trains, :func:`evaluate` measures; the loop between them is :func:`dlnotes.training.loop.train`.
"""

from .checkpoint import DamagedCheckpoint, list_checkpoints, read_checkpoint, write_checkpoint
from .ema import EMA
from .evaluate import evaluate
from .fit import Result, fit
from .folder import FolderInUse
from .log import read_log
from .nan_hunt import NonFiniteLoss, find_non_finite, first_non_finite_gradient
from .sampler import EpochLoader

__all__ = ["DamagedCheckpoint", "EMA", "EpochLoader", "FolderInUse", "NonFiniteLoss", "Result", "evaluate", "find_non_finite",
           "first_non_finite_gradient", "fit", "list_checkpoints", "read_checkpoint", "read_log", "write_checkpoint"]
