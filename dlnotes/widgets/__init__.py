"""Widgets that stay alive: in a notebook with a kernel, in the published page without one, and in a single HTML file."""

from importlib import import_module

__all__ = ["AttentionExplorer", "SpectrumExplorer", "TensorShapes"]

_HOME = {"AttentionExplorer": "attention", "SpectrumExplorer": "spectrum", "TensorShapes": "tensors"}


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no widget {name!r}; it offers {', '.join(__all__)}")
