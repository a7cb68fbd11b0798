"""Digits on photographed textures in pictures of any size, one or many in each, for classification and segmentation.

``dlnotes.digits.DigitsOnTextures`` draws one digit on 64 × 64 pixels. Here the canvas and the number of digits are free, and
an item is what the rest of the course expects: a dictionary. The picture is cut into equal cells, each digit gets a cell of
its own and a random place in it, so digits never overlap and every pixel of the mask belongs to at most one.

One digit on 64 × 64 pixels of the default height gives the very pictures of ``DigitsOnTextures``, so that the networks
shipped with the course read them. The splits share neither a digit nor a pixel of texture; a canvas larger than the held-out
quarter of a photograph (128 columns) continues it by mirroring at its edges.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from dlnotes import digits as one_digit
from dlnotes._check import check_choice, check_integers

from ._draw import SPLITS, between, check_index, check_range, check_split, numbers_of

__all__ = ["TexturedDigits"]

_HEIGHTS = (34, 54)                             # of a digit with its rim, in pixels, as DigitsOnTextures draws them


class TexturedDigits(Dataset):
    """Grey pictures of digits on textures, with labels or masks.

    Args:
        split: ``"train"`` or ``"held-out"``.
        size: number of pictures.
        seed: another seed, another set of pictures of the same split.
        task: ``"segmentation"`` (the mask says which digit), ``"binary"`` (the mask says whether a digit) or
            ``"classification"`` (a label; one digit in a picture).
        shape: height and width of a picture in pixels.
        digits: how many in a picture, one number or (least, most).
        height: of a digit with its rim, in pixels, one number or (least, most).
        texture: contrast of the background, from 0 (a flat grey) to 1 (the photograph).

    Raises:
        ValueError: if an argument is none of these, or the digits do not fit into the picture.
        ModuleNotFoundError: if scikit-learn or scikit-image is missing.

    >>> pictures = TexturedDigits("train", 100, shape=(128, 192), digits=(1, 4))
    >>> item = pictures[3]
    >>> item["image"].shape, item["mask"].shape, item["mask"].unique().tolist(), item["name"]
    (torch.Size([1, 128, 192]), torch.Size([128, 192]), [0, 2, 6, 7], 'train_00003')
    """

    classes = ("ground", *map(str, range(10)))
    """Names of the numbers in the masks of ``task="segmentation"``: 0 is ground, 1 to 10 are the digits 0 to 9."""

    def __init__(self, split: str = "train", size: int = 10_000, seed: int = 0, *, task: str = "segmentation",
                 shape: tuple[int, int] = (64, 64), digits: int | tuple[int, int] = 1,
                 height: float | tuple[float, float] = _HEIGHTS, texture: float = 1.0):
        owner = "TexturedDigits"
        check_choice(owner, ("segmentation", "binary", "classification"), task=task)
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise ValueError(f"{owner}: expected shape to be (height, width), got {shape!r}; pass two whole numbers")
        check_integers(owner, size=size, **{"height of shape": shape[0], "width of shape": shape[1]})
        check_integers(owner, at_least=0, seed=seed)
        self.digits = check_range(owner, "digits", digits, 0, whole=True)
        self.height = check_range(owner, "height", height, 8, 512)
        check_range(owner, "texture", texture, 0, 1)
        if task == "classification" and self.digits != (1, 1):
            raise ValueError(f"{owner}: expected digits=1 for task='classification', got {digits!r}; a picture of several "
                             "has no one label, use task='segmentation'")
        self.split, self.size, self.seed, self.task = split, size, seed, task
        self.shape, self.texture = tuple(shape), texture
        self._split = check_split(owner, split)
        self._cell = math.ceil(self.height[1])                  # side of the square that a digit moves in
        self._grid = (self.shape[0] // self._cell, self.shape[1] // self._cell)
        room = self._grid[0] * self._grid[1]
        if room < self.digits[1]:
            raise ValueError(f"{owner}: expected room for {self.digits[1]} digits of {self.height[1]:g} pixels, got {room} "
                             f"cells in {self.shape[0]} × {self.shape[1]}; enlarge shape, or lower height or digits")
        self._pictures = one_digit.DigitsOnTextures(split, size, seed, float(texture))
        self._plain = self.shape == (64, 64) and self.digits == (1, 1) and tuple(self.height) == _HEIGHTS

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        """Picture ``index``.

        Returns:
            ``"image"`` (1, h, w) float32 in [0, 1] and ``"name"``; for segmentation ``"mask"`` (h, w) int64: 0 for ground,
            digit + 1 (or 1 with ``task="binary"``) where ink covers at least half; for classification ``"label"``.

        Raises:
            IndexError: if ``index`` is not from 0 to size - 1.
        """
        index = check_index("TexturedDigits", index, self.size)
        if self._plain:
            image, label, ink = self._pictures[index]
            mask = ink[0].long() * (label + 1)                                              # h w
        else:
            image, label, mask = self._draw(numbers_of(self.seed, self._split, index))
        item = {"image": image, "name": f"{SPLITS[self._split]}_{index:05d}"}
        if self.task == "classification":
            return {**item, "label": label}
        return {**item, "mask": (mask > 0).long() if self.task == "binary" else mask}

    def _draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, int, torch.Tensor]:
        (h, w), (rows, columns), cell = self.shape, self._grid, self._cell
        count = between(rng, self.digits)
        texture = self._ground(rng.random(5))                                               # 1 h w, mean near 0
        contrast, shift = self.texture * (0.5 + 0.5 * rng.random()), 0.35 + 0.3 * rng.random()
        image = shift + contrast * texture
        mask = torch.zeros(h, w, dtype=torch.int64)
        label = -1
        for place in np.argsort(rng.random(rows * columns))[:count]:
            r = rng.random(8)
            which = int(r[0] * len(self._pictures._digits))
            side = self.height[0] + (self.height[1] - self.height[0]) * r[1]
            angle, narrow = math.radians(12) * (2 * r[2] - 1), 0.8 + 0.25 * r[3]
            top = int(place) // columns * h // rows + int(r[4] * (h // rows - cell + 1))
            left = int(place) % columns * w // columns + int(r[5] * (w // columns - cell + 1))
            turn = (torch.tensor([v]).float() for v in (side / cell, angle, narrow, 0, 0))
            stroke = one_digit.draw_strokes(self._pictures._digits[which:which + 1], *turn, cell)[0]   # 1 cell cell
            sign, strength = (1 if r[6] < 0.5 else -1), 0.36 + 0.28 * r[7]                  # light or dark ink
            here = (..., slice(top, top + cell), slice(left, left + cell))
            ink = shift + sign * strength + 0.25 * contrast * texture[here]             # a little texture shows through
            image[here] = image[here] + stroke * (ink - image[here])            # 1 cell cell
            label = int(self._pictures._labels[which])
            mask[here] = torch.where(stroke[0] > 0.5, label + 1, mask[here])
        return image.clamp(0, 1).float(), label, mask

    def _ground(self, r: np.ndarray) -> torch.Tensor:
        """A part (1, h, w) of this split's side of a photograph, 1 to 1.7 photographed pixels to one of ours."""
        photograph = self._pictures._photographs[int(r[0] * len(one_digit.TEXTURES))]       # 1 1 512 512
        edge = one_digit._EDGE
        mine = photograph[..., :edge] if self.split == "train" else photograph[..., edge:]
        zoom = 1 + 0.7 * r[1]
        spans = [s * zoom for s in self.shape]                                              # rows, columns of the photograph
        first = [float(r[2 + i]) * max(mine.shape[2 + i] - spans[i], 0) for i in (0, 1)]
        if r[4] < 0.5:
            mine = mine.flip(-1)
        y, x = (((torch.arange(self.shape[i]) + 0.5) * zoom + first[i]) / mine.shape[2 + i] * 2 - 1 for i in (0, 1))
        grid = torch.stack(torch.meshgrid(x.float(), y.float(), indexing="xy"), dim=-1)[None]   # 1 h w 2
        return F.grid_sample(mine, grid, padding_mode="reflection", align_corners=False)[0]
