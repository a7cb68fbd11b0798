"""Synchronized augmentation: picture and mask go through one and the same geometry, the colours of the picture alone change.

Every step is one function of torchvision's ``transforms.v2.functional`` on ``tv_tensors``: pictures are interpolated
(bilinear), masks take the nearest pixel, because the class between road (0) and car (2) is not pavement (1). What is random
is drawn first, as plain numbers that you can print, and applied afterwards, to as many tensors as the sample has.

Departure from torchvision: where it makes a mask smaller by a factor f, it takes the first of every f pixels (``nearest``)
and so shifts the mask against its picture by (f - 1) / 2 of them; here it is the middle one (``nearest-exact``). The
elastic deformation is that of the U-Net (Ronneberger, Fischer, Brox, MICCAI 2015, sec. 3.1): random shifts on a grid of 3
by 3 points, bicubic between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor

__all__ = ["Augment", "Draw", "Resize"]

_IGNORE = -100


@dataclass(frozen=True)
class Draw:
    """One draw of all random numbers: what :meth:`Augment.apply` does to a sample. Print it, store it, apply it again."""

    flip: bool = False
    flip_vertical: bool = False
    angle: float = 0.0                                              # degrees, counter-clockwise
    region: tuple[int, int, int, int] | None = None                 # top, left, height, width; may reach beyond the picture
    size: tuple[int, int] | None = None                             # height and width that the region is resized to
    shifts: tuple[float, ...] = ()                                  # 2 * 3 * 3, pixels: rows, then columns
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    sigma: float = 0.0                                              # of the blur, pixels


class Augment:
    """Random flip, rotation, zoom and crop, elastic deformation, colours and blur for samples of this package.

    The keys ``"image"`` and ``"target"`` are pictures (c, h, w), ``"mask"`` is (h, w) or (n, h, w) of whole numbers; all
    have one size. Everything else in the sample passes unchanged. Random numbers come from torch's generator: the folders
    and ``Augmented`` seed it for each sample; alone, use ``with seeded(0): ...``.

    Args:
        size: (height, width) of the result, or one number for both; None keeps that of the sample.
        flip: probability of exchanging left and right.
        flip_vertical: probability of exchanging top and bottom.
        rotate: largest angle, degrees, either way.
        scale: smallest and largest zoom. 2 shows everything twice as large; where 0.5 shows more than there is, the rest is
            padded.
        elastic: standard deviation of the shifts, pixels; the U-Net took 10 for pictures of 512.
        jitter: brightness, contrast and (of colour pictures) saturation are each multiplied by 1 ± jitter at most.
        blur: largest standard deviation of a Gaussian blur of ``"image"``, pixels; a restoration target stays sharp.
        fill: brightness of what lies outside the picture, 0 to 1. The mask is -100 there: no loss counts it.

    Raises:
        ValueError: if an argument is out of range.
        ModuleNotFoundError: if torchvision is missing.

    >>> from dlnotes.data import seeded
    >>> augment = Augment(size=64, rotate=20, scale=(0.8, 1.25), jitter=0.2)
    >>> item = {"image": torch.rand(3, 100, 80), "mask": torch.zeros(100, 80, dtype=torch.int64), "name": "one"}
    >>> with seeded(0):
    ...     out = augment(item)
    >>> tuple(out["image"].shape), tuple(out["mask"].shape), out["name"]
    ((3, 64, 64), (64, 64), 'one')
    """

    def __init__(self, size: int | Sequence[int] | None = None, *, flip: float = 0.5, flip_vertical: float = 0.0,
                 rotate: float = 0.0, scale: Sequence[float] = (1.0, 1.0), elastic: float = 0.0, jitter: float = 0.0,
                 blur: float = 0.0, fill: float = 0.0):
        _torchvision()                                              # is missing now, and not in the first batch
        self.size = _pair("Augment", size)
        for name, value, top in (("flip", flip, 1), ("flip_vertical", flip_vertical, 1), ("rotate", rotate, 180),
                                 ("elastic", elastic, 1e4), ("jitter", jitter, 1), ("blur", blur, 100), ("fill", fill, 1)):
            if not 0 <= value <= top:
                raise ValueError(f"Augment: expected {name} from 0 to {top:g}, got {value!r}; 0 switches it off")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"Augment: expected scale as (smallest, largest) above 0, got {scale!r}; (1, 1) is off")
        self.flip, self.flip_vertical, self.rotate, self.scale = flip, flip_vertical, rotate, tuple(scale)
        self.elastic, self.jitter, self.blur, self.fill = elastic, jitter, blur, fill

    def __repr__(self) -> str:
        return f"Augment({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def draw(self, height: int, width: int) -> Draw:
        """Random numbers for one sample of this size. Always as many, so that switching one step off leaves the others."""
        r, shifts = torch.rand(10).tolist(), torch.randn(18)
        zoom = self.scale[0] * (self.scale[1] / self.scale[0]) ** r[3]              # as often twice as half
        size = self.size or (height, width)
        rows, columns = (max(1, round(side / zoom)) for side in size)
        top = min(0, height - rows) + int(r[4] * (abs(height - rows) + 1))
        left = min(0, width - columns) + int(r[5] * (abs(width - columns) + 1))
        factor = [1 + self.jitter * (2 * u - 1) for u in r[6:9]]
        return Draw(flip=r[0] < self.flip, flip_vertical=r[1] < self.flip_vertical, angle=self.rotate * (2 * r[2] - 1),
                    region=(top, left, rows, columns), size=size,
                    shifts=tuple((self.elastic * shifts).tolist()) if self.elastic else (),
                    brightness=factor[0], contrast=factor[1], saturation=factor[2], sigma=self.blur * r[9])

    def __call__(self, item: dict) -> dict:
        """Draw and apply.

        Raises:
            KeyError, ValueError: if the sample has no ``"image"``, or its pictures and masks differ in size.
        """
        height, width = _size_of("Augment", item)
        return self.apply(item, self.draw(height, width))

    def apply(self, item: dict, draw: Draw) -> dict:
        """Apply one draw: geometry to all pictures and masks, colours to the pictures, blur to ``"image"``.

        Pictures of bytes are moved as bytes and then become float32 in [0, 1], so that no colour step rounds.
        """
        _, tv_tensors = _torchvision()
        _size_of("Augment", item)
        out = dict(item)
        for key in ("image", "target", "mask"):
            if key in item:
                kind = tv_tensors.Mask if key == "mask" else tv_tensors.Image
                out[key] = self._geometry(kind(item[key]), draw, key == "mask")
        for key in ("image", "target"):
            if key in item:
                image = out[key].contiguous()
                image = image.float().div_(255) if image.dtype == torch.uint8 else image
                out[key] = _colours(image, draw, blur=key == "image")
        return out

    def _geometry(self, x, draw: Draw, is_mask: bool):
        """Turn, cut, resize, flip, bend: (..., h, w) to (..., *draw.size). The flip comes where there is less to flip."""
        v2, _ = _torchvision()
        outside = _IGNORE if is_mask else self.fill * (255 if x.dtype == torch.uint8 else 1)
        if draw.angle:
            x = v2.rotate(x, draw.angle, interpolation=v2.InterpolationMode.BILINEAR, fill=[outside])
        if draw.region is not None:
            top, left, rows, columns = draw.region
            height, width = x.shape[-2:]
            border = [max(0, -left), max(0, -top), max(0, left + columns - width), max(0, top + rows - height)]
            if any(border):
                x = v2.pad(x, border, fill=outside)
            x = v2.crop(x, top + border[1], left + border[0], rows, columns)
        if draw.size is not None and tuple(x.shape[-2:]) != draw.size:
            x = _resize(x, draw.size, is_mask)
        if draw.flip:
            x = v2.horizontal_flip(x)
        if draw.flip_vertical:
            x = v2.vertical_flip(x)
        if draw.shifts:
            x = v2.elastic(x, _displacement(draw.shifts, *x.shape[-2:]), interpolation=v2.InterpolationMode.BILINEAR,
                           fill=[outside])
        return x.as_subclass(Tensor)


def _torchvision():
    """torchvision's functions on pictures and masks, and its types that tell one from the other; loaded when first used."""
    from dlnotes.libraries import torchvision

    name = torchvision.__name__
    return import_module(f"{name}.transforms.v2.functional"), import_module(f"{name}.tv_tensors")


def _resize(x, size: tuple[int, int], is_mask: bool):
    """Pictures bilinear, smoothed where they shrink; masks by the pixel whose centre is nearest."""
    v2, tv_tensors = _torchvision()
    if not is_mask:
        if x.dtype == torch.uint8 and x.stride(0) == 1:                             # a part of a picture as files have it
            x = tv_tensors.wrap(x.movedim(0, -1).contiguous().movedim(-1, 0), like=x)   # torch is quicker on a whole one
        return v2.resize(x, list(size), interpolation=v2.InterpolationMode.BILINEAR, antialias=True)
    plain = x.as_subclass(Tensor)
    stacked = plain if plain.ndim == 3 else plain[None]                             # 1 h w
    out = v2.resize(stacked, list(size), interpolation=v2.InterpolationMode.NEAREST_EXACT).reshape(*plain.shape[:-2], *size)
    return tv_tensors.wrap(out, like=x) if isinstance(x, tv_tensors.Mask) else out  # so that the next step knows a mask


def _displacement(shifts: Sequence[float], height: int, width: int) -> Tensor:
    """Shifts in pixels on 3 by 3 points to a smooth field (1, h, w, 2), x then y, in units where the picture is 2 wide."""
    coarse = torch.tensor(shifts).reshape(1, 2, 3, 3)                               # rows, columns
    field = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return torch.stack([field[:, 1] * 2 / width, field[:, 0] * 2 / height], dim=-1)  # 1 h w 2


def _colours(x: Tensor, draw: Draw, blur: bool) -> Tensor:
    """Brightness, contrast, saturation, blur of a picture (c, h, w) in [0, 1], in this order."""
    v2, _ = _torchvision()
    if draw.brightness != 1:
        x = v2.adjust_brightness(x, draw.brightness)
    if draw.contrast != 1 and x.shape[0] in (1, 3):                                 # contrast is about the mean grey
        x = v2.adjust_contrast(x, draw.contrast)
    if draw.saturation != 1 and x.shape[0] == 3:
        x = v2.adjust_saturation(x, draw.saturation)
    reach = min(int(3 * draw.sigma + 0.5), *(side - 1 for side in x.shape[-2:]))    # pixels each way
    return v2.gaussian_blur(x, 2 * reach + 1, draw.sigma) if blur and reach > 0 else x


class Resize:
    """Every picture and mask of a sample at one size, nothing random: for validation. Proportions may change.

    Args:
        size: (height, width), or one number for both.
    """

    def __init__(self, size: int | Sequence[int]):
        _torchvision()
        self.size = _pair("Resize", size)

    def __call__(self, item: dict) -> dict:
        """The sample with ``"image"``, ``"target"`` and ``"mask"`` resized, where it has them."""
        _size_of("Resize", item)
        return {key: _resize(x, self.size, key == "mask") if key in ("image", "target", "mask") else x
                for key, x in item.items()}


# ---- checks --------------------------------------------------------------------------------------------------------

def _pair(owner: str, size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """(height, width) from one number or two."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or any(not isinstance(side, int) or isinstance(side, bool) or side < 1 for side in pair):
        raise ValueError(f"{owner}: expected size as (height, width) in pixels, got {size!r}; pass whole numbers")
    return pair


def _size_of(owner: str, item: dict) -> tuple[int, int]:
    """Height and width that all pictures and masks of a sample share."""
    if not isinstance(item, dict) or "image" not in item:
        got = sorted(map(str, item)) if isinstance(item, dict) else type(item).__name__
        raise KeyError(f"{owner}: expected a sample with the key 'image', got {got}; make it a dict like "
                       "{'image': x, 'mask': y}")
    sizes = {key: tuple(item[key].shape[-2:]) for key in ("image", "target", "mask") if key in item}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"{owner}: expected picture and mask of one size, got {sizes}; they belong to different "
                         "pictures, or one was resized alone")
    return sizes["image"]
