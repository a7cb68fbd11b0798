"""Pairs for restoration and super-resolution: a degraded picture and the clean one that a network should give back.

Real pairs are rare, because one scene is seldom seen twice, once through rain and once without. ``Degraded`` makes them on
the fly, each under its own seed (seed, epoch, index), so that a pair is the same in every run and with any number of
workers; ``PairFolder`` reads those that exist as files.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from dlnotes._check import check_choice, check_integers

from ._draw import check_index, numbers_of

__all__ = ["Degraded", "PairFolder"]


class Degraded(Dataset):
    """Any data set of pictures with a degradation on top.

    Args:
        dataset: items with ``"image"`` (c, h, w), floats in [0, 1], such as :func:`dlnotes.data.samples.photographs`.
        degradation: one of ``dlnotes.data.degradations``, or a function of a picture and a NumPy generator.
        seed: another seed, other random numbers.

    An item is ``{"image": degraded, "target": clean, "name": str}``. :meth:`set_epoch` gives new noise for the next epoch,
    also in workers that are already running; without it every epoch sees the same.

    >>> from dlnotes.data.degradations import Chain, GaussianBlur, GaussianNoise
    >>> from dlnotes.data.samples import photographs
    >>> pairs = Degraded(photographs("train", crop=64, size=500), Chain(GaussianBlur(1.0), GaussianNoise(0.1)))
    >>> pair = pairs[0]
    >>> pair["image"].shape, torch.equal(pair["image"], pairs[0]["image"])
    (torch.Size([3, 64, 64]), True)
    """

    def __init__(self, dataset: Dataset, degradation: Callable[[torch.Tensor, np.random.Generator], torch.Tensor],
                 seed: int = 0):
        if not callable(degradation):
            raise TypeError(f"Degraded: expected a degradation, got {type(degradation).__name__}; pass GaussianNoise(0.1), "
                            "for example")
        check_integers("Degraded", at_least=0, seed=seed)
        self.dataset, self.degradation, self.seed = dataset, degradation, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """New random numbers for another epoch. Call it before the loader is iterated."""
        check_integers("Degraded", at_least=0, epoch=epoch)
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        index = check_index("Degraded", index, len(self))
        item = self.dataset[index]
        clean = item["image"]
        seen = self.degradation(clean, numbers_of(self.seed, int(self._epoch), index))
        return {"image": seen, "target": clean, "name": item.get("name", str(index))}


class PairFolder(Dataset):
    """Pairs from two folders: a degraded and a clean picture of the same name.

    Args:
        root: the folder that holds both.
        degraded: folder of the degraded pictures, inside ``root``.
        clean: folder of the clean ones.
        suffix: what the degraded names have more, such as ``"x4"`` in the set DIV2K (``0001x4.png`` to ``0001.png``).
        names: names (of the clean pictures, without ending) to take; None for all.
        scale: how many times larger the clean pictures are.
        channels: 3 or 1.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if a picture has no partner, or there is none.
    """

    def __init__(self, root: str | os.PathLike, degraded: str = "input", clean: str = "target", *, suffix: str = "",
                 names: Sequence[str] | None = None, scale: int = 1, channels: int = 3):
        check_integers("PairFolder", scale=scale)
        check_choice("PairFolder", (1, 3), channels=channels)
        self.root, self.scale, self.channels = Path(root), scale, channels
        seen, target = (_by_name(self.root / folder) for folder in (degraded, clean))
        seen = {name.removesuffix(suffix): path for name, path in seen.items() if name.endswith(suffix)}
        self.names = sorted(seen.keys() | target.keys()) if names is None else list(names)
        alone = [name for name in self.names if name not in seen or name not in target]
        if alone or not self.names:
            more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
            raise ValueError(f"PairFolder: expected every name in both {degraded} and {clean} of {self.root}, got "
                             f"{', '.join(alone[:3]) or 'no picture at all'}{more} in one only; complete the pairs, or pass "
                             "names and suffix")
        self._pairs = [(seen[name], target[name]) for name in self.names]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict:
        """``{"image": (c, h, w), "target": (c, scale h, scale w), "name": str}``, float32 in [0, 1]."""
        from .files import read_picture

        index = check_index("PairFolder", index, len(self))
        pair = [read_picture(path, self.channels) for path in self._pairs[index]]
        image, target = (x.float().div(255) if x.dtype == torch.uint8 else x for x in pair)
        if [self.scale * s for s in image.shape[1:]] != list(target.shape[1:]):
            raise ValueError(f"PairFolder: expected {self._pairs[index][1]} to be {self.scale} times the size of its "
                             f"partner, {tuple(image.shape[1:])}, got {tuple(target.shape[1:])}; pass scale=, or crop the "
                             "files alike")
        return {"image": image.contiguous(), "target": target.contiguous(), "name": self.names[index]}


def _by_name(folder: Path) -> dict[str, Path]:
    from .files import PICTURES

    if not folder.is_dir():
        raise FileNotFoundError(f"PairFolder: expected a folder {folder}, found none; pass the names of the two folders as "
                                "degraded= and clean=")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES and path.name[0] != "."}
