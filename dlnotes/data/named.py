"""Published data sets by name: downloaded once, checked, unpacked and read, with their licence shown.

Each entry says where its files lie, what their checksums are and where those come from (``checked``). A checksum is only as
good as its source: each was published by others, or belongs to the content of a git repository at a pinned commit. The one
archive without any (NUDT-SIRST, which its authors give away through Baidu and Google Drive) is not downloaded: you put it
into the folder, its checksum is noted beside it at first use, and another file under that name is refused later.

Offline, or behind a firewall, every set works the same way: put the files where the message says.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlnotes._check import check_choice
from dlnotes._lock import waiting

from .download import NoAnswer, download, file_sum, matches, unpack
from .folders import SegmentationFolder
from .readers import Cifar10, OxfordPets, read_indian_pines

__all__ = ["NAMED", "NamedFile", "NamedSet", "load_named"]


@dataclass(frozen=True)
class NamedFile:
    """One file of a set.

    Attributes:
        path: where it lies in the folder of the set.
        urls: addresses, the best first; empty if it has to be fetched by hand.
        checksum: ``"sha256:..."`` or ``"git:..."``, None if nobody published one.
        folder: what an archive unpacks to; None for a file that is read as it is.
    """

    path: str
    urls: tuple[str, ...]
    checksum: str | None
    folder: str | None = None


@dataclass(frozen=True)
class NamedSet:
    """What is known about a set."""

    title: str
    files: tuple[NamedFile, ...]
    splits: tuple[str, ...]
    licence: str
    page: str
    cite: str
    checked: str
    read: Callable

    def __str__(self) -> str:
        return f"{self.title}\n  licence: {self.licence}\n  source: {self.page}\n  cite: {self.cite}"


def _kvasir(folder: Path, split: str, **options) -> SegmentationFolder:
    """The archive has no lists. Ours: the names in a fixed random order, 80 % train, 10 % val, 10 % test."""
    root = folder / "Kvasir-SEG"
    names = sorted(path.stem for path in (root / "images").glob("*.jpg"))
    order = np.argsort(np.random.default_rng(0).random(len(names)))
    first, second = round(0.8 * len(names)), round(0.9 * len(names))
    part = {"train": order[:first], "val": order[first:second], "test": order[second:]}[split]
    return SegmentationFolder(root, sorted(names[i] for i in part), layout="images", values="binary", **options)


def _sirst(sub: str) -> Callable:
    def read(folder: Path, split: str, **options) -> SegmentationFolder:
        return SegmentationFolder(folder / sub, split, layout="images", **{"channels": 1, "values": "binary", **options})
    return read


_SIRST = "9ad1a3f900b845853eba25369d9c5e6f661e0479"            # commits that the addresses below are pinned to
_DNANET = "21584be00d19bc3080c78deee0953af250bed99b"
_HYBRIDSN = "8e9fd37cdcbff5f9717433cddb83f5215f9ec54e"


def _github(repository: str, commit: str, path: str) -> tuple[str, str]:
    return (f"https://raw.githubusercontent.com/{repository}/{commit}/{path}",
            f"https://github.com/{repository}/raw/{commit}/{path}")


NAMED: dict[str, NamedSet] = {
    "cifar10": NamedSet(
        "CIFAR-10: 60,000 pictures of 32 × 32 pixels, 10 classes (162 MB)",
        (NamedFile("cifar-10-binary.tar.gz",
                   ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
                    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz"),
                   "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", "cifar-10-batches-bin"),),
        ("train", "test"), "none stated; the authors ask to be cited", "https://www.cs.toronto.edu/~kriz/cifar.html",
        "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        "SHA-256 published by several; one compared the MD5 with the authors' page, c32a1d4ab5d03f1284b67883e8d87530",
        lambda folder, split, **options: Cifar10(folder / "cifar-10-batches-bin", split, **options)),
    "kvasir_seg": NamedSet(
        "Kvasir-SEG: 1,000 pictures of polyps with masks (46 MB)",
        (NamedFile("kvasir-seg.zip", ("https://datasets.simula.no/downloads/kvasir-seg.zip",),
                   "sha256:03b30e21d584e04facf49397a2576738fd626815771afbbf788f74a7153478f7", "Kvasir-SEG"),),
        ("train", "val", "test"), "research and education only; commercial use needs the authors' written permission",
        "https://datasets.simula.no/kvasir-seg/", "Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020",
        "SHA-256 published by torch_em and several others", _kvasir),
    "nuaa_sirst": NamedSet(
        "SIRST, often called NUAA-SIRST: 427 infrared pictures with small targets",
        (NamedFile("images.zip", _github("YimianDai/sirst", _SIRST, "images.zip"),
                   "git:b36e90612022ff2c58b59571c4f76be4debd689f", "SIRST/images"),
         NamedFile("masks.zip", _github("YimianDai/sirst", _SIRST, "masks.zip"),
                   "sha256:bb156f3c647332310ac2ee6637814427b4d4a41ec8aaa78a33ed5db4ac464e41", "SIRST/masks"),
         *(NamedFile(f"SIRST/idx_427/{split}.txt", _github("YimianDai/sirst", _SIRST, f"idx_427/{split}.txt"),
                     f"sha256:{digest}")
           for split, digest in (("train", "38b510465f437099d8ea58cb44052fc65845251ab44aa8229cef7b7df798685c"),
                                 ("val", "3a12a8006f9b5854ebc38f1b1c18f0d632b2cb6c3770f63f364389545135aac5"),
                                 ("test", "f39c8ee65d3cca38c5534de63ce7022720c52512265c0327584435934ee93da2")))),
        ("train", "val", "test"), "none stated", "https://github.com/YimianDai/sirst",
        "Dai et al., Asymmetric Contextual Modulation for Infrared Small Target Detection, WACV 2021",
        "content of the authors' own git repository at the pinned commit: git's name of the pictures, SHA-256 of the rest",
        _sirst("SIRST")),
    "nudt_sirst": NamedSet(
        "NUDT-SIRST: 1,327 synthetic infrared pictures with small targets",
        (NamedFile("NUDT-SIRST.zip", (), None, "NUDT-SIRST"),
         *(NamedFile(f"NUDT-SIRST/50_50/{split}.txt", _github("YeRen123455/Infrared-Small-Target-Detection", _DNANET,
                                                             f"dataset/NUDT-SIRST/50_50/{split}.txt"), f"sha256:{digest}")
           for split, digest in (("train", "af961e920f74087b455b7fd7089fe36b5a950969cd999db77a00f473b699b690"),
                                 ("test", "6541608d95f31f91d2a790f0df60736352be7ed66995b5ffe37bc27ee907ff8d")))),
        ("train", "test"), "none stated", "https://github.com/YeRen123455/Infrared-Small-Target-Detection",
        "Li et al., Dense Nested Attention Network for Infrared Small Target Detection, IEEE TIP 32, 2023",
        "lists: computed from the authors' git repository at the pinned commit; pictures: none published, so noted at "
        "first use",
        _sirst("NUDT-SIRST")),
    "indian_pines": NamedSet(
        "Indian Pines: a hyperspectral scene, 145 × 145 pixels, 200 bands, 16 classes (6 MB)",
        (NamedFile("Indian_pines_corrected.mat",
                   ("https://www.ehu.eus/ccwintco/uploads/6/67/Indian_pines_corrected.mat",
                    *_github("gokriznastic/HybridSN", _HYBRIDSN, "data/Indian_pines_corrected.mat")),
                   "git:75b6d6e7df046fce91eda23e7559e274c92da711"),
         NamedFile("Indian_pines_gt.mat",
                   ("https://www.ehu.eus/ccwintco/uploads/c/c4/Indian_pines_gt.mat",
                    *_github("gokriznastic/HybridSN", _HYBRIDSN, "data/Indian_pines_gt.mat")),
                   "sha256:65c4687a8ab04f6da4789799bc3bc4f6e88bccac3ed6a2e6ae367e5e6b9e429c")),
        (), "CC BY 3.0 as others quote it (one says CC0); the page of the data at Purdue decides",
        "https://doi.org/10.4231/R7RX991C",
        "Baumgardner, Biehl, Landgrebe, 220 Band AVIRIS Hyperspectral Image Data Set, Purdue University, 2015",
        "content of the git repository of HybridSN's authors at the pinned commit: git's name of the cube, the same in a "
        "second repository, and SHA-256 of the labels, whose numbers are the same in two others",
        lambda folder, split, **options: read_indian_pines(folder, **options)),
    "oxford_pets": NamedSet(
        "Oxford-IIIT Pet: 7,349 pictures of cats and dogs, 37 breeds, with masks (811 MB)",
        tuple(NamedFile(file, (f"https://www.robots.ox.ac.uk/~vgg/data/pets/data/{file}",
                               f"https://thor.robots.ox.ac.uk/datasets/pets/{file}"), f"sha256:{digest}",
                        file.removesuffix(".tar.gz"))
              for file, digest in (
                  ("images.tar.gz", "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"),
                  ("annotations.tar.gz", "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"))),
        ("train", "test"), "CC BY-SA 4.0; the copyright of the pictures remains with their owners",
        "https://www.robots.ox.ac.uk/~vgg/data/pets/", "Parkhi, Vedaldi, Zisserman, Jawahar, Cats and Dogs, CVPR 2012",
        "SHA-256 published by torchvision (prototype data sets) and several others",
        lambda folder, split, **options: OxfordPets(folder, split, **options)),
}
"""The sets by name. ``print(NAMED["kvasir_seg"])`` shows title, licence, source and whom to cite."""


def load_named(name: str, folder: str | os.PathLike, split: str | None = None, *, fetch: bool = True,
               checksums: Mapping[str, str] | None = None, progress: bool = True, **options):
    """A published data set, downloaded into a folder when it is used for the first time.

    Args:
        name: a key of ``NAMED``.
        folder: where data sets live; this one gets the folder ``<folder>/<name>``.
        split: one of the set's ``splits``, by default the first. Indian Pines is one scene and has none.
        fetch: False never uses the internet.
        checksums: file -> ``"sha256:..."`` instead of the known one, for a version that you trust.
        progress: show licence and source before a download, and a bar.
        **options: for the reader, such as ``task="classification"`` (Pets) or ``transform=...`` (folders of masks).

    Returns:
        A data set of dicts; for Indian Pines a cube with labels.

    Raises:
        ValueError: if an argument is none of these, or a file has another checksum.
        FileNotFoundError: if files are missing and cannot be fetched; the message says where to put them.
    """
    check_choice("load_named", list(NAMED), name=name)
    known = NAMED[name]
    if known.splits:
        split = known.splits[0] if split is None else split
        check_choice("load_named", known.splits, split=split)
    elif split is not None:
        raise ValueError(f"load_named: expected split=None for {name}, which is one scene, got {split!r}; divide it with "
                         "dlnotes.data.split_pixels")
    checksums = dict(checksums or {})
    strange = checksums.keys() - {file.path for file in known.files}
    if strange:
        raise ValueError(f"load_named: expected checksums for {', '.join(f.path for f in known.files)}, got "
                         f"{min(strange)!r}; use these names")
    root = Path(folder) / name
    announced = not progress
    for file in known.files:
        complete = root / (file.folder or file.path)
        checksum = checksums.get(file.path, file.checksum)
        if complete.exists() and file.folder is not None:
            continue                                            # unpacked before, and unpacking is all or nothing
        here = root / file.path
        if not here.exists() and not announced and fetch and file.urls:
            print(known)
            announced = True
        _provide(name, file, here, checksum, fetch, progress)
        if file.folder is not None:
            with waiting(root / f".{Path(file.folder).name}.lock", f"{here.name} is unpacked"):
                if not complete.exists():                       # by another process, meanwhile
                    unpack(here, complete)
    return known.read(root, split, **options)


def _provide(name: str, file: NamedFile, here: Path, checksum: str | None, fetch: bool, progress: bool) -> None:
    """The file at its place with the right sum, or one sentence that says what to do."""
    if checksum is None:
        _trust_on_first_use(file, here, name)
        return
    if here.exists():
        if not here.is_file() or not matches(here, checksum):
            came = file_sum(here, checksum.partition(":")[0]) if here.is_file() else "a folder"
            raise ValueError(f"load_named: expected {checksum} in {here}, got {came}; the file is damaged or of another "
                             "version, move it away to download it again")
        return
    by_hand = f"download {file.urls[0]} elsewhere and put it there" if file.urls else f"see {NAMED[name].page}"
    if not fetch or not file.urls:
        raise FileNotFoundError(f"load_named: expected {here}, found no file, and may not use the internet; {by_hand}")
    try:
        download(file.urls, here, checksum, progress=progress)
    except NoAnswer as error:
        raise FileNotFoundError(f"load_named: expected {here}, found no file and got no connection ({error.reasons}); call "
                                f"again when online, or {by_hand}") from error


def _trust_on_first_use(file: NamedFile, here: Path, name: str) -> None:
    """Nobody published a checksum: note it beside the file, and refuse another file later."""
    if not here.is_file():
        raise FileNotFoundError(f"load_named: expected {here}, found no file, and there is no address to fetch it from; "
                                f"download it by hand from {NAMED[name].page} and put it there")
    note, came = here.with_name(here.name + ".sha256"), file_sum(here)
    if not note.exists():
        note.write_text(f"{came}\n", encoding="ascii")
    elif note.read_text(encoding="ascii").strip() != came:
        raise ValueError(f"load_named: expected {note.read_text(encoding='ascii').strip()} in {here}, as at first use, got "
                         f"{came}; if you replaced it on purpose, delete {note.name}")
