"""A picture and its mask through one augmentation: moved together, or not, and what the mask then says.

The geometry is one affine map, sampled as ``F.affine_grid`` and ``F.grid_sample`` with ``align_corners=False`` do (bilinear
for the picture, nearest for the mask; the page's own sampling is held against them). Outside of the picture the mask gets
-100, which losses leave out. Brightness and blur are torchvision's ``adjust_brightness`` and ``gaussian_blur``, and touch the
picture alone.
"""

import io
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from PIL import Image

from .. import plots
from ._base import Widget

__all__ = ["AugmentationExplorer", "affine", "move"]

MODES = ("synchronized", "not moved", "bilinear", "other draw")
# name: (default, least, most)
SETTINGS: dict[str, tuple[float, float, float]] = {
    "rotate": (25.0, -180, 180), "scale": (1.2, 0.5, 2), "right": (8.0, -64, 64), "down": (0.0, -64, 64),
    "crop": (128, 32, 128), "brightness": (1.0, 0.2, 2), "blur": (0.0, 0, 4),
}
_SIDE, _IGNORE, _FIRST = 128, -100, 3
_OTHER = {"rotate": -25.0, "scale": 0.9, "right": -8.0, "down": 6.0}


def affine(rotate: float, scale: float, right: float, down: float, flip: bool, crop: float, side: float) -> torch.Tensor:
    """The map for ``F.affine_grid`` from places in the result to places in a square picture, (2, 3) float64.

    Args:
        rotate: degrees, counter-clockwise. scale: 2 shows everything twice as large.
        right, down: pixels. flip: exchange left and right, first of all.
        crop: side of the part that is kept, about the centre, pixels.
        side: of the picture, pixels.

    >>> affine(0, 1, 0, 0, False, 128, 128).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    angle = math.radians(rotate)
    cos, sin, sign = math.cos(angle) / scale, math.sin(angle) / scale, -1 if flip else 1
    back = torch.tensor([[sign * cos, -sign * sin], [sin, cos]], dtype=torch.float64)       # undo: rotation, then flip
    shift = torch.tensor([right, down], dtype=torch.float64) * 2 / side
    return torch.cat([back * (crop / side), -(back @ shift)[:, None]], dim=1) + 0.0         # 2 3


def move(x: torch.Tensor, theta: torch.Tensor, size: int, mode: str) -> torch.Tensor:
    """A picture (h, w) of floats sampled on ``size`` by ``size`` places, zeros outside: ``F.grid_sample``."""
    grid = F.affine_grid(theta[None].to(x), [1, 1, size, size], align_corners=False)        # 1 size size 2
    return F.grid_sample(x[None, None], grid, mode=mode, align_corners=False)[0, 0]         # size size


class AugmentationExplorer(Widget):
    """Turn, zoom, shift and crop a picture, and see whether its mask follows.

    Args:
        image: grey picture (128, 128), uint8 or in [0, 1]. None: digits on a texture.
        mask: (128, 128) whole numbers from 0 to 255, one for each class.
        mode: ``"synchronized"``: both move alike; ``"not moved"``: the mask stays; ``"bilinear"``: the mask is interpolated
            like a picture and rounded; ``"other draw"``: the mask moves by random numbers of its own.
        flip: exchange left and right.
        **settings: ``rotate`` (degrees), ``scale``, ``right``, ``down`` (pixels), ``crop`` (side in pixels), ``brightness``
            (factor), ``blur`` (standard deviation in pixels).

    Raises:
        ValueError: if shapes or numbers are none of these.
    """

    _name = "augmentation"
    _height = 900

    picture = traitlets.Bytes().tag(sync=True)                      # uint8, side × side
    labels = traitlets.Bytes().tag(sync=True)                       # uint8, side × side
    side = traitlets.Int(_SIDE).tag(sync=True)
    index = traitlets.Int(_FIRST).tag(sync=True)                    # of the digits; -1: the reader's own picture
    mode = traitlets.Enum(MODES, "not moved").tag(sync=True)
    flip = traitlets.Bool(False).tag(sync=True)
    rotate = traitlets.Float(25.0).tag(sync=True)
    scale = traitlets.Float(1.2).tag(sync=True)
    right = traitlets.Float(8.0).tag(sync=True)
    down = traitlets.Float(0.0).tag(sync=True)
    crop = traitlets.Int(_SIDE).tag(sync=True)
    brightness = traitlets.Float(1.0).tag(sync=True)
    blur = traitlets.Float(0.0).tag(sync=True)
    limits = traitlets.Dict().tag(sync=True)
    other = traitlets.Dict().tag(sync=True)                         # the mask's own draw, in mode "other draw"

    def __init__(self, image: torch.Tensor | np.ndarray | None = None, mask: torch.Tensor | np.ndarray | None = None, *,
                 mode: str = "not moved", flip: bool = False, **settings: float) -> None:
        if mode not in MODES:
            raise ValueError(f"AugmentationExplorer: expected mode to be one of {', '.join(map(repr, MODES))}, got {mode!r}; "
                             "choose one")
        strange = settings.keys() - SETTINGS.keys()
        if strange:
            raise ValueError(f"AugmentationExplorer: expected settings among {', '.join(SETTINGS)}, got {min(strange)!r}; check "
                             "the spelling")
        for name, value in settings.items():
            _, least, most = SETTINGS[name]
            whole = name == "crop"
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not least <= value <= most:
                raise ValueError(f"AugmentationExplorer: expected {name} as a {'whole ' * whole}number from {least:g} to "
                                 f"{most:g}, got {value!r}; the page has a slider over this range")
        if not isinstance(flip, bool):
            raise ValueError(f"AugmentationExplorer: expected flip to be True or False, got {flip!r}")
        if (image is None) != (mask is None):
            raise ValueError("AugmentationExplorer: expected image and mask together, got one alone; pass both, or neither")
        own = image is not None
        pixels, labels = _bytes(image, mask) if own else _digits(_FIRST)
        start = {name: settings.get(name, default) for name, (default, _, _) in SETTINGS.items()}
        super().__init__(picture=pixels.tobytes(), labels=labels.tobytes(), index=-1 if own else _FIRST, mode=mode, flip=flip,
                         limits={name: [least, most] for name, (_, least, most) in SETTINGS.items()}, other=_OTHER, **start)

    def handle(self, message: Any) -> None:
        """Another picture of digits: ``{"type": "picture"}``."""
        if isinstance(message, dict) and message.get("type") == "picture" and self.index >= 0:
            index = (self.index + 1) % 100
            pixels, labels = _digits(index)
            with self.hold_sync():
                self.index, self.labels, self.picture = index, labels.tobytes(), pixels.tobytes()

    def transformed(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The picture in [0, 1], the mask that training would get, and the mask as it should be, each (crop, crop)."""
        raw = np.frombuffer(self.picture, np.uint8).reshape(self.side, self.side)
        labels = torch.from_numpy(np.frombuffer(self.labels, np.uint8).reshape(self.side, self.side).astype(np.float64))
        draw = (self.rotate, self.scale, self.right, self.down)
        theta = affine(*draw, self.flip, self.crop, self.side)
        image = move(torch.from_numpy(raw / 255), theta, self.crop, "bilinear")                 # crop crop
        image = (image * self.brightness).clamp(0, 1)
        if self.blur > 0:
            reach = min(math.ceil(3 * self.blur), self.crop - 1)
            x = torch.arange(-reach, reach + 1, dtype=torch.float64)
            weights = torch.softmax(-(x / self.blur).square() / 2, 0)                           # 2 reach + 1
            padded = F.pad(image[None, None], [reach] * 4, mode="reflect")
            image = F.conv2d(F.conv2d(padded, weights[None, None, :, None]), weights[None, None, None])[0, 0]
        truth = self._labels(labels, theta, "nearest")
        if self.mode == "not moved":
            mask = self._labels(labels, affine(0, 1, 0, 0, False, self.crop, self.side), "nearest")
        elif self.mode == "bilinear":
            mask = self._labels(labels, theta, "bilinear")
        elif self.mode == "other draw":
            mask = self._labels(labels, affine(**self.other, flip=not self.flip, crop=self.crop, side=self.side), "nearest")
        else:
            mask = truth
        return image, mask, truth

    def _labels(self, labels: torch.Tensor, theta: torch.Tensor, mode: str) -> torch.Tensor:
        inside = move(torch.ones_like(labels), theta, self.crop, "nearest") > 0                 # crop crop
        return move(labels, theta, self.crop, mode).round().long().where(inside, _IGNORE)

    def iou(self) -> float:
        """Intersection over union of everything that is not background, of the mask with the mask as it should be."""
        _, mask, truth = self.transformed()
        union = ((mask > 0) | (truth > 0)).sum().item()
        return ((mask > 0) & (truth > 0) & (mask == truth)).sum().item() / union if union else 1.0

    def summary(self) -> str:
        flip = ", flipped" if self.flip else ""
        return (f"{self.mode}, rotate {self.rotate:g}°, scale {self.scale:g}, shift ({self.right:g}, {self.down:g}) px{flip}, "
                f"crop {self.crop}")

    def alt(self) -> str:
        return (f"Left: a picture with its mask outlined. Right: the same after an augmentation ({self.summary()}), with the mask "
                f"that training would get laid over it; IoU with the right mask {self.iou():.2f}.")

    def still(self) -> bytes:
        raw = np.frombuffer(self.picture, np.uint8).reshape(self.side, self.side)
        labels = np.frombuffer(self.labels, np.uint8).reshape(self.side, self.side)
        image, mask, truth = (t.numpy() for t in self.transformed())
        with plots.style():
            figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.3))
            for axis, picture, drawn, title in ((axes[0], raw / 255, labels, "picture and mask"),
                                                (axes[1], image, truth, f"after: mask {self.mode}")):
                axis.imshow(picture, cmap=plt.get_cmap("gray", 24), vmin=0, vmax=1)
                axis.contour(drawn > 0, [0.5], colors=plots.token("reader"), linewidths=1.5)
                axis.set(title=title, xticks=[], yticks=[])
            over = np.zeros((*mask.shape, 4))
            over[mask > 0] = (*(int(plots.token("network")[i:i + 2], 16) / 255 for i in (1, 3, 5)), 0.55)
            axes[1].imshow(over)
            axes[1].set_xlabel(f"IoU {self.iou():.2f}")
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        small = io.BytesIO()
        Image.open(stream).convert("RGB").quantize(64, kmeans=2, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()


def _digits(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask (128, 128) uint8 of digits on a texture; classes 0 (ground) and 1 to 10."""
    from ..data import TexturedDigits

    item = TexturedDigits("train", 100, seed=0, shape=(_SIDE, _SIDE), digits=3)[index]
    return (item["image"][0] * 255).round().to(torch.uint8).numpy(), item["mask"].to(torch.uint8).numpy()


def _bytes(image: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
    image, mask = (x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x) for x in (image, mask))
    for name, x in (("image", image), ("mask", mask)):
        if x.shape != (_SIDE, _SIDE):
            raise ValueError(f"AugmentationExplorer: expected {name} of shape ({_SIDE}, {_SIDE}), got {x.shape}; crop or resize it "
                             "(a mask with the nearest pixel)")
    if mask.dtype.kind not in "iub" or mask.min() < 0 or mask.max() > 255:
        raise ValueError(f"AugmentationExplorer: expected a mask of whole numbers from 0 to 255, got {mask.dtype}; classes are "
                         "numbers, not brightness")
    if image.dtype != np.uint8:
        if image.dtype.kind != "f" or not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise ValueError(f"AugmentationExplorer: expected an image of uint8, or floats in [0, 1], got {image.dtype}; divide by "
                             "255")
        image = np.round(image * 255).astype(np.uint8)
    return np.ascontiguousarray(image), mask.astype(np.uint8)
