"""Readers for published formats that folders of pictures and masks do not cover: CIFAR-10, Oxford-IIIT Pet, Indian Pines.

None of them runs code from the files: CIFAR-10 is read in its binary version (the other one is a pickle), and MATLAB files
hold arrays.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from dlnotes._check import check_choice

from ._draw import check_index

__all__ = ["Cifar10", "IndianPines", "OxfordPets", "read_indian_pines"]


class Cifar10(Dataset):
    """CIFAR-10, binary version: records of one byte for the label and 3 × 1,024 bytes for red, green and blue.

    Args:
        folder: ``cifar-10-batches-bin`` with ``data_batch_1.bin`` to ``data_batch_5.bin``, ``test_batch.bin`` and
            ``batches.meta.txt``.
        split: ``"train"`` or ``"test"``.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is no whole number of records, or a label is above 9.
    """

    def __init__(self, folder: str | os.PathLike, split: str = "train"):
        check_choice("Cifar10", ("train", "test"), split=split)
        folder = Path(folder)
        files = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
        missing = [name for name in (*files, "batches.meta.txt") if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"Cifar10: expected {', '.join(missing)} in {folder}, found none; unpack "
                                    "cifar-10-binary.tar.gz there")
        self.classes = (folder / "batches.meta.txt").read_text(encoding="ascii").split()
        self._records, self._names = [], []
        for name in files:
            raw = np.fromfile(folder / name, np.uint8)
            if len(raw) == 0 or len(raw) % 3073:
                raise ValueError(f"Cifar10: expected records of 3,073 bytes in {folder / name}, got {len(raw):,} bytes; the "
                                 "file is incomplete, unpack it again")
            self._records.append(raw.reshape(-1, 3073))                                     # n 3073
            self._names += [f"{name.removesuffix('.bin')}_{i:05d}" for i in range(len(raw) // 3073)]
        self._records = torch.from_numpy(np.concatenate(self._records))
        if self._records[:, 0].max() > 9:
            raise ValueError(f"Cifar10: expected labels from 0 to 9 in {folder}, got {self._records[:, 0].max()}; is this "
                             "CIFAR-100?")

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict:
        """``{"image": (3, 32, 32) float32 in [0, 1], "label": 0 to 9, "name": str}``."""
        index = check_index("Cifar10", index, len(self))
        record = self._records[index]
        image = record[1:].reshape(3, 32, 32).float() / 255                                 # 3 32 32
        return {"image": image, "label": int(record[0]), "name": self._names[index]}


class OxfordPets(Dataset):
    """Oxford-IIIT Pet: 37 breeds of cats and dogs, with a mask (trimap) for each picture.

    Args:
        folder: holds ``images/<name>.jpg``, ``annotations/trimaps/<name>.png``, ``annotations/trainval.txt`` and
            ``test.txt``.
        split: ``"train"`` (the authors' trainval) or ``"test"``.
        task: ``"segmentation"`` or ``"classification"`` (the breed).

    The trimaps hold 1 for the pet, 2 for the ground and 3 for the rim between them, "not classified". Here the pet is 1, the
    ground 0, and the rim -100, which losses and metrics leave out. Pictures differ in size.

    Raises:
        FileNotFoundError: if a list or a picture is missing.
        ValueError: if an argument is none of these, or a line or a mask has another form.
    """

    def __init__(self, folder: str | os.PathLike, split: str = "train", *, task: str = "segmentation"):
        check_choice("OxfordPets", ("train", "test"), split=split)
        check_choice("OxfordPets", ("segmentation", "classification"), task=task)
        self.folder, self.task = Path(folder), task
        listed = self.folder / "annotations" / ("trainval.txt" if split == "train" else "test.txt")
        if not listed.is_file():
            raise FileNotFoundError(f"OxfordPets: expected the list {listed}, found none; unpack annotations.tar.gz there")
        lines = [line.split() for line in listed.read_text(encoding="ascii").splitlines() if line and line[0] != "#"]
        wrong = [" ".join(line) for line in lines if len(line) != 4 or not all(part.isdigit() for part in line[1:])]
        if wrong or not lines:
            raise ValueError(f"OxfordPets: expected lines 'name class species breed' in {listed}, got "
                             f"{wrong[:1] or 'none'}; download it again")
        self.names = [line[0] for line in lines]
        self._labels = [int(line[1]) - 1 for line in lines]                                 # breeds count from 1 there
        self.classes = [name for _, name in sorted({(k, n.rpartition("_")[0]) for k, n in zip(self._labels, self.names)})]
        missing = [path for name in self.names for path in self._paths(name) if not path.is_file()]
        if missing:
            raise FileNotFoundError(f"OxfordPets: expected every listed picture, found no {missing[0]} ({len(missing)} are "
                                    "missing); unpack images.tar.gz and annotations.tar.gz there")

    def _paths(self, name: str) -> list[Path]:
        picture = self.folder / "images" / f"{name}.jpg"
        trimap = self.folder / "annotations" / "trimaps" / f"{name}.png"
        return [picture, trimap] if self.task == "segmentation" else [picture]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict:
        """``"image"`` (3, h, w) float32 in [0, 1], ``"name"``, and ``"mask"`` (h, w) int64 or ``"label"`` from 0 to 36."""
        from .files import read_mask, read_picture

        index = check_index("OxfordPets", index, len(self))
        paths = self._paths(self.names[index])
        item = {"image": read_picture(paths[0]).float().div(255).contiguous(), "name": self.names[index]}
        if self.task == "classification":
            return {**item, "label": self._labels[index]}
        trimap = read_mask(paths[1])                                                        # h w
        if trimap.shape != item["image"].shape[1:] or trimap.min() < 1 or trimap.max() > 3:
            raise ValueError(f"OxfordPets: expected numbers from 1 to 3 and the size {tuple(item['image'].shape[1:])} in "
                             f"{paths[1]}, got {trimap.min()} to {trimap.max()} and {tuple(trimap.shape)}; unpack it again")
        return {**item, "mask": torch.tensor([0, 1, 0, -100])[trimap]}


@dataclass(frozen=True)
class IndianPines:
    """A hyperspectral scene with labels, for :class:`dlnotes.data.hyperspectral.HyperspectralPatches`.

    Attributes:
        cube: (bands, h, w) float32, in the sensor's units.
        labels: (h, w) int64, 0 for unlabelled, 1 to 16 in the order of ``classes``.
        classes: names.
    """

    cube: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...] = ("Alfalfa", "Corn-notill", "Corn-mintill", "Corn", "Grass-pasture", "Grass-trees",
                                "Grass-pasture-mowed", "Hay-windrowed", "Oats", "Soybean-notill", "Soybean-mintill",
                                "Soybean-clean", "Wheat", "Woods", "Buildings-Grass-Trees-Drives", "Stone-Steel-Towers")


def read_indian_pines(folder: str | os.PathLike) -> IndianPines:
    """Indian Pines, 200 bands of 145 × 145 pixels, from ``Indian_pines_corrected.mat`` and ``Indian_pines_gt.mat``.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is no MATLAB file, or holds no such arrays.
    """
    from scipy.io import loadmat

    arrays = []
    for file, name, axes in (("Indian_pines_corrected.mat", "indian_pines_corrected", 3),
                             ("Indian_pines_gt.mat", "indian_pines_gt", 2)):
        path = Path(folder) / file
        if not path.is_file():
            raise FileNotFoundError(f"read_indian_pines: expected {path}, found no file; download it there")
        try:
            content = loadmat(path)
        except Exception as error:                              # SciPy raises whatever a broken header leads to
            raise ValueError(f"read_indian_pines: expected a MATLAB file in {path}, got a damaged or different one "
                             f"({(str(error) or type(error).__name__).splitlines()[0]}); download it again") from error
        array = content.get(name)
        if array is None or array.ndim != axes:
            found = ", ".join(f"{k} {v.shape}" for k, v in content.items() if isinstance(v, np.ndarray)) or "nothing"
            raise ValueError(f"read_indian_pines: expected {name} with {axes} axes in {path}, got {found}; download it "
                             "again")
        arrays.append(array)
    if arrays[0].shape[:2] != arrays[1].shape:
        raise ValueError(f"read_indian_pines: expected cube and labels of one size, got {arrays[0].shape[:2]} and "
                         f"{arrays[1].shape}; download them again")
    cube = torch.from_numpy(np.ascontiguousarray(arrays[0].transpose(2, 0, 1).astype(np.float32)))      # bands h w
    return IndianPines(cube, torch.from_numpy(arrays[1].astype(np.int64)))
