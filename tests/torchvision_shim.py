"""Import this module before torchvision or timm: beside a CPU build of torch they need what dlnotes._torchvision does."""

from dlnotes._torchvision import torchvision  # noqa: F401
