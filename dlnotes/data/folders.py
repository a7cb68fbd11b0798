"""From a folder of pictures to samples: one class for segmentation (picture and mask), one for classification.

A sample is a dict: ``{"image": (c, h, w) float32 in [0, 1], "mask": (h, w) int64, "name": str}``, or with ``"label"`` in
place of the mask. Whatever is missing is said when the data set is built, before the first epoch; ``check_dataset`` looks
deeper. Pictures stay in 8 bits until the transform is done, which is four times less to move and faster to resize.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .cache import DecodedCache
from .files import mask_numbers, read_picture
from .layouts import Survey, read_names, survey, survey_classes
from .seeds import EpochSeeds

__all__ = ["ClassificationFolder", "IGNORE", "SegmentationFolder"]

IGNORE = -100
"""Class number of pixels that no loss and no metric counts (PyTorch's ``ignore_index``)."""


class _Folder(Dataset):
    """What both folders share: names, reading pictures, a transform with a seed for every sample."""

    def __init__(self, found: Survey, split, channels: int | None, transform: Callable[[dict], dict] | None, seed: int,
                 cache: str | os.PathLike | None):
        owner = type(self).__name__
        if channels not in (1, 3, None):
            raise ValueError(f"{owner}: expected channels to be 1, 3 or None, got {channels!r}; None takes the files' own")
        self.root, self.layout, self.channels = found.root, found.layout, channels
        seeds = EpochSeeds(transform or dict, seed)
        self._seeds = seeds if transform is not None else None
        self._cache = None if cache is None else DecodedCache(cache)
        self.names = self._choose(found, split)
        self._pictures = [tuple(found.pictures[name]) for name in self.names]
        if self.layout != "nnunet":
            twice = [name for name, paths in zip(self.names, self._pictures) if len(paths) > 1]
            self._insist(twice, "one picture of each name", "with two files")
        if not self.names:
            raise ValueError(f"{owner}: expected pictures in {self.root} (layout {self.layout!r}, split {split!r}), "
                             "found none; check_dataset(root) tells what is there")

    def _choose(self, found: Survey, split) -> list[str]:
        """The names of a split, each with a picture."""
        owner = type(self).__name__
        if split is None:
            listed = [name for names in found.splits.values() for name in names]
            names = sorted(set(listed)) if found.layout == "voc" and listed else list(found.pictures)
        elif isinstance(split, str) and split in found.splits:
            names = found.splits[split]
        elif isinstance(split, (str, os.PathLike)) and str(split).endswith(".txt"):
            names = read_names(split)
        elif found.problems:
            raise ValueError(next(iter(found.problems.values())))
        elif isinstance(split, str):
            known = ", ".join(map(repr, found.splits)) or "none (there are no lists)"
            raise ValueError(f"{owner}: expected split to be one of {known}, got {split!r}; or pass the path of a list "
                             "(.txt), or the names themselves")
        else:
            names = [str(name) for name in split]
        absent = [name for name in names if name not in found.pictures]
        self._insist(absent, "a picture for every listed name", "without one")
        return names

    def _insist(self, wrong: list[str], wanted: str, what: str) -> None:
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise ValueError(f"{type(self).__name__}: expected {wanted} in {self.root} (layout {self.layout!r}), got "
                             f"{len(wrong)} {what}: {', '.join(wrong[:3])}{more}; dlnotes.data.check_dataset lists all")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: expected an index from 0 to {len(self) - 1}, got {index}")
        index %= len(self)
        item = self.read(index)
        if self._seeds is not None:
            item = self._seeds(item, index)
        image = item["image"].as_subclass(Tensor).contiguous()
        item = {**item, "image": image.float().div_(255) if image.dtype == torch.uint8 else image}
        return {**item, "mask": item["mask"].as_subclass(Tensor).long()} if "mask" in item else item

    def set_epoch(self, epoch: int) -> None:
        """Other random numbers for the transform. Call it before the loader is iterated; running workers see it too."""
        if self._seeds is not None:
            self._seeds.set_epoch(epoch)

    def read(self, index: int) -> dict:
        """Sample ``index`` as it is in the files, without the transform; 8-bit pictures as uint8."""
        raise NotImplementedError

    def _image(self, index: int) -> Tensor:
        """Picture (c, h, w), or the channels of nnU-Net's files one after the other."""
        paths = self._pictures[index]

        def decode() -> Tensor:
            if len(paths) == 1:
                return read_picture(paths[0], self.channels)
            return torch.cat([read_picture(path, 1) for path in paths])

        return decode() if self._cache is None else self._cache(paths, f"picture {self.channels}", decode)


class SegmentationFolder(_Folder):
    """Pictures with masks from a folder in one of the usual layouts (``dlnotes.data.LAYOUTS``).

    Args:
        root: the folder.
        split: ``"train"``, ``"val"``, ``"test"`` as the layout knows them (by folders or by lists of names), the path of a
            list (``.txt``), the names themselves, or None for all.
        layout: a key of ``LAYOUTS``; None takes the first that fits.
        channels: 3 for colour, 1 for grey, None for what each file has.
        values: what the numbers in the mask files mean. None: they are the classes. ``"binary"``: 0 and 255 (the halfway
            line decides, so that a mask saved as JPEG works), or 0 and 1. A dict: class by number, any other is an error.
        ignore: a number in the mask files that becomes ``IGNORE``, such as 255 on the borders of Pascal VOC (where it is
            the default).
        classes: number of classes; a mask with any other number is an error that names the file.
        colours: class by (red, green, blue), for masks painted in colours.
        masks: False for pictures without masks (a test set): samples then have no ``"mask"``.
        mask_ending: what the name of a mask has more than that of its picture, such as ``"_mask"``; None finds it.
        transform: called with the sample (image still uint8 if the file has 8 bits, mask int16), returns one; see
            ``Augment``.
        seed: of the transform; sample ``i`` of epoch ``e`` is the same in every run, with any number of workers.
        cache: a folder that keeps decoded pixels, or None.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no layout fits, a picture or mask is missing, or an argument is none of these. While reading, with the
            name of the file: it is damaged, mask and picture differ in size, or the mask holds an unexpected number.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for folder, mode in (("images", "RGB"), ("masks", "L")):
    ...         (Path(root) / folder).mkdir()
    ...         Image.new(mode, (8, 6), "white").save(Path(root) / folder / "one.png")
    ...     item = SegmentationFolder(root, values="binary")[0]
    >>> {key: tuple(value.shape) for key, value in item.items() if key != "name"}, item["name"]
    ({'image': (3, 6, 8), 'mask': (6, 8)}, 'one')
    """

    def __init__(self, root: str | os.PathLike, split: str | os.PathLike | Sequence[str] | None = None, *,
                 layout: str | None = None, channels: int | None = 3, values: str | dict[int, int] | None = None,
                 ignore: int | None = None, classes: int | None = None,
                 colours: dict[tuple[int, int, int], int] | None = None, masks: bool = True,
                 mask_ending: str | None = None, transform: Callable[[dict], dict] | None = None, seed: int = 0,
                 cache: str | os.PathLike | None = None):
        if values not in (None, "binary") and not isinstance(values, dict):
            raise ValueError(f"SegmentationFolder: expected values to be None, 'binary' or a dict, got {values!r}; a dict "
                             "gives the class of each number in the files")
        found = survey(root, layout, mask_ending)
        super().__init__(found, split, channels, transform, seed, cache)
        self.values, self.classes, self.colours = values, classes, colours
        self.ignore = 255 if ignore is None and found.layout == "voc" else ignore
        self._masks = None
        if masks:
            bare = [name for name in self.names if name not in found.masks]
            self._insist(bare, "a mask for every picture", "without one")
            twice = [name for name in self.names if len(found.masks[name]) > 1]
            self._insist(twice, "one mask of each name", "with two files")
            self._masks = [found.masks[name][0] for name in self.names]

    def read(self, index: int) -> dict:
        """Sample ``index`` before the transform: 8-bit pictures as uint8, the mask in class numbers, int16 (or more)."""
        item = {"image": self._image(index), "name": self.names[index]}
        if self._masks is not None:
            path = self._masks[index]
            mask = self._mask(path)
            if mask.shape != item["image"].shape[1:]:
                raise ValueError(f"SegmentationFolder: expected a mask of {tuple(item['image'].shape[1:])} pixels for "
                                 f"{self._pictures[index][0]}, got {tuple(mask.shape)} in {path}; export both at one size")
            item["mask"] = mask
        return item

    def _mask(self, path: Path) -> Tensor:
        """Mask (h, w) in class numbers, in the narrowest type that holds them and ``IGNORE``."""
        if self._cache is None:
            raw = mask_numbers(path, self.colours)
        else:
            raw = self._cache((path,), f"mask {self.colours}", lambda: mask_numbers(path, self.colours))
        raw = raw.short() if raw.dtype == torch.uint8 else raw
        known = raw != self.ignore if self.ignore is not None else None
        if self.values == "binary":
            half = 127 if path.suffix.lower() in (".jpg", ".jpeg") or raw.max() > 1 else 0
            mask = (raw > half).short()
        elif self.values is not None:
            mask = torch.full_like(raw, IGNORE)
            explained = torch.zeros_like(raw, dtype=torch.bool) if known is None else ~known
            for value, number in self.values.items():
                mask[raw == value] = number
                explained |= raw == value
            if not explained.all():
                raise ValueError(f"SegmentationFolder: expected only the numbers {sorted(self.values)} in {path}, got "
                                 f"{raw[~explained].unique().tolist()[:5]}; add them to values, or name one as ignore")
        else:
            mask = raw
        if known is not None:
            mask = mask.where(known, IGNORE)
        if self.classes is not None:
            strange = mask[(mask != IGNORE) & ((mask < 0) | (mask >= self.classes))]
            if strange.numel():
                raise ValueError(f"SegmentationFolder: expected classes from 0 to {self.classes - 1} in {path}, got "
                                 f"{strange.unique().tolist()[:5]}; say with values= or ignore= what they mean")
        return mask


class ClassificationFolder(_Folder):
    """Pictures with a label, from one folder per class: ``<class>/``, ``train/<class>/``, or ``<class>/`` with lists.

    Samples are ``{"image": (c, h, w), "label": int, "name": str}``. ``classes`` holds the names of the classes in order (the
    same for every split), ``labels`` the number of the class of every sample.

    Args:
        root: the folder.
        split: as in :class:`SegmentationFolder`; the names in a list are ``class/name``.
        channels, transform, seed, cache: as there.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if there are no pictures, a listed one is missing, or an argument is none of these.
    """

    def __init__(self, root: str | os.PathLike, split: str | os.PathLike | Sequence[str] | None = None, *,
                 channels: int | None = 3, transform: Callable[[dict], dict] | None = None, seed: int = 0,
                 cache: str | os.PathLike | None = None):
        found = survey_classes(root)
        super().__init__(found, split, channels, transform, seed, cache)
        self.classes = found.classes
        number = {name: i for i, name in enumerate(self.classes)}
        self.labels = [number[found.labels[name]] for name in self.names]

    def read(self, index: int) -> dict:
        """Sample ``index`` before the transform; 8-bit pictures as uint8."""
        return {"image": self._image(index), "label": self.labels[index], "name": self.names[index]}
