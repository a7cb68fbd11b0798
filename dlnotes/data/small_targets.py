"""Infrared-like small targets on real sky and water: exact masks, a contrast that you set, and clutter that looks alike.

A distant target is a spot: the optics blur it to a few pixels, with no shape or texture to recognise. What makes it hard is
the background, so the backgrounds are real. The sky comes from three photographs (china, camera, rocket) and the water is
the lake in ``china``. No bundled photograph shows the sea: the kind ``"waves"`` is a photograph of grass, shortened four
times as seen from low above, which has the long crests of a swell, and nothing more is claimed for it. All are grey pictures
of visible light; sensor noise and hot pixels are added by formula.

Contrast is set as the local signal-to-clutter ratio, the mean of the target above the mean of its neighbourhood, over the
standard deviation there, as defined in Gao et al., "Infrared Patch-Image Model for Small Target Detection in a Single
Image", IEEE TIP 22(12), 2013. Departure: the two moments of the neighbourhood are taken before the target is added.
"""

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from dlnotes._check import check_choice, check_integers

from ._draw import SPLITS, between, check_index, check_range, check_split, numbers_of
from .samples import load_sample

__all__ = ["SCENES", "Scene", "SmallTargets", "write_sirst"]


@dataclass(frozen=True)
class Scene:
    """A part of a photograph: rows and columns (from, to), and how many times it is shortened in height."""

    kind: str
    sample: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    shorten: int = 1


SCENES: tuple[Scene, ...] = (
    Scene("sky", "china", (0, 130), (340, 640)),                # haze and thin cloud
    Scene("sky", "camera", (0, 115), (290, 512)),
    Scene("sky", "rocket", (0, 120), (95, 560)),                # dusk
    Scene("water", "china", (246, 276), (370, 545)),            # the lake, with boats that are darker than the water
    Scene("waves", "grass", (0, 512), (0, 512), 4),
    Scene("skyline", "camera", (110, 232), (300, 512)),         # roofs and towers before the sky
    Scene("skyline", "rocket", (290, 427), (95, 640)),          # lamps: bright, round and no targets
)
"""Where the backgrounds come from. Training sees the left 70 % of each, held-out pictures the rest."""

_TRAIN_SHARE = 0.7
_NEAR = 20                                                      # pixels around a target that count as its neighbourhood


class SmallTargets(Dataset):
    """Grey pictures with small bright targets.

    Args:
        split: ``"train"`` or ``"held-out"``; they share no pixel of background.
        size: number of pictures.
        seed: another seed, another set of pictures of the same split.
        shape: height and width in pixels.
        targets: how many in a picture, one number or (least, most). 0 is a picture without any.
        area: of a target in pixels, one number or (least, most).
        scr: local signal-to-clutter ratio of a target, one number or (least, most).
        kinds: kinds of background, among ``"sky"``, ``"water"``, ``"waves"``, ``"skyline"``.
        clutter: contrast of the background, from 0 (flat) to 1.
        noise: standard deviation of the sensor's noise, white being 1.
        hot_pixels: single bright pixels in a picture that are no targets, one number or (least, most).

    Raises:
        ValueError: if an argument is none of these.
        ModuleNotFoundError: if scikit-image or scikit-learn is missing.

    >>> item = SmallTargets("train", 100)[5]
    >>> item["image"].shape, item["mask"].shape, item["mask"].unique().tolist(), item["name"]
    (torch.Size([1, 256, 256]), torch.Size([256, 256]), [0, 1], 'train_00005')
    """

    classes = ("background", "target")

    def __init__(self, split: str = "train", size: int = 1000, seed: int = 0, *, shape: tuple[int, int] = (256, 256),
                 targets: int | tuple[int, int] = (1, 3), area: int | tuple[int, int] = (2, 30),
                 scr: float | tuple[float, float] = (3.0, 10.0),
                 kinds: str | tuple[str, ...] = ("sky", "water", "waves", "skyline"), clutter: float = 1.0,
                 noise: float = 0.012, hot_pixels: int | tuple[int, int] = (0, 3)):
        owner = "SmallTargets"
        self._split = check_split(owner, split)
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise ValueError(f"{owner}: expected shape to be (height, width), got {shape!r}; pass two whole numbers")
        check_integers(owner, at_least=32, **{"height of shape": shape[0], "width of shape": shape[1]})
        check_integers(owner, size=size)
        check_integers(owner, at_least=0, seed=seed)
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        for kind in kinds:
            check_choice(owner, sorted({s.kind for s in SCENES}), kinds=kind)
        self.targets = check_range(owner, "targets", targets, 0, whole=True)
        self.area = check_range(owner, "area", area, 2, 400, whole=True)
        self.scr = check_range(owner, "scr", scr, 0)
        self.hot_pixels = check_range(owner, "hot_pixels", hot_pixels, 0, whole=True)
        check_range(owner, "clutter", clutter, 0, 1)
        check_range(owner, "noise", noise, 0, 0.5)
        self.split, self.size, self.seed, self.shape = split, size, seed, tuple(shape)
        self.clutter, self.noise = clutter, noise
        self.scenes = [s for s in SCENES if s.kind in kinds]
        if not self.scenes:
            raise ValueError(f"{owner}: expected at least one kind in kinds, got none; leave it out to take all")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        """``{"image": (1, h, w) float32 in [0, 1], "mask": (h, w) int64 of 0 and 1, "name": str}``."""
        parts = self.parts(index)
        image = (parts["background"] + parts["targets"]).clamp(0, 1).float()[None]          # 1 h w
        return {"image": image, "mask": (parts["mask"] > 0).long(), "name": f"{SPLITS[self._split]}_{index:05d}"}

    def parts(self, index: int) -> dict[str, torch.Tensor]:
        """What picture ``index`` is made of, before it is cut off at black and white.

        Returns:
            ``"background"`` (h, w) with noise and hot pixels; ``"targets"`` (h, w), what is added to it, both float64;
            ``"mask"`` (h, w) int64, 0 and the number of each target from 1: the pixels where it has at least half of its
            peak; ``"scr"``, one number for each target.

        Raises:
            IndexError: if ``index`` is not from 0 to size - 1.
            ValueError: if the targets find no room in the picture.
        """
        rng = numbers_of(self.seed, self._split, check_index("SmallTargets", index, self.size))
        background = self._background(rng)                                                  # h w
        shapes = self._shapes(rng)
        taken = np.zeros(self.shape, bool)
        for inside, _ in shapes:
            taken |= inside
        free = np.flatnonzero(~_grown(taken, 8))                # a hot pixel beside a target would move its contrast
        for _ in range(between(rng, self.hot_pixels)):
            background.flat[free[int(rng.random() * len(free))]] += 0.15 + 0.35 * rng.random()
        light, mask, ratios = np.zeros(self.shape), np.zeros(self.shape, np.int64), []
        for number, (inside, profile) in enumerate(shapes, 1):
            near = _grown(inside, _NEAR) & ~taken
            ratio = between(rng, tuple(map(float, self.scr)))
            wanted = background[near].mean() + ratio * background[near].std()               # mean over the target's pixels
            light += max(wanted - background[inside].mean(), 0) / profile[inside].mean() * profile
            mask[inside] = number
            ratios.append(ratio)
        return {"background": torch.from_numpy(background), "targets": torch.from_numpy(light),
                "mask": torch.from_numpy(mask), "scr": torch.tensor(ratios, dtype=torch.float64)}

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        scene = self.scenes[int(rng.random() * len(self.scenes))]
        picture = _scene(scene, self.split)                                                 # 1 1 rows columns, mean 0
        zoom = 0.4 + 0.6 * rng.random()                         # enlarged up to 2.5 times: soft, as seen through a long lens
        first = [rng.random() * max(picture.shape[2 + i] - self.shape[i] * zoom, 0) for i in (0, 1)]
        y, x = (((torch.arange(self.shape[i]) + 0.5) * zoom + first[i]) / picture.shape[2 + i] * 2 - 1 for i in (0, 1))
        grid = torch.stack(torch.meshgrid(x * (1 if rng.random() < 0.5 else -1), y, indexing="xy"), dim=-1)[None]  # 1 h w 2
        smooth = F.grid_sample(picture, grid.to(picture), mode="bicubic", padding_mode="reflection", align_corners=False)
        level, contrast = 0.2 + 0.25 * rng.random(), self.clutter * (0.5 + 0.5 * rng.random())
        return level + contrast * smooth[0, 0].numpy() + self.noise * rng.standard_normal(self.shape)

    def _shapes(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each target the pixels of its mask (h, w) and its profile (h, w), a Gaussian spot of peak 1, well apart."""
        (h, w), shapes = self.shape, []
        taken = np.zeros(self.shape, bool)
        rows, columns = np.arange(h)[:, None], np.arange(w)[None, :]
        for _ in range(between(rng, self.targets)):
            area = between(rng, self.area)
            stretch, angle = 1 + 0.6 * rng.random(), np.pi * rng.random()
            for attempt in range(200):
                rim = 2 + np.sqrt(area)
                y, x = (rim + rng.random() * (n - 1 - 2 * rim) for n in (h, w))             # centre, between pixels
                along, across = ((columns - x) * np.cos(angle) + (rows - y) * np.sin(angle),
                                 (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle))
                radius = (along / stretch) ** 2 + (across * stretch) ** 2                   # squared, of the ellipse; h w
                rim_of_mask = np.partition(radius, (area - 1, area), axis=None)[area - 1:area + 1].mean()
                inside = radius < rim_of_mask                                               # exactly `area` pixels
                if not (_grown(inside, 6) & taken).any():
                    break
            else:
                raise ValueError(f"SmallTargets: expected room for {self.targets[1]} targets of {self.area[1]} pixels in "
                                 f"{h} × {w}, found none; enlarge shape or lower targets")
            taken |= inside
            shapes.append((inside, np.exp(-np.log(2) * radius / rim_of_mask)))              # one half at the rim of the mask
        return shapes


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """A mask with every pixel that lies within ``by`` rows and columns of it."""
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask, size=2 * by + 1, mode="constant")


@cache
def _scene(scene: Scene, split: str) -> torch.Tensor:
    """This split's part of a scene as (1, 1, rows, columns) float64, mean 0, standard deviation at most 0.1."""
    grey = load_sample(scene.sample, 1)[None].double() / 255                                # 1 1 h w
    part = grey[..., slice(*scene.rows), slice(*scene.columns)]
    edge = round(part.shape[-1] * _TRAIN_SHARE)
    part = part[..., :edge] if split == "train" else part[..., edge:]
    if scene.shorten > 1:
        part = F.avg_pool2d(part, (scene.shorten, 1))
    part = part - part.mean()
    return part * (0.1 / max(part.std().item(), 0.1))


# ---- a folder as the published sets have it ------------------------------------------------------------------------

def write_sirst(folder: str | os.PathLike, train: Dataset, test: Dataset, style: str = "nudt") -> Path:
    """Write two sets of pictures and masks as a folder in the layout of NUDT-SIRST or NUAA-SIRST.

    ``images/<name>.png`` and 8-bit masks of 0 and 255; names in ``50_50/train.txt`` and ``50_50/test.txt`` (``"nudt"``:
    masks bear the picture's name), or in ``idx_427/`` (``"nuaa"``: masks are ``<name>_pixels0.png``).

    Args:
        folder: must not exist, or be empty. It appears only when everything is written.
        train: items ``{"image": (1 or 3, h, w) in [0, 1], "mask": (h, w) of 0 and 1, "name": str}``.
        test: likewise; no name of ``train`` again.
        style: ``"nudt"`` or ``"nuaa"``.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the folder holds something.
        ValueError: if a name comes twice.
    """
    from PIL import Image

    check_choice("write_sirst", ("nudt", "nuaa"), style=style)
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"write_sirst: expected a folder that is new or empty, got {folder}; choose another name, "
                              "nothing is overwritten")
    ending, lists = ("", "50_50") if style == "nudt" else ("_pixels0", "idx_427")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        for part in ("images", "masks", lists):
            (beside / part).mkdir(parents=True)
        seen: set[str] = set()
        for split, dataset in (("train", train), ("test", test)):
            names = []
            for item in (dataset[i] for i in range(len(dataset))):
                name = item["name"]
                if name in seen:
                    raise ValueError(f"write_sirst: expected every name once, got {name!r} twice; take two splits or two "
                                     "seeds with names of their own")
                seen.add(name)
                names.append(name)
                pixels = (item["image"] * 255).round().to(torch.uint8).movedim(0, -1).squeeze(-1)       # h w, or h w 3
                Image.fromarray(pixels.numpy()).save(beside / "images" / f"{name}.png")
                Image.fromarray((item["mask"] > 0).mul(255).to(torch.uint8).numpy()).save(
                    beside / "masks" / f"{name}{ending}.png")
            (beside / lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        if folder.exists():
            folder.rmdir()                                      # empty, as was checked
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder
