"""Grey pictures as a widget's argument: photographs and patterns by name, the reader's own, and one more from a kernel."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets

from ._base import Widget
from .spectrum import PHOTOGRAPHS, grey_bytes, photograph, photograph_code

__all__ = ["PATTERNS", "PictureWidget", "collect", "named"]

_SIDE = 128
_I, _J = "torch.arange(128.0)[:, None]", "torch.arange(128.0)"
# name: the expression that makes it, from torch alone
PATTERNS: dict[str, str] = {
    "checkerboard": f"((({_I} + {_J}) % 2) == 0).double()",
    "diagonal edge": f"({_I} > {_J}).double()",
    "disc": f"((({_I} - 63.5)**2 + ({_J} - 63.5)**2) < 40**2).double()",
    "slanted stripes": f"0.5 + 0.5 * torch.cos(2 * torch.pi * (4 * {_I} + 6 * {_J}) / 128).double()",
}
"""Drawn pictures of 128 × 128, each with the PyTorch that draws it."""


def named(owner: str, name: str) -> tuple[torch.Tensor, str]:
    """A picture of 128 × 128 in [0, 1], float64, and the expression that makes it.

    Raises:
        ValueError: if there is no picture of that name; the message begins with ``owner``.
    """
    if name in PATTERNS:
        return eval(PATTERNS[name], {"torch": torch}), PATTERNS[name]
    if name not in PHOTOGRAPHS:
        raise ValueError(f"{owner}: expected one of {', '.join([*PHOTOGRAPHS, *PATTERNS])}, got {name!r}; "
                         "pass a picture of your own as {'name': array}")
    x = photograph(name).reshape(_SIDE, 2, _SIDE, 2).mean((1, 3))
    return torch.from_numpy(x), f"torch.as_tensor(transform.downscale_local_mean({photograph_code(name)}, (2, 2)))"


def collect(owner: str, images: Mapping[str, Any] | Sequence[str] | str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Pictures by name as uint8 (h, w), sides from 2 to 256, and the expressions that make them ("" for the reader's own).

    Raises:
        ValueError: for other shapes or values, and for an unknown name.
        TypeError: for pictures that are not real.
    """
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, (Mapping, list, tuple)) or not images:
        raise ValueError(f"{owner}: expected names of pictures, or a mapping of names to pictures (h, w), got "
                         f"{type(images).__name__}; for one picture pass {{'mine': x}}")
    if isinstance(images, Mapping):
        found = {str(name): (image, "") for name, image in images.items()}
    else:
        found = {str(name): named(owner, name) for name in images}
    grey = {name: grey_bytes(owner, repr(name), image) for name, (image, _) in found.items()}
    for name, x in grey.items():
        if not all(2 <= side <= 256 for side in x.shape):
            raise ValueError(f"{owner}: expected {name!r} to be a grey picture (h, w) with sides from 2 to 256, got shape {x.shape}; "
                             "crop it, or shrink it with skimage.transform.resize")
    return grey, [code for _, code in found.values()]


class PictureWidget(Widget):
    """Base of the widgets that show one of several grey pictures; with a kernel, photographs can be added to them."""

    pictures = traitlets.Bytes().tag(sync=True)                 # uint8, one after the other
    names = traitlets.List().tag(sync=True)
    sources = traitlets.List().tag(sync=True)                   # Python expressions that make the pictures, "" for the reader's own
    picture = traitlets.Int(0).tag(sync=True)
    offers = traitlets.List(list(PHOTOGRAPHS)).tag(sync=True)   # what a kernel can add

    def _grows(self, shape: tuple[int, int]) -> dict[str, Any]:
        """Traits that change, beside those above, when a picture of this shape is added."""
        return {}

    def handle(self, message: Any) -> None:
        """Show a photograph, and add it first if it is not there: ``{"type": "picture", "name": "moon"}``."""
        if not isinstance(message, dict) or message.get("type") != "picture" or message.get("name") not in self.offers:
            return
        name = message["name"]
        if name in self.names:
            self.picture = self.names.index(name)
            return
        image, source = named(type(self).__name__, name)
        x = grey_bytes(type(self).__name__, repr(name), image)
        with self.hold_sync():
            for trait, value in self._grows(x.shape).items():
                setattr(self, trait, value)
            self.names, self.sources, self.pictures = [*self.names, name], [*self.sources, source], self.pictures + x.tobytes()
            self.picture = len(self.names) - 1
