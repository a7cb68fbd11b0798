"""How folders of pictures are laid out: which file is the mask of which picture, and which split it belongs to.

A data set is a habit of naming. Six habits cover most published sets; each is one line of ``LAYOUTS``. ``survey`` walks a
folder once and says what is there, also when it is incomplete: ``SegmentationFolder`` insists that everything fits,
``check_dataset`` lists what does not.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from .files import PICTURES

__all__ = ["LAYOUTS", "Survey", "read_names", "survey", "survey_classes"]

_IMAGES = ("images", "image", "imgs", "img")
_MASKS = ("masks", "mask", "labels", "label", "annotations", "gt")
_SPLITS = {"train": ("train", "training"), "val": ("val", "validation", "valid", "dev"), "test": ("test", "testing")}
_LISTS = (".", "img_idx", "50_50", "idx_427", "idx_320", "splits", "lists", "ImageSets", "ImageSets/Segmentation")
_MASK_ENDINGS = ("", "_mask", "_masks", "_pixels0", "_gt", "_label", "_labels", "_seg", "_segmentation", "-mask")

LAYOUTS = {
    "voc": "JPEGImages/, SegmentationClass/, ImageSets/Segmentation/<split>.txt (Pascal VOC)",
    "nnunet": "imagesTr/<name>_0000.png, labelsTr/<name>.png, imagesTs/, labelsTs/ (nnU-Net, 2-d pictures)",
    "carvana": "train/, train_masks/<name>_mask.gif, test/ (Carvana)",
    "split/images": "train/images/, train/masks/, test/images/, test/masks/",
    "images/split": "images/train/, masks/train/, images/test/, masks/test/",
    "images": "images/, masks/, <split>.txt beside them or in img_idx/, 50_50/, splits/ (NUAA-SIRST, Kvasir-SEG)",
}
"""The habits that are known, in the order in which they are tried."""


@dataclass
class Survey:
    """What a folder holds. A name is the path inside its picture folder without ending; sets that keep one folder per
    split put the split before it (``train/0001``), because 0001 may well exist in both."""

    root: Path
    layout: str
    pictures: dict[str, list[Path]] = field(default_factory=dict)       # more than one file: channels (nnU-Net), or a clash
    masks: dict[str, list[Path]] = field(default_factory=dict)
    splits: dict[str, list[str]] = field(default_factory=dict)          # as listed, also names without a file
    lists: dict[str, Path] = field(default_factory=dict)                # the file that each list came from
    others: list[Path] = field(default_factory=list)                    # files that are no pictures
    problems: dict[Path, str] = field(default_factory=dict)             # lists that cannot be read, and why
    labels: dict[str, str] = field(default_factory=dict)                # name -> class (classification)
    classes: list[str] = field(default_factory=list)                    # also those without a picture


def read_names(path: str | os.PathLike) -> list[str]:
    """The names in a split file: one a line, without the ending of a picture, blank lines left out.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is no text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"read_names: expected a list of names at {path}, found no file; check the path") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"read_names: expected text in UTF-8 in {path}, got byte {error.object[error.start]:#x} at "
                         f"{error.start}; save the list as UTF-8") from error
    return [_without_ending(line.strip().replace("\\", "/")) for line in text.splitlines() if line.strip()]


def _without_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in PICTURES else name


def _files(folder: Path) -> list[Path]:
    """All files under a folder, hidden ones left out, in the order of their names."""
    return sorted(p for p in folder.rglob("*")
                  if not p.is_dir() and not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _named(folder: Path, found: Survey, before: str = "") -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = {}
    for path in _files(folder):
        if path.suffix.lower() in PICTURES:
            names.setdefault(before + path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
        else:
            found.others.append(path)
    return names


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    """The sub-folder with one of these names, whatever its case."""
    here = {p.name.lower(): p for p in sorted(root.iterdir(), reverse=True) if p.is_dir()} if root.is_dir() else {}
    return next((here[name.lower()] for name in names if name.lower() in here), None)


def survey(root: str | os.PathLike, layout: str | None = None, mask_ending: str | None = None) -> Survey:
    """Walk a folder and pair its pictures with its masks. Opens no picture, changes nothing.

    Args:
        root: the folder of the data set.
        layout: a key of ``LAYOUTS``; None tries them in order.
        mask_ending: what a mask's name has more than its picture's, such as ``"_mask"``; None takes the known ending that
            fits most pictures.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if the layout is unknown, or none fits.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"survey: expected a folder at {root}, found none; check the path")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"survey: expected layout to be one of {', '.join(map(repr, LAYOUTS))}, got {layout!r}; choose one")
    for name in LAYOUTS if layout is None else (layout,):
        places = _places(root, name)
        if places:
            break
    else:
        wanted = "; ".join(f"{key}: {LAYOUTS[key]}" for key in (LAYOUTS if layout is None else (layout,)))
        here = ", ".join(sorted(p.name + "/" * p.is_dir() for p in root.iterdir())[:8]) or "nothing"
        raise ValueError(f"survey: expected one of these layouts in {root}: {wanted}; got {here}; rename the folders")

    found = Survey(root, name)
    for split, images, masks in places:
        before = f"{split}/" if split else ""
        pictures = _named(images, found, before)
        if name == "nnunet":
            pictures = _join_channels(pictures)
        found.pictures.update(pictures)
        if masks is not None:
            found.masks.update(_match(pictures, _named(masks, found, before), mask_ending))
        if split:
            found.splits[split] = list(pictures)
    if name in ("voc", "images"):
        _read_lists(found, ("ImageSets/Segmentation",) if name == "voc" else _LISTS)
    return found


def survey_classes(root: str | os.PathLike) -> Survey:
    """Walk a folder with one folder per class, ``<class>/``, or one per split, ``train/<class>/``. Opens no picture.

    Lists ``train.txt`` and so on, beside the classes or in ``meta/``, hold lines such as ``class/name``; the classes may lie
    in ``images/`` (Food-101).

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no folder in it holds pictures.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"survey_classes: expected a folder at {root}, found none; check the path")
    places = [(split, _first(root, called)) for split, called in _SPLITS.items()]
    places = [(split, place) for split, place in places if place and _folders(place)]
    found = Survey(root, "split/classes" if places else "classes")
    for split, place in places or [(None, _first(root, _IMAGES) or root)]:
        before = f"{split}/" if split else ""
        folders = [folder for folder in _folders(place) if split or folder.name not in (*_LISTS, "meta")]
        for folder in folders:
            pictures = _named(folder, found, f"{before}{folder.name}/")
            found.pictures.update(pictures)
            found.labels.update(dict.fromkeys(pictures, folder.name))
        found.classes = sorted({*found.classes, *(folder.name for folder in folders)})
        if split:
            found.splits[split] = [name for name in found.pictures if name.startswith(before)]
    if not found.pictures:
        raise ValueError(f"survey_classes: expected folders of pictures in {root}, one for each class, got "
                         f"{', '.join(found.classes[:5]) or 'no folder'} without a picture; put class/picture.png there")
    if not places:
        _read_lists(found, (*_LISTS, "meta"))
    return found


def _folders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def _places(root: Path, layout: str) -> list[tuple[str | None, Path, Path | None]]:
    """(split, folder of pictures, folder of masks) of a layout, as far as they exist; empty where it does not fit."""
    if layout == "voc":
        images = _first(root, ("JPEGImages",))
        return [(None, images, _first(root, ("SegmentationClass",)))] if images else []
    if layout == "nnunet":
        pairs = [("train", _first(root, ("imagesTr",)), _first(root, ("labelsTr",))),
                 ("test", _first(root, ("imagesTs",)), _first(root, ("labelsTs",)))]
        return [pair for pair in pairs if pair[1]] if pairs[0][1] else []
    if layout == "images":
        images, masks = _first(root, _IMAGES), _first(root, _MASKS)
        return [(None, images, masks)] if images and masks else []
    places = []
    for split, called in _SPLITS.items():
        if layout == "images/split":
            upper, masks = _first(root, _IMAGES), _first(root, _MASKS)
            images = upper and _first(upper, called)
            masks = masks and _first(masks, called)
        else:
            inside = _first(root, called)
            images = inside and (_first(inside, _IMAGES) if layout == "split/images" else inside)
            masks = inside and (_first(inside, _MASKS) if layout == "split/images"
                                else _first(root, tuple(f"{name}_masks" for name in called)))
        if images:
            places.append((split, images, masks))
    return places if any(masks for _, _, masks in places) else []


def _join_channels(pictures: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """nnU-Net writes one file per channel, ``<name>_0000`` and so on: one entry per name, channels in order."""
    joined: dict[str, list[Path]] = {}
    for name, paths in sorted(pictures.items()):
        joined.setdefault(re.sub(r"_\d{4}$", "", name), []).extend(paths)
    return joined


def _match(pictures: dict[str, list[Path]], masks: dict[str, list[Path]], ending: str | None) -> dict[str, list[Path]]:
    """Masks under the names of their pictures. A mask that belongs to none keeps its own name."""
    if ending is None:
        ending = max(_MASK_ENDINGS, key=lambda e: (sum(name + e in masks for name in pictures), -len(e)))
    matched: dict[str, list[Path]] = {}
    for name, paths in masks.items():
        matched.setdefault(name.removesuffix(ending), []).extend(paths)
    return matched


def _read_lists(found: Survey, folders: tuple[str, ...]) -> None:
    """Split files ``train.txt`` or ``train_<set>.txt`` in the known folders; the first folder that has any decides."""
    for folder in folders:
        lists = sorted((found.root / folder).glob("*.txt"))
        for path in lists:
            split = next((s for s in ("trainvaltest", "trainval", "train", "val", "test")
                          if path.stem.lower() == s or re.match(rf"{s}[_\-. ]", path.stem.lower())), None)
            if split and split not in found.splits:
                try:
                    found.splits[split] = [_inside(found, name) for name in read_names(path)]
                    found.lists[split] = path
                except (ValueError, OSError) as error:
                    found.problems[path] = str(error)
        if found.splits or found.problems:
            return


def _inside(found: Survey, name: str) -> str:
    """A listed name, without the folder of pictures that some lists write before it."""
    head, _, tail = name.partition("/")
    return tail if name not in found.pictures and tail in found.pictures else name
