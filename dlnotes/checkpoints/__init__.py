"""Load published weights into our models, whoever named the parameters: torchvision, timm, the authors, or we.

``load_weights`` tries every dialect that it knows for the model and takes the one that fits most tensors. It loads all or
nothing, and one error says everything that does not fit. Tensors only: a file may hold no code.
"""

from ._dialect import Dialect
from .files import read_tensors, save_weights
from .load import LoadReport, load_weights

__all__ = ["Dialect", "LoadReport", "load_weights", "read_tensors", "save_weights"]
