"""Import this module before torchvision or timm: beside a CPU build of torch they need what dlnotes.libraries does."""

from dlnotes.libraries import torchvision  # noqa: F401
