"""A part of a large picture file without decoding the rest, and whole data sets of such parts.

JPEG and PNG are streams: the last row can only be had after all others. Formats made for large pictures store them in
pieces (tiles, strips), each of which can be decoded alone; an array on disk need not be decoded at all. Store what is read
in tiles that way, once, and reading a tile costs what a tile costs.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .files import memory_map, picture_size, read_picture
from .tiling import fill_tile, grid_of

__all__ = ["TiledPictures", "read_crop"]

_ORIENTATION = 0x0112                                           # tag: a turned picture is read whole


def read_crop(path: str | os.PathLike, top: int, left: int, height: int, width: int) -> Tensor:
    """A part of a picture, decoding only that part where the format allows it.

    An array ``.npy`` (h, w) or (h, w, c) is mapped into memory, and of a TIFF only the strips or tiles that meet the part
    are decoded. Any other format (JPEG, PNG) has to be decoded whole: store huge pictures as tiled TIFF or ``.npy``.

    Args:
        path: the file.
        top, left: first row and column, in pixels.
        height, width: size of the part, in pixels; it must lie inside the picture.

    Returns:
        (c, height, width), the numbers as ``read_picture(path, channels=None)`` gives them; of ``.npy`` as they are stored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the part does not lie inside the picture, or the file is damaged.
    """
    path = Path(path)
    whole = picture_size(path)
    if min(top, left) < 0 or min(height, width) < 1 or top + height > whole[0] or left + width > whole[1]:
        raise ValueError(f"read_crop: expected a part inside the {whole[0]} × {whole[1]} pixels of {path}, got top={top}, "
                         f"left={left}, height={height}, width={width}; dlnotes.data.grid_of gives places that fit")
    part = None
    if path.suffix == ".npy":
        part = np.array(memory_map("read_crop", path)[top:top + height, left:left + width])
    elif path.suffix.lower() in (".tif", ".tiff"):
        part = _tiff_crop(path, top, left, height, width)
    if part is None:
        return read_picture(path, None)[:, top:top + height, left:left + width]
    pixels = torch.from_numpy(part)
    return pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0)                      # c h w


def _tiff_crop(path: Path, top: int, left: int, height: int, width: int) -> np.ndarray | None:
    """The part (h, w) or (h, w, c) from the strips or tiles that meet it; None where the whole has to be decoded."""
    try:
        from tifffile import TiffFile
    except ModuleNotFoundError:                                 # comes with scikit-image
        return None
    with open(path, "rb") as file, TiffFile(file) as tiff:
        page = tiff.pages[0]
        plain = (page.dtype == np.uint8 and page.planarconfig == 1 and page.imagedepth == 1
                 and page.samplesperpixel in (1, 3) and page.photometric in (1, 2) and _ORIENTATION not in page.tags)
        if not plain:
            return None
        part = np.zeros((height, width, page.samplesperpixel), np.uint8)
        try:
            for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts)):
                y, x, rows, columns = _segment(page, index)
                if y >= top + height or y + rows <= top or x >= left + width or x + columns <= left:
                    continue                                    # the reason for all this: most segments are never read
                tiff.filehandle.seek(offset)
                pixels = page.decode(tiff.filehandle.read(count), index, jpegtables=page.jpegtables)[0]
                pixels = pixels.reshape(-1, *pixels.shape[-2:])                             # rows columns samples
                first, last = max(y, top), min(y + pixels.shape[0], top + height)
                begin, end = max(x, left), min(x + pixels.shape[1], left + width)
                part[first - top:last - top, begin - left:end - left] = pixels[first - y:last - y, begin - x:end - x]
        except Exception:                                       # a compression that tifffile knows only with imagecodecs
            return None
    return part[:, :, 0] if page.samplesperpixel == 1 else part


def _segment(page, index: int) -> tuple[int, int, int, int]:
    """Top, left, rows and columns of one strip or tile of a TIFF page."""
    if not page.is_tiled:
        return index * page.rowsperstrip, 0, page.rowsperstrip, page.imagewidth
    across = -(-page.imagewidth // page.tilewidth)
    return index // across * page.tilelength, index % across * page.tilewidth, page.tilelength, page.tilewidth


class TiledPictures(Dataset):
    """The tiles of large picture files as samples, each read without decoding the rest where the format allows it.

    Samples are ``{"image": (c, *tile) float32 in [0, 1] (of .npy with other numbers: as stored), "box": (top, left, height,
    width), "name": str}``. ``grids[i]`` is the grid of file ``i``, for :func:`untile`.

    Args:
        paths: picture files; tiled TIFF and ``.npy`` are read in parts (:func:`read_crop`).
        tile, overlap: as in :func:`grid_of`.
    """

    def __init__(self, paths: Sequence[str | os.PathLike], tile: int | tuple[int, int], overlap: int | tuple[int, int] = 0):
        self.paths = list(paths)
        self.grids = [grid_of(*picture_size(path), tile, overlap) for path in self.paths]
        self._where = [(i, j) for i, grid in enumerate(self.grids) for j in range(len(grid))]

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(f"TiledPictures: expected an index from 0 to {len(self) - 1}, got {index}")
        picture, tile = self._where[index]
        grid = self.grids[picture]
        part = read_crop(self.paths[picture], *grid.box(tile))
        part = part.float() / 255 if part.dtype == torch.uint8 else part
        return {"image": fill_tile(part, grid.tile).contiguous(), "box": torch.tensor(grid.box(tile)),
                "name": str(self.paths[picture])}
