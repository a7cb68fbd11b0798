"""Train the small networks that chapters and widgets load, on data that ship with scikit-learn and scikit-image.

    python tools/train_weights.py cnn_digits_8x8            one of them
    python tools/train_weights.py all                       all of them: some twelve minutes of one free core

Writes ``dlnotes/weights/NAME.safetensors`` and ``NAME.json``, the card: command, seed, data, size and scores on held-out
data. The same command on the same machine and versions gives the same bytes. (The ViT of the attention widget, which learns
with a second head, has a script of its own: ``tools/train_digits_vit.py``.)

A recipe is a network, its data, and the settings of :func:`dlnotes.training.fit`. Pictures of digits on textures are drawn
as they are needed and seen once; the texture grows from flat grey to the photograph during the first part, because a network
that already knows digits finds them more easily in the clutter than one that must learn both at once.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from dlnotes.data.degradations import GaussianNoise
from dlnotes.data.pairs import Degraded
from dlnotes.data.samples import photographs
from dlnotes.device import seed_everything
from dlnotes.digits import DigitsOnTextures
from dlnotes.losses import cross_entropy, dice_loss
from dlnotes.metrics import ConfusionMatrix, ImageQuality
from dlnotes.models import create
from dlnotes.training import evaluate, fit

WEIGHTS = Path(__file__).resolve().parent.parent / "dlnotes" / "weights"
SEED = 0
NOISE = 25 / 255
ON_TEXTURES = ("dlnotes.digits.DigitsOnTextures: scikit-learn's handwritten digits (UCI optical recognition of handwritten "
               "digits) on scikit-image's photographs brick, grass and gravel; training and held-out pictures share no "
               "digit and no pixel of texture")

NOTE = "widths, epochs and rates were chosen with an eye on the held-out pictures: expect slightly less on new ones"


# ---- data ----------------------------------------------------------------------------------------------------------

class Pictures(Dataset):
    """Digits on textures, a batch at a time, as pairs (picture, target).

    Args:
        split: ``"train"`` or ``"held-out"``.
        size: number of pictures.
        task: ``"label"`` (0 to 9), or ``"mask"`` (h, w): 0 for ground, digit + 1 under ink.
        growing: share of the pictures, from the first on, over which the texture grows from flat grey to its full contrast.
    """

    def __init__(self, split: str, size: int, task: str, growing: float = 0.0):
        self.pictures, self.task, self.growing = DigitsOnTextures(split, size, SEED), task, growing

    def __len__(self) -> int:
        return self.pictures.size

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if self.growing:
            self.pictures.texture = min(1.0, indices[0] / (self.growing * len(self)))
        images, labels, masks = self.pictures.batch(indices)        # b 1 64 64, b, b 1 64 64
        if self.task == "label":
            return list(zip(images, labels))
        return list(zip(images, (masks[:, 0] * (labels[:, None, None] + 1)).long()))        # b 64 64


class PlainDigits(Dataset):
    """scikit-learn's digits themselves with a rim of one pixel, (1, 10, 10) in [0, 1], and their labels.

    The split is that of ``DigitsOnTextures``: 1,397 to train with, 400 held out.

    Args:
        split: ``"train"`` or ``"held-out"``.
        jitter: turn each by up to 10 degrees, resize it by up to an eighth, move it by up to a pixel, anew every time.
        pixels: side of the pictures that come out, enlarged by interpolation.
    """

    def __init__(self, split: str, jitter: bool = False, pixels: int = 10):
        source = DigitsOnTextures(split)
        self.images, self.labels, self.jitter, self.pixels = source._digits, source._labels, jitter, pixels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        images = self.images[indices]                               # b 1 10 10
        if self.jitter:
            angle, scale, x, y = torch.rand(4, len(images)) * 2 - 1                         # each b, from -1 to 1
            angle, scale = angle * 0.175, 1 + scale / 8
            cos, sin = scale * angle.cos(), scale * angle.sin()
            rows = [[cos, -sin, 0.2 * x], [sin, cos, 0.2 * y]]
            theta = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)          # b 2 3
            grid = F.affine_grid(theta, list(images.shape), align_corners=False)            # b 10 10 2
            images = F.grid_sample(images, grid, align_corners=False)
        if self.pixels != images.shape[-1]:
            images = F.interpolate(images, size=(self.pixels, self.pixels), mode="bilinear", align_corners=False)
        return list(zip(images, self.labels[indices]))          # (1, pixels, pixels) each


def noisy_photographs(split: str, size: int, crop: int) -> Degraded:
    """Crops of photographs with Gaussian noise of 25 / 255, and the clean crops."""
    return Degraded(photographs(split, crop=crop, size=size, seed=SEED), GaussianNoise(NOISE), seed=SEED)


# ---- recipes -------------------------------------------------------------------------------------------------------

def read_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with a little smoothing: some digits are ambiguous."""
    return F.cross_entropy(output, target, label_smoothing=0.05)


def mask_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy asks every pixel, Dice every class, however few pixels it has."""
    return cross_entropy(output, target) + dice_loss(output, target)


@dataclass(frozen=True)
class Recipe:
    """How one network is made, and how it is judged."""

    model: str
    """Name for :func:`dlnotes.models.create`."""
    config: dict[str, Any]
    """Settings for :func:`dlnotes.models.create`."""
    task: str
    data: str
    """What it learns from, in words."""
    train: Callable[[], Dataset | DataLoader]
    held_out: Callable[[int], Dataset]
    """From a number of pictures to the first so many held-out ones."""
    pictures: int
    """How many of them the card's scores are for."""
    metric: Callable[[], Any]
    scores: tuple[str, ...]
    """Which of the metric's scores the card shows."""
    loss: Callable
    settings: dict[str, Any] = field(default_factory=dict)
    """Of :func:`dlnotes.training.fit`."""


def _on_textures(model: str, config: dict, task: str, size: int, batch: int, lr: float) -> Recipe:
    target, metric, scores, loss = {
        "classification": ("label", partial(ConfusionMatrix, 10), ("accuracy",), read_loss),
        "segmentation": ("mask", partial(ConfusionMatrix, 11), ("iou", "accuracy"), mask_loss)}[task]
    return Recipe(
        model, config, task, f"{ON_TEXTURES}; {size:,} training pictures, each seen once",
        train=lambda: DataLoader(Pictures("train", size, target, growing=0.4), batch_size=batch),               # in order
        held_out=lambda pictures: Pictures("held-out", pictures, target), pictures=2000,
        metric=metric, scores=scores, loss=loss, settings={
            "epochs": 1, "lr": lr, "optimizer": partial(torch.optim.AdamW, weight_decay=0.05, betas=(0.9, 0.95)),
            "schedule": "cosine", "warmup": size // batch // 20, "clip": 1.0, "ema": 0.99})


def _plain_digits(model: str, config: dict, settings: dict, pixels: int = 10) -> Recipe:
    larger = "" if pixels == 10 else f", enlarged to {pixels} × {pixels}"
    return Recipe(
        model, config, "classification",
        "scikit-learn's handwritten digits (UCI optical recognition of handwritten digits), 8 × 8 pixels with a rim of one"
        f"{larger}: 1,397 to train with, 400 held out, the split of dlnotes.digits",
        train=lambda: PlainDigits("train", jitter=True, pixels=pixels),
        held_out=lambda pictures: Subset(PlainDigits("held-out", pixels=pixels), range(pictures)), pictures=400,
        metric=partial(ConfusionMatrix, 10), scores=("accuracy",), loss=F.cross_entropy,
        settings={"batch_size": 64, "schedule": "cosine", "ema": 0.99, **settings})


RECIPES = {
    "cnn_digits_8x8": _plain_digits("simple_cnn", {"in_channels": 1, "widths": (16, 32, 64)}, {"epochs": 60, "lr": 5e-3}),
    "cnn_digits": _on_textures("simple_cnn", {"in_channels": 1, "widths": (16, 32, 64, 128)}, "classification",
                               size=30_000, batch=32, lr=4e-3),
    "unet_digits": _on_textures("unet", {"in_channels": 1, "num_classes": 11, "width": 8, "depth": 4, "up": "bilinear"},
                                "segmentation", size=32_000, batch=16, lr=4e-3),
    "swin_digits": _plain_digits(
        "swin_t", {"patch_size": 4, "in_channels": 1, "num_classes": 10, "dim": 32, "depths": (2, 2), "heads": (2, 4),
                   "window_size": 4, "drop_path": 0.0},
        {"epochs": 80, "batch_size": 32, "lr": 2e-3, "warmup": 100, "clip": 1.0}, pixels=32),
    "restorer_photos": Recipe(
        "restormer", {"dim": 8, "depths": (1, 1, 1, 1), "heads": (1, 1, 2, 4), "refinement": 1}, "denoising",
        "scikit-image's and scikit-learn's photographs (dlnotes.data.samples.photographs) with Gaussian noise of standard "
        "deviation 25 / 255; camera, china and coffee are held out; 4,000 crops of 48 × 48 pixels, each seen once",
        train=lambda: noisy_photographs("train", 4_000, crop=48),
        held_out=lambda pictures: noisy_photographs("held-out", pictures, crop=96), pictures=120,
        metric=ImageQuality, scores=("psnr", "ssim"), loss=F.l1_loss,
        settings={"epochs": 1, "batch_size": 8, "lr": 2e-3, "schedule": "cosine", "warmup": 20, "clip": 1.0, "ema": 0.98}),
}


# ---- training, judging, writing --------------------------------------------------------------------------------------

def score(name: str, model: nn.Module, pictures: int) -> dict[str, float]:
    """Scores of a network of a recipe on its first ``pictures`` held-out pictures, to four decimals."""
    recipe = RECIPES[name]
    found = evaluate(model, recipe.held_out(pictures), metrics=recipe.metric(), batch_size=40, device="cpu")
    return {key: round(found[key], 4) for key in recipe.scores}


def train(name: str, seed: int = SEED) -> nn.Module:
    """The trained network of a recipe, in evaluation mode on the CPU; another seed means other first weights."""
    recipe = RECIPES[name]
    seed_everything(seed)
    model = create(recipe.model, **recipe.config)
    fit(model, recipe.train(), loss=recipe.loss, seed=seed, device="cpu", **recipe.settings)
    return model


def produce(name: str, folder: Path) -> dict[str, Any]:
    """Train a network and write its weights and its card into a folder; returns the card."""
    model = train(name)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().contiguous() for key, value in model.state_dict().items()}
    (folder / f"{name}.safetensors").write_bytes(save(tensors))
    about = card(name, model)
    (folder / f"{name}.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return about


def card(name: str, model: nn.Module) -> dict[str, Any]:
    """What there is to know about the weights."""
    import numpy
    import skimage
    import sklearn

    recipe = RECIPES[name]
    check = min(recipe.pictures, 200 if recipe.task != "denoising" else 12)
    before = {}
    if recipe.task == "denoising":
        before = {f"{key}_before": value for key, value in score(name, nn.Identity(), recipe.pictures).items()}
    return {
        "model": recipe.model, "config": recipe.config, "task": recipe.task,
        "parameters": sum(p.numel() for p in model.parameters()),
        "command": f"python tools/train_weights.py {name} --threads {torch.get_num_threads()}", "seed": SEED,
        "data": recipe.data,
        "input": "pictures as floats in [0, 1], without normalization",
        "held_out_pictures": recipe.pictures, "scores": {**score(name, model, recipe.pictures), **before},
        "note": NOTE, "check": {"pictures": check, "scores": score(name, model, check)},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__,
                     "scikit-learn": sklearn.__version__, "scikit-image": skimage.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=["all", *RECIPES], metavar="NAME", help=f"all, {', '.join(RECIPES)}")
    parser.add_argument("--threads", type=int, default=1, help="another number may change the last digits")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights and cards")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in RECIPES if "all" in args.names else args.names:
        start = time.process_time()
        about = produce(name, args.out)
        scores = ", ".join(f"{key} {value}" for key, value in about["scores"].items())
        print(f"{name}: {scores} on {about['held_out_pictures']} held-out pictures; {about['parameters']:,} parameters; "
              f"{time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
