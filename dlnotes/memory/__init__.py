"""Where the memory of a training step goes: predicted before it is allocated, measured afterwards, fitted to a budget."""

from .advice import Advice, Remedy, advise, attention_scores_bytes
from .batch import largest_batch
from .checkpointing import checkpoint_blocks
from .guard import free_memory, require
from .measure import measure
from .parts import Memory, in_words
from .predict import predict

__all__ = ["Advice", "Memory", "Remedy", "advise", "attention_scores_bytes", "checkpoint_blocks", "free_memory", "in_words",
           "largest_batch", "measure", "predict", "require"]
