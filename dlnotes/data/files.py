"""One picture file to one tensor, whatever the file's mode, and an error that names the file when it cannot be read.

A picture file says how its numbers are to be read: grey or colour, a palette, transparency, 1, 8 or 16 bits, and (EXIF)
which side is up. ``read_picture`` brings all of them to one form and does so in the open:

=============================  ========================================================================================
mode in the file               what becomes of it
=============================  ========================================================================================
L, RGB (8 bits)                as it is, uint8
1 (one bit)                    0 and 255, uint8
P (palette)                    the colours that the palette gives
LA, RGBA, PA, transparency     laid on a white ground; a fully opaque picture keeps its values
CMYK, YCbCr, HSV               PIL's conversion to RGB, which leaves the colour profile aside
I;16 (16-bit grey), I          float32 in [0, 1]: value / 65535
F (floats, TIFF)               float32, the values as they are
=============================  ========================================================================================

16-bit colour is read with 8 bits, because PIL offers no more. ``read_mask`` reads numbers of classes and never colours.
"""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["PICTURES", "picture_size", "read_mask", "read_picture"]

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"})
"""Endings of files that are taken for pictures, in lower case."""

_ORIENTATION = 0x0112                                           # tag of EXIF and of TIFF
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def _pillow(owner: str):
    """``PIL.Image``, imported when it is first needed."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{owner}: expected Pillow to read pictures, found none; pip install pillow") from error
    return Image


def open_picture(owner: str, path: str | os.PathLike, load: bool = True):
    """The PIL picture in a file, upright. With ``load=False`` only its header is read, and ``info["orientation"]`` says how
    the pixels, which then cannot be read, would have to be turned."""
    Image = _pillow(owner)
    path = Path(path)
    try:
        # A file that Python opened takes any name, also where the C library cannot (non-ASCII names on Windows).
        with open(path, "rb") as file, Image.open(file) as picture:
            if not load:
                picture.info["orientation"] = _orientation(picture)
                return picture
            picture.load()
            if _orientation(picture) != 1:
                from PIL import ImageOps

                return ImageOps.exif_transpose(picture)
            return picture
    except FileNotFoundError:
        raise FileNotFoundError(f"{owner}: expected a picture at {path}, found no file; check_dataset(folder) lists every "
                                "file that is missing") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{owner}: expected {path} to stay below PIL's limit against decompression bombs, got {error}; "
                         "if you trust the file, set PIL.Image.MAX_IMAGE_PIXELS = None") from error
    except Exception as error:                                  # PIL raises OSError, SyntaxError, struct.error and others
        empty = path.is_file() and path.stat().st_size == 0
        reason = "an empty file" if empty else str(error).strip() or type(error).__name__
        raise ValueError(f"{owner}: expected a complete picture in {path}, got a damaged or different file ({reason}); "
                         "export or download it again, or take it out of the list") from error


def _orientation(picture) -> int:
    """EXIF's orientation: 1 is upright, 5 to 8 lie on their side."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1                                                # PIL would decode all pixels to look behind them
    return picture.getexif().get(_ORIENTATION, 1)


def picture_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of the upright picture in a file, read from its header alone.

    Args:
        path: a picture, or an array ``.npy`` of (h, w) or (h, w, c).

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is no picture.
    """
    if Path(path).suffix == ".npy":
        return tuple(memory_map("picture_size", path).shape[:2])
    picture = open_picture("picture_size", path, load=False)
    width, height = picture.size
    return (width, height) if picture.info["orientation"] >= 5 else (height, width)


def memory_map(owner: str, path: str | os.PathLike) -> np.ndarray:
    """A stored array (h, w) or (h, w, c) without reading it: its pixels come from the disk when they are touched."""
    try:
        array = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise FileNotFoundError(f"{owner}: expected an array at {path}, found no file; check the path") from None
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{owner}: expected a complete .npy array in {path}, got {error}; write it again") from error
    if array.ndim not in (2, 3):
        raise ValueError(f"{owner}: expected (h, w) or (h, w, c) in {path}, got shape {array.shape}; store one picture")
    return array


def read_picture(path: str | os.PathLike, channels: int | None = 3) -> Tensor:
    """A picture file as a tensor, in the form that the table above gives.

    Args:
        path: the file. Names may hold any character.
        channels: 3 for colour (grey is repeated), 1 for grey (colour is weighed 0.299, 0.587, 0.114), None for what the
            file has.

    Returns:
        (channels, h, w), uint8, or float32 where 8 bits would not do. The memory order is that of the file
        (channels last); ``.contiguous()`` changes it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no picture, incomplete, or holds numbers of an unknown range.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("1", (5, 4), 1).save(Path(folder) / "one bit.png")
    ...     read_picture(Path(folder) / "one bit.png")[:, 0, 0].tolist()
    [255, 255, 255]
    """
    if channels not in (1, 3, None):
        raise ValueError(f"read_picture: expected channels to be 1, 3 or None, got {channels!r}; None takes the file's own")
    picture = open_picture("read_picture", path)
    if picture.mode in (*_SIXTEEN_BITS, "F"):
        pixels = torch.from_numpy(np.array(picture).astype(np.float32))[None]               # 1 h w
        if picture.mode != "F":
            if pixels.min() < 0 or pixels.max() > 65535:
                raise ValueError(f"read_picture: expected 16-bit values from 0 to 65535 in {path}, got "
                                 f"{pixels.min():.0f} to {pixels.max():.0f}; export it with 8 or 16 bits")
            pixels = pixels / 65535
        return pixels.repeat(3, 1, 1) if channels == 3 else pixels
    picture = _on_white(picture)
    wanted = {1: "L", 3: "RGB", None: "L" if picture.mode in ("L", "1") else "RGB"}[channels]
    if picture.mode != wanted:
        try:
            picture = picture.convert(wanted)
        except ValueError as error:
            raise ValueError(f"read_picture: expected grey or colour in {path}, got mode {picture.mode}, which Pillow "
                             "cannot convert; export it as RGB") from error
    pixels = torch.from_numpy(np.array(picture))                                            # h w, or h w 3
    return pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0)                      # c h w


def _on_white(picture):
    """A picture without transparency: what shines through is white, as a viewer would show it on paper."""
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if picture.mode in ("LA", "PA", "La", "RGBA", "RGBa"):
        Image = _pillow("read_picture")
        picture = picture.convert("RGBA") if picture.mode in ("PA", "La", "RGBa") else picture
        base = picture.convert("L" if picture.mode == "LA" else "RGB")
        alpha = picture.getchannel("A")
        if alpha.getextrema()[0] < 255:
            base = Image.composite(base, Image.new(base.mode, base.size, "white"), alpha)
        return base
    return picture


def read_mask(path: str | os.PathLike, colours: dict[tuple[int, int, int], int] | None = None) -> Tensor:
    """A mask file as the numbers that it holds: class numbers, palette indices (Pascal VOC), 0 and 255, or bits 0 and 1.

    Args:
        path: the file, of one channel, or of three equal ones.
        colours: for masks painted in colours, class number by (red, green, blue).

    Returns:
        (h, w) int64.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture, or coloured and ``colours`` does not explain it.
    """
    return mask_numbers(path, colours).long()


def mask_numbers(path: str | os.PathLike, colours: dict[tuple[int, int, int], int] | None = None) -> Tensor:
    """What :func:`read_mask` gives, in the type that the file has: one byte a pixel for most."""
    picture = open_picture("read_mask", path)
    if picture.mode in ("LA", "PA"):
        picture = picture.getchannel(0)
    if picture.mode in ("1", "L", "P"):
        return torch.from_numpy(np.array(picture).astype(np.uint8, copy=False))             # h w
    if picture.mode in _SIXTEEN_BITS:
        return torch.from_numpy(np.array(picture).astype(np.int32))                         # h w
    pixels = torch.from_numpy(np.array(picture.convert("RGB")))                             # h w 3
    red, green, blue = pixels.unbind(-1)
    if colours is None:
        if torch.equal(red, green) and torch.equal(red, blue):
            return red
        raise ValueError(f"read_mask: expected class numbers in {path}, got a picture in colours (mode {picture.mode}); "
                         "pass colours={(red, green, blue): class, ...}")
    code = (red.int() * 256 + green) * 256 + blue
    mask = torch.full_like(code, -1)
    for (r, g, b), number in colours.items():
        mask[code == (r * 256 + g) * 256 + b] = number
    if (mask < 0).any():
        stray = pixels[mask < 0][0].tolist()
        raise ValueError(f"read_mask: expected only the {len(colours)} colours given in {path}, got {tuple(stray)}; "
                         "add it to colours (a lossy format such as JPEG blurs colours, PNG keeps them)")
    return mask
