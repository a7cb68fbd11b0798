"""Real pictures that are already on your disk: those inside the installed scikit-image and scikit-learn, by name.

Nothing is downloaded. scikit-image lists more pictures than it ships and fetches the rest when asked; here only the files
that lie in its package count. Each comes with its licence and source as the two packages state them; where they state none,
so does this file. ``photographs`` makes a data set of the everyday ones, whole or as seeded crops, for restoration and for
looking at.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.utils.data import Dataset

from dlnotes._check import check_choice, check_integers

from ._draw import check_index, numbers_of

__all__ = ["SAMPLES", "Photographs", "Sample", "list_samples", "load_sample", "photographs"]


@dataclass(frozen=True)
class Sample:
    """One picture: its file, what it shows (``kind``), the licence, and where it came from."""

    name: str
    file: str
    kind: str
    licence: str
    source: str
    package: str = "scikit-image"

    def __str__(self) -> str:
        return f"{self.name}: {self.licence}; {self.source} (in {self.package})"


_KINDS = ("photograph", "texture", "science", "document")
_CC0, _FREE, _UNKNOWN = "CC0", "public domain", "licence not stated in the package"
SAMPLES: dict[str, Sample] = {s.name: s for s in (
    Sample("astronaut", "astronaut.png", "photograph", _FREE, "NASA, Eileen Collins, flic.kr/p/r9qvLn"),
    Sample("camera", "camera.png", "photograph", _CC0, "Lav Varshney"),
    Sample("chelsea", "chelsea.png", "photograph", _CC0, "Stefan van der Walt"),
    Sample("china", "china.jpg", "photograph", "CC BY 2.0", "danielbuechele, flickr.com/photos/danielbuechele/6061409035",
           "scikit-learn"),
    Sample("clock", "clock_motion.png", "photograph", _FREE, "Stefan van der Walt"),
    Sample("coffee", "coffee.png", "photograph", _CC0, "Rachel Michetti, Pikolo Espresso Bar"),
    Sample("coins", "coins.png", "photograph", "no known copyright restrictions", "Brooklyn Museum Collection, 51611"),
    Sample("flower", "flower.jpg", "photograph", "CC BY 2.0", "flickr.com/photos/vultilion/6056698931 (the package names "
           "danielbuechele beside this address)", "scikit-learn"),
    Sample("motorcycle", "motorcycle_left.png", "photograph", _UNKNOWN, "Scharstein et al., GCPR 2014, Middlebury stereo"),
    Sample("rocket", "rocket.jpg", "photograph", _FREE, "SpaceX, flickr.com/photos/spacexphotos/16511594820"),
    Sample("brick", "brick.png", "texture", _CC0, "CC0Textures, Bricks25"),
    Sample("grass", "grass.png", "texture", _CC0, "linolafett, DeviantArt, Grass 01"),
    Sample("gravel", "gravel.png", "texture", _CC0, "CC0Textures, Gravel04"),
    Sample("cell", "cell.png", "science", _CC0, "Müller et al., Optics Express 26(8), 2018"),
    Sample("hubble", "hubble_deep_field.jpg", "science", _FREE, "NASA, HubbleSite 2012-37"),
    Sample("immunohistochemistry", "ihc.png", "science", "no known copyright restrictions",
           "Center for Microscopy and Molecular Imaging"),
    Sample("microaneurysms", "microaneurysms.png", "science", _CC0, "Andreas Maier, High-Resolution Fundus database"),
    Sample("moon", "moon.png", "science", _UNKNOWN, "not stated"),
    Sample("retina", "retina.jpg", "science", _CC0, "Mikael Häggström, WikiJournal of Medicine 1(2), 2014"),
    Sample("page", "page.png", "document", _UNKNOWN, "not stated"),
    Sample("text", "text.png", "document", _FREE, "Wikipedia, File:Corner.png"),
)}
"""All pictures by name. Other versions of the two packages may ship fewer: :func:`list_samples` tells which are here."""

_HELD_OUT = ("camera", "china", "coffee")
_FOLDERS = {"scikit-image": ("skimage", "data"), "scikit-learn": ("sklearn", "datasets/images")}


def _path(sample: Sample) -> Path | None:
    """Where the file lies, without importing the package; None if the package is not installed."""
    module, folder = _FOLDERS[sample.package]
    spec = find_spec(module)
    return Path(spec.origin).parent / folder / sample.file if spec is not None else None


def list_samples(kind: str | None = None) -> list[str]:
    """Names of the pictures that are on this machine.

    Args:
        kind: ``"photograph"``, ``"texture"``, ``"science"``, ``"document"``, or None for all.

    >>> list_samples("texture")
    ['brick', 'grass', 'gravel']
    """
    if kind is not None:
        check_choice("list_samples", _KINDS, kind=kind)
    return [name for name, s in SAMPLES.items() if kind in (None, s.kind) and (p := _path(s)) is not None and p.is_file()]


def load_sample(name: str, channels: int | None = None) -> torch.Tensor:
    """One picture.

    Args:
        name: a key of ``SAMPLES``.
        channels: 3 for colour (grey is repeated), 1 for grey (colour is weighed), None for what the file has.

    Returns:
        (c, h, w) uint8.

    Raises:
        ValueError: if there is no picture of that name.
        ModuleNotFoundError: if the package that holds it is not installed.
        FileNotFoundError: if the installed version does not ship it.

    >>> load_sample("astronaut").shape, load_sample("camera").shape
    (torch.Size([3, 512, 512]), torch.Size([1, 512, 512]))
    """
    from .files import read_picture

    check_choice("load_sample", list(SAMPLES), name=name)
    sample = SAMPLES[name]
    path = _path(sample)
    if path is None:
        raise ModuleNotFoundError(f"load_sample: expected {sample.package} for its picture {name!r}, which is not "
                                  f"installed; pip install {sample.package}")
    if not path.is_file():
        raise FileNotFoundError(f"load_sample: expected {sample.file} inside the installed {sample.package}, found none; "
                                "list_samples() names the pictures that this version ships")
    return read_picture(path, channels).contiguous()


class Photographs(Dataset):
    """Photographs, whole or as random crops; made by :func:`photographs`."""

    def __init__(self, names: list[str], crop: int | None, size: int | None, seed: int, channels: int):
        self.names, self.crop, self.seed, self.channels = names, crop, seed, channels
        self.size = len(names) if size is None else size

    @property
    def licences(self) -> list[str]:
        """Licence and source of each photograph, one line for each."""
        return [str(SAMPLES[name]) for name in self.names]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        """``{"image": (c, h, w) float32 in [0, 1], "name": str}``."""
        index = check_index("photographs", index, self.size)
        name = self.names[index % len(self.names)]
        image = _floats(name, self.channels)
        if self.crop is None:
            return {"image": image.clone(), "name": name}
        top, left, turns, mirror = numbers_of(self.seed, index).random(4)
        top = int(top * (image.shape[1] - self.crop + 1))
        left = int(left * (image.shape[2] - self.crop + 1))
        part = image[:, top:top + self.crop, left:left + self.crop]                         # c crop crop
        part = torch.rot90(part, int(turns * 4), (1, 2))
        return {"image": (part.flip(2) if mirror < 0.5 else part).contiguous(), "name": f"{name}_{top}_{left}_{index}"}


@cache
def _floats(name: str, channels: int) -> torch.Tensor:
    return load_sample(name, channels).float() / 255


def photographs(split: str = "all", *, crop: int | None = None, size: int | None = None, seed: int = 0,
                channels: int = 3) -> Photographs:
    """The everyday photographs as a data set.

    Args:
        split: ``"train"``, ``"held-out"`` (camera, china, coffee) or ``"all"``.
        crop: side of square crops in pixels, each from a random place, turned and mirrored; None for whole pictures, which
            differ in size.
        size: number of crops; by default one for each photograph.
        seed: another seed, other crops. Crop ``i`` is the same in every run.
        channels: 3 or 1.

    Returns:
        A data set of ``{"image": (channels, h, w) float32 in [0, 1], "name": str}``.

    Raises:
        ValueError: if an argument is none of these, or a crop does not fit into a photograph.
        ModuleNotFoundError: if neither scikit-image nor scikit-learn is installed.

    >>> crops = photographs("train", crop=96, size=1000)
    >>> len(crops), crops[3]["image"].shape, crops[3]["name"].split("_")[0]
    (1000, torch.Size([3, 96, 96]), 'coins')
    """
    check_choice("photographs", ("train", "held-out", "all"), split=split)
    check_choice("photographs", (1, 3), channels=channels)
    check_integers("photographs", at_least=0, seed=seed)
    names = [n for n in list_samples("photograph") if split == "all" or (n in _HELD_OUT) == (split == "held-out")]
    if not names:
        raise ModuleNotFoundError("photographs: expected scikit-image or scikit-learn, found neither; pip install "
                                  "scikit-image")
    if crop is None and size is not None:
        raise ValueError(f"photographs: expected crop together with size={size}, got crop=None; whole pictures are as many "
                         "as there are, pass crop=96 for as many crops as you want")
    if crop is not None:
        check_integers("photographs", crop=crop)
        check_integers("photographs", size=len(names) if size is None else size)
        least = min(min(_floats(n, channels).shape[1:]) for n in names)
        if crop > least:
            raise ValueError(f"photographs: expected crop of at most {least}, the shortest side of a photograph, got "
                             f"{crop}; pass a smaller crop")
    return Photographs(names, crop, size, seed, channels)
