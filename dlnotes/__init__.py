"""dlnotes: readable reference implementations and live widgets behind the course.

Sub-packages load on first use, so that ``import dlnotes`` costs next to nothing beyond ``import torch``.
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = [
    "attention", "capture", "checkpoints", "conv", "data", "device", "digits", "doctor", "edges", "exercises", "fourier",
    "fusion", "graph", "launch", "lecture", "libraries", "losses", "memory", "metrics", "models", "norm", "optim", "planner",
    "platforms", "plots", "restoration", "shapes", "small_target", "stitch", "svd", "training", "upsample", "widgets",
]


def __getattr__(name: str):
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'dlnotes' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
