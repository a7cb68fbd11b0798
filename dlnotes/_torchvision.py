"""The former place of dlnotes.libraries; goes away with the last import of it."""

from dlnotes.libraries import torchvision

__all__ = ["torchvision"]
