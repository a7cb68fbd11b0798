"""Huge pictures in tiles: cut with overlap, put together again without a seam and without a loss.

A network's answer is worst at the rim of a tile, where it cannot see the surroundings. So tiles overlap, and where they do,
each counts by a weight that falls towards its rim; the weights of all tiles at a pixel sum to one, so that tiles which
agree give back what they agree on. Tiles do not reach beyond the picture; they are spread evenly over it. Only a picture
smaller than a tile is padded, by repeating its rim.

Weighted overlapping patches for segmentation are as in nnU-Net (Isensee et al., Nature Methods 18, 2021, methods).
Departures: the weights are triangles or squared sines, not a Gaussian, and they are divided by their sum beforehand, not
afterwards.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Grid", "fill_tile", "grid_of", "predict_tiled", "tiles", "untile"]

_BLENDS = ("linear", "cosine", "mean", "nearest")


@dataclass(frozen=True)
class Grid:
    """Where the tiles of one picture lie: tile number i starts at ``(top, left)``, rows first. In pixels of the picture."""

    height: int
    width: int
    tile: tuple[int, int]                                           # height and width of every tile
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(top, left) of every tile."""
        return ((top, left) for top in self.tops for left in self.lefts)

    def box(self, index: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part of the picture under a tile: smaller than a tile if the picture is."""
        top, left = self.tops[index // len(self.lefts)], self.lefts[index % len(self.lefts)]
        return top, left, min(self.tile[0], self.height), min(self.tile[1], self.width)


def grid_of(height: int, width: int, tile: int | tuple[int, int], overlap: int | tuple[int, int] = 0) -> Grid:
    """The fewest tiles that cover a picture with at least this overlap, spread evenly.

    Args:
        height, width: of the picture, pixels.
        tile: height and width of a tile, or one number for both.
        overlap: least number of pixels that neighbours share, smaller than the tile.

    Raises:
        ValueError: if a size is not a whole number above 0, or the overlap leaves no step.

    >>> grid_of(100, 64, tile=64, overlap=16)
    Grid(height=100, width=64, tile=(64, 64), tops=(0, 36), lefts=(0,))
    """
    tile = (tile, tile) if isinstance(tile, int) else tuple(tile)
    overlap = (overlap, overlap) if isinstance(overlap, int) else tuple(overlap)
    for name, value, least in (("height", height, 1), ("width", width, 1), *(("tile", t, 1) for t in tile),
                               *(("overlap", o, 0) for o in overlap)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"grid_of: expected {name} to be an integer of at least {least}, got {value!r}; pass pixels")
    if len(tile) != 2 or len(overlap) != 2 or overlap[0] >= tile[0] or overlap[1] >= tile[1]:
        raise ValueError(f"grid_of: expected an overlap smaller than the tile, got overlap={overlap} and tile={tile}; a "
                         "quarter of the tile is usual")
    return Grid(height, width, tile, _starts(height, tile[0], overlap[0]), _starts(width, tile[1], overlap[1]))


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """First pixels of the tiles along one axis: the first at 0, the last ending with the picture."""
    room = max(0, length - tile)
    steps = -(-room // (tile - overlap))                            # as few as cover
    return tuple(i * room // steps for i in range(steps + 1)) if steps else (0,)


def tiles(x: Tensor, tile: int | tuple[int, int], overlap: int | tuple[int, int] = 0) -> tuple[Tensor, Grid]:
    """Cut a picture into tiles.

    Args:
        x: (c, h, w), any dtype.
        tile, overlap: as in :func:`grid_of`.

    Returns:
        Tiles (n, c, tile height, tile width), copies; and where they lie, for :func:`untile`.

    Raises:
        ValueError: if x is not (c, h, w), or :func:`grid_of` refuses.

    >>> x = torch.rand(3, 100, 70)
    >>> parts, grid = tiles(x, 64, overlap=16)
    >>> parts.shape, torch.allclose(untile(parts, grid), x)
    (torch.Size([4, 3, 64, 64]), True)
    """
    if not isinstance(x, Tensor) or x.ndim != 3:
        raise ValueError(f"tiles: expected a tensor (c, h, w), got "
                         f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}; x[None] adds a channel, x[0] "
                         "takes one picture from a batch")
    grid = grid_of(x.shape[1], x.shape[2], tile, overlap)
    return torch.stack([_cut(x, grid, top, left) for top, left in grid]), grid                  # n c tile tile


def _cut(x: Tensor, grid: Grid, top: int, left: int) -> Tensor:
    part = x[:, top:top + grid.tile[0], left:left + grid.tile[1]]
    return fill_tile(part, grid.tile)


def fill_tile(part: Tensor, tile: tuple[int, int]) -> Tensor:
    """(c, h, w) padded below and right to the tile by repeating the last row and column."""
    for axis, length in ((-2, tile[0]), (-1, tile[1])):
        missing = length - part.shape[axis]
        if missing:
            last = part.narrow(axis, part.shape[axis] - 1, 1)
            part = torch.cat([part, last.repeat_interleave(missing, dim=axis)], dim=axis)
    return part                                                                                 # c tile tile


def untile(parts: Tensor, grid: Grid, *, blend: str = "linear", scale: int = 1) -> Tensor:
    """Put tiles together again.

    Args:
        parts: (n, c, scale * tile, scale * tile), in the order of the grid.
        grid: as :func:`tiles` gave it.
        blend: weight of a tile where tiles overlap. ``"linear"`` and ``"cosine"`` fall towards the rim, ``"mean"`` is even,
            ``"nearest"`` takes each pixel from the tile in which it lies deepest: nothing is mixed, so it is bit-exact and
            right for class numbers.
        scale: of a network that enlarges (super-resolution).

    Returns:
        (c, scale * height, scale * width), the dtype of the parts.

    Raises:
        ValueError: if the parts do not belong to the grid, or numbers that are no floats would be mixed.
    """
    _check_blend("untile", blend)
    expected = (len(grid), scale * grid.tile[0], scale * grid.tile[1])
    if parts.ndim != 4 or (parts.shape[0], *parts.shape[2:]) != expected:
        raise ValueError(f"untile: expected tiles (n={expected[0]}, c, {expected[1]}, {expected[2]}) for this grid and "
                         f"scale={scale}, got {tuple(parts.shape)}; pass all tiles, and the scale of the network")
    canvas = _Canvas(grid, blend, scale)
    for index, part in enumerate(parts):
        canvas.add(index, part)
    return canvas.picture


class _Canvas:
    """A picture that tiles are added to one by one, so that never more than one batch of them is in memory."""

    def __init__(self, grid: Grid, blend: str, scale: int):
        self.grid, self.blend, self.scale, self.picture, self._sum = grid, blend, scale, None, None
        self.rows = _weights(grid.tops, grid.tile[0], grid.height, blend, scale)                # tiles, scale * tile
        self.columns = _weights(grid.lefts, grid.tile[1], grid.width, blend, scale)

    def add(self, index: int, part: Tensor) -> None:
        """One tile (c, scale * tile, scale * tile)."""
        top, left, height, width = (self.scale * side for side in self.grid.box(index))
        row, column = divmod(index, len(self.grid.lefts))
        part = part[:, :height, :width]                                                         # without the padding
        if self.picture is None:
            size = (len(part), self.scale * self.grid.height, self.scale * self.grid.width)
            if self.blend != "nearest" and not part.is_floating_point():
                raise ValueError(f"untile: expected floating-point tiles for blend={self.blend!r}, got {part.dtype}; blend "
                                 "probabilities and take the argmax afterwards, or pass blend='nearest'")
            kind = torch.float32 if part.dtype in (torch.float16, torch.bfloat16) and self.blend != "nearest" else part.dtype
            self._sum = part.new_zeros(size, dtype=kind)
            self.picture = self._sum
        place = self._sum[:, top:top + height, left:left + width]
        down, across = self.rows[row, :height].to(part.device), self.columns[column, :width].to(part.device)
        if self.blend == "nearest":
            place.copy_(torch.where((down > 0)[:, None] & (across > 0), part, place))
        else:
            place.add_(part.to(place.dtype) * (down[:, None] * across).to(place.dtype))
        if index == len(self.grid) - 1:
            self.picture = self._sum.to(part.dtype)


def _weights(starts: tuple[int, ...], tile: int, length: int, blend: str, scale: int) -> Tensor:
    """Weights (tiles, scale * tile) along one axis, float64: at every pixel of the picture they sum to one over the tiles.

    The weight of a pixel of a tile is the product of its weights along both axes, and so these sum to one as well.
    """
    size, length = scale * min(tile, length), scale * length
    position = torch.arange(size, dtype=torch.float64)
    depth = torch.minimum(position + 0.5, size - position - 0.5)                                # pixels from the rim
    depth = {"mean": torch.ones_like(depth), "cosine": torch.sin(torch.pi * (position + 0.5) / size) ** 2}.get(blend, depth)
    parts = [slice(scale * start, scale * start + size) for start in starts]
    total, owner = torch.zeros(length, dtype=torch.float64), torch.zeros(length, dtype=torch.int64)
    for number, here in enumerate(parts):
        if blend == "nearest":
            deeper = depth > total[here]
            total[here], owner[here] = depth.where(deeper, total[here]), owner[here].where(~deeper, number)
        else:
            total[here] += depth
    if blend == "nearest":
        return torch.stack([(owner[here] == number).double() for number, here in enumerate(parts)])
    return torch.stack([depth / total[here] for here in parts])                                 # tiles, scale * tile


@torch.no_grad()
def predict_tiled(model: nn.Module | Callable[[Tensor], Tensor], x: Tensor, tile: int | tuple[int, int],
                  overlap: int | tuple[int, int] = 0, *, batch_size: int = 1, blend: str = "linear", scale: int = 1,
                  device: torch.device | str | None = None) -> Tensor:
    """A network's answer to a picture that does not fit into memory at once.

    Args:
        model: maps (b, c, tile, tile) to (b, k, scale * tile, scale * tile). Call ``model.eval()`` first.
        x: (c, h, w). May stay on the CPU when the model is on another device.
        tile, overlap: as in :func:`grid_of`; an overlap of half the receptive field hides the seams.
        batch_size: tiles at once.
        blend, scale: as in :func:`untile`.
        device: where the tiles go; None: where x is.

    Returns:
        (k, scale * h, scale * w), on the device of x. Without gradients.

    Raises:
        ValueError: if x is not (c, h, w), or the model changes the size by another factor than ``scale``.
    """
    if not isinstance(x, Tensor) or x.ndim != 3:
        raise ValueError(f"predict_tiled: expected one picture (c, h, w), got "
                         f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}; x[0] takes it from a batch")
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"predict_tiled: expected batch_size to be an integer of at least 1, got {batch_size!r}")
    _check_blend("predict_tiled", blend)
    grid = grid_of(x.shape[1], x.shape[2], tile, overlap)
    canvas, places = _Canvas(grid, blend, scale), list(grid)
    for first in range(0, len(places), batch_size):
        batch = torch.stack([_cut(x, grid, top, left) for top, left in places[first:first + batch_size]])
        out = model(batch if device is None else batch.to(device)).to(x.device)                 # b k tile tile
        if out.shape[-2:] != (scale * grid.tile[0], scale * grid.tile[1]):
            raise ValueError(f"predict_tiled: expected the model to give {scale} times the tile {grid.tile}, got "
                             f"{tuple(out.shape[-2:])} pixels; set scale to the factor of the network")
        for i, part in enumerate(out):
            canvas.add(first + i, part)
    return canvas.picture


def _check_blend(owner: str, blend: str) -> None:
    if blend not in _BLENDS:
        raise ValueError(f"{owner}: expected blend to be one of {', '.join(map(repr, _BLENDS))}, got {blend!r}; choose one")
