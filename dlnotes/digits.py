"""Digits on photographed textures: small real pictures with a label and an exact mask, as many as you want.

Each picture is a real handwritten digit (8 × 8 pixels, from the optical recognition data that ship with scikit-learn),
enlarged and laid with random place, size, slant, brightness and contrast on a crop of a photograph of bricks, grass or
gravel (from scikit-image). The background is busy, so a network has to find the digit before it can read it, and the mask
says where it is.

The two splits share nothing: 1,397 digits and the left three quarters of the photographs are for training, the other 400
digits and the right quarter are held out. Picture ``i`` is the same in every run: its numbers come from (seed, split, i).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

__all__ = ["DigitsOnTextures", "TEXTURES"]

TEXTURES = ("brick", "grass", "gravel")
"""Names of the photographs, all grey, 512 × 512."""

_SIDE = 64              # of a picture, in pixels
_HELD_OUT = 400         # digits that training never sees
_EDGE = 384             # first column of the photographs that is held out


class DigitsOnTextures(Dataset):
    """Grey pictures of one digit on a texture.

    Args:
        split: ``"train"`` or ``"held-out"``.
        size: number of pictures.
        seed: another seed, another set of pictures of the same split.
        texture: contrast of the background, from 0 (a flat grey) to 1 (the photograph).

    Raises:
        ValueError: if an argument is none of these.
        ModuleNotFoundError: if scikit-learn or scikit-image is missing.

    >>> pictures = DigitsOnTextures("held-out", size=400)
    >>> image, label, mask = pictures[7]
    >>> image.shape, mask.shape, 0 <= label <= 9
    (torch.Size([1, 64, 64]), torch.Size([1, 64, 64]), True)
    """

    def __init__(self, split: str = "train", size: int = 10_000, seed: int = 0, texture: float = 1.0):
        if split not in ("train", "held-out"):
            raise ValueError(f"DigitsOnTextures: expected split 'train' or 'held-out', got {split!r}")
        for name, value, least in (("size", size, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"DigitsOnTextures: expected {name} to be an integer of at least {least}, got {value!r}")
        if not 0.0 <= texture <= 1.0:
            raise ValueError(f"DigitsOnTextures: expected texture from 0 to 1, got {texture!r}")
        self.split, self.size, self.seed, self.texture = split, size, seed, texture
        self._digits, self._labels = _digits(split)
        self._photographs = _photographs()

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, torch.Tensor]:
        """Picture ``index``.

        Returns:
            Image (1, 64, 64) float32 in [0, 1], label 0 to 9, mask (1, 64, 64) float32: 1 where ink covers at
            least half of the background, else 0.

        Raises:
            IndexError: if ``index`` is not from 0 to size - 1.
        """
        images, labels, masks = self.batch([index])
        return images[0], int(labels[0]), masks[0]

    def batch(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Several pictures at once, much faster than one by one.

        Args:
            indices: which pictures, each from 0 to size - 1.

        Returns:
            Images (b, 1, 64, 64) in [0, 1], labels (b,) int64, masks (b, 1, 64, 64) of 0 and 1, on the CPU.

        Raises:
            IndexError: if an index is out of range.
        """
        for index in indices:
            if not 0 <= index < self.size:
                raise IndexError(f"DigitsOnTextures: expected an index from 0 to {self.size - 1}, got {index}")
        split = ("train", "held-out").index(self.split)
        draws = np.stack([np.random.default_rng([self.seed, split, int(i)]).random(14) for i in indices])
        r = torch.from_numpy(draws).float()                                                 # b 14, uniform in [0, 1)
        which = (r[:, 0] * len(self._digits)).long()                                        # b
        stroke = self._place(self._digits[which], r[:, 1:6])                                # b 1 h w, in [0, 1]
        texture = self._crop(r[:, 6:11])                                                    # b 1 h w, mean 0
        contrast, shift = self.texture * (0.5 + 0.5 * r[:, 11]), 0.35 + 0.3 * r[:, 12]
        sign = (r[:, 13] < 0.5).float() * 2 - 1                                             # light or dark ink
        strength = 0.36 + 0.28 * (r[:, 13] * 2 % 1)
        ground = _column(shift) + _column(contrast) * texture
        ink = _column(shift + sign * strength) + 0.25 * _column(contrast) * texture         # a little texture shows through
        images = (ground + stroke * (ink - ground)).clamp(0, 1)                             # b 1 h w
        return images, self._labels[which], (stroke > 0.5).float()

    def _place(self, digits: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        """Enlarge (b, 1, 10, 10) digits to 34 to 54 pixels, rim included, slanted by up to 12 degrees, and place them."""
        side = (34 + 20 * r[:, 0]) / _SIDE                                                  # of the digit, picture = 1
        angle = (r[:, 1] - 0.5) * 2 * 12 * torch.pi / 180
        narrow = 0.8 + 0.25 * r[:, 2]
        x, y = ((1 - 0.9 * side) * (2 * r[:, i] - 1) for i in (3, 4))                      # centre, picture from -1 to 1
        return draw_strokes(digits, side, angle, narrow, x, y, _SIDE)                       # b 1 h w

    def _crop(self, r: torch.Tensor) -> torch.Tensor:
        """Crops of 64 to 110 pixels from this split's part of the photographs, resized to 64, half of them mirrored."""
        left, right = (0, _EDGE) if self.split == "train" else (_EDGE, 512)
        which = (r[:, 0] * len(TEXTURES)).long()                                            # b
        half = (64 + 46 * r[:, 1]) / 2                                                      # pixels
        x, y = left + half + r[:, 2] * (right - left - 2 * half), half + r[:, 3] * (512 - 2 * half)
        mirror = (r[:, 4] < 0.5).float() * 2 - 1
        nothing = torch.zeros_like(half)
        theta = torch.stack([torch.stack([mirror * half / 256, nothing, x / 256 - 1], dim=-1),
                             torch.stack([nothing, half / 256, y / 256 - 1], dim=-1)], dim=1)
        grid = F.affine_grid(theta, [len(r), 1, _SIDE, _SIDE], align_corners=False)         # b h w 2
        crops = torch.zeros(len(r), 1, _SIDE, _SIDE)
        for i, photograph in enumerate(self._photographs):
            mine = which == i
            if mine.any():
                many = photograph.expand(int(mine.sum()), 1, 512, 512)
                crops[mine] = F.grid_sample(many, grid[mine], padding_mode="border", align_corners=False)
        return crops


def draw_strokes(digits: torch.Tensor, side: torch.Tensor, angle: torch.Tensor, narrow: torch.Tensor, x: torch.Tensor,
                 y: torch.Tensor, pixels: int) -> torch.Tensor:
    """Digits (b, 1, 10, 10), rim included, drawn into squares of ``pixels``: ink from 0 to 1, (b, 1, pixels, pixels).

    ``side`` is the share of the square that a digit takes, ``angle`` its slant in radians, ``narrow`` its width over its
    height, ``x`` and ``y`` its centre from -1 to 1; each is (b,).
    """
    cos, sin = angle.cos() / side, angle.sin() / side
    row_x = torch.stack([cos / narrow, sin / narrow, -(cos * x + sin * y) / narrow], dim=-1)
    row_y = torch.stack([-sin, cos, sin * x - cos * y], dim=-1)
    grid = F.affine_grid(torch.stack([row_x, row_y], dim=1), [len(side), 1, pixels, pixels], align_corners=False)
    smooth = F.grid_sample(digits, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    edge = ((smooth - 0.22) / 0.4).clamp(0, 1)                                              # a crisp rim
    return edge * edge * (3 - 2 * edge)                                                     # b 1 pixels pixels


def _column(x: torch.Tensor) -> torch.Tensor:
    return x[:, None, None, None]                                                           # b 1 1 1


@cache
def _digits(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits (n, 1, 10, 10) in [0, 1] with a rim of zeros, labels (n,)."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("DigitsOnTextures: expected scikit-learn for its handwritten digits, which is not "
                                  "installed; pip install scikit-learn") from error
    pixels, labels = load_digits(return_X_y=True)
    order = np.argsort(np.random.default_rng(1797).random(len(pixels)))
    mine = order[_HELD_OUT:] if split == "train" else order[:_HELD_OUT]
    pictures = torch.from_numpy(pixels[mine]).float().reshape(-1, 1, 8, 8) / 16
    return F.pad(pictures, [1] * 4), torch.from_numpy(labels[mine]).long()


@cache
def _photographs() -> tuple[torch.Tensor, ...]:
    """Each texture (1, 1, 512, 512) with mean 0, standard deviation 0.16."""
    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("DigitsOnTextures: expected scikit-image for its photographs, which is not installed; "
                                  "pip install scikit-image") from error
    grey = [torch.from_numpy(getattr(data, name)().astype(np.float32))[None, None] for name in TEXTURES]
    return tuple(0.16 * (g - g.mean()) / g.std() for g in grey)
