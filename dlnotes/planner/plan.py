"""From a fingerprint and a budget of memory to a plan: patch, depth, channels, batch and the rest, each with its reason.

Source: nnU-Net (Isensee et al., Nature Methods 18, 2021, Methods and supplementary information). Its rules: the patch is
as large as the median picture if memory allows; the batch has at least 2 samples, and grows only when the patch is whole,
up to 5 % of all pixels; every level halves the map as long as 4 pixels are left at the bottom; 32 channels at the top,
doubled level by level; Dice plus cross-entropy; each picture normalised by itself unless its numbers have a unit (CT).

Here the rules are a *ladder*: plans in order of what they cost, of which the highest rung that fits is taken, so that a
larger budget never gives a smaller plan. Departures: two axes; no more than 4 poolings, where nnU-Net stops doubling the
channels at 512 instead; batch norm and ReLU (our U-Net's) for instance norm and leaky ReLU; AdamW with a cosine for SGD
with momentum 0.99; a batch of at most 32; and rungs with 8 and 16 channels for budgets that nnU-Net refuses.
"""

from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import log2
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from dlnotes._check import check_choice, check_integers
from dlnotes.data import pad_collate
from dlnotes.losses import cross_entropy, dice_loss
from dlnotes.memory import Memory, in_words, measure, predict
from dlnotes.models import create

from .fingerprint import Fingerprint
from .transform import PlanTransform

__all__ = ["Plan", "Rung", "dice_and_cross_entropy", "ladder", "plan"]

_WIDTHS, _DEEPEST, _BOTTOM, _LARGEST_BATCH = (8, 16, 32), 4, 4, 32
_AUTOCAST = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}


def dice_and_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for every pixel, Dice for every class: logits (b, classes, h, w), target (b, h, w) -> scalar.

    >>> round(dice_and_cross_entropy(torch.zeros(1, 2, 2, 2), torch.tensor([[[0, 0], [1, 1]]])).item(), 4)    # log 2 + 0.4
    1.0931
    """
    return cross_entropy(logits, target) + dice_loss(logits, target)


@dataclass(frozen=True)
class Rung:
    """What decides how much memory a step takes."""

    width: int
    depth: int
    patch: tuple[int, int]
    batch_size: int


@dataclass(frozen=True)
class Plan:
    """Made by :func:`plan`; ``print`` it.

    Attributes:
        fingerprint: of the data.
        width, depth: channels of the U-Net's first level, and number of its poolings.
        patch: (height, width) of a training picture in pixels, divisible by 2**depth.
        batch_size: patches in a batch.
        augmentation: arguments of :class:`dlnotes.data.Augment`.
        absolute: whether pixels are normalised by the data set's numbers, instead of each picture by its own.
        memory: the predicted step.
        budget_bytes: what there was. device, precision: what was assumed.
        reasons: choice -> why.
    """

    fingerprint: Fingerprint
    width: int
    depth: int
    patch: tuple[int, int]
    batch_size: int
    augmentation: dict[str, Any]
    absolute: bool
    budget_bytes: int
    device: str
    precision: str
    memory: Memory = field(repr=False)
    reasons: dict[str, str] = field(repr=False)

    def build(self) -> nn.Module:
        """The planned U-Net, with fresh random weights."""
        return _unet(self.fingerprint, self.width, self.depth)

    def transform(self, training: bool = True) -> PlanTransform:
        """What to do to every sample: pass it to the data set. Needs torchvision if ``training``."""
        data = self.fingerprint
        intensity = (data.mean, data.std, data.low, data.high) if self.absolute else None
        return PlanTransform(self.augmentation if training else None, intensity)

    def held_out(self, data: Dataset) -> DataLoader:
        """Batches of whole pictures of any size, for ``fit(val=...)``: padded to what the depth can divide, and what is
        padded counts in no loss and no metric. The data set's transform is that of ``transform(training=False)``.
        """
        return DataLoader(data, self.batch_size, collate_fn=partial(pad_collate, multiple=2**self.depth))

    def fit_arguments(self) -> dict[str, Any]:
        """Arguments for :func:`dlnotes.training.fit`, all but the model, the data and the number of epochs."""
        return {"loss": dice_and_cross_entropy, "optimizer": torch.optim.AdamW, "lr": 1e-3, "schedule": "cosine",
                "batch_size": self.batch_size, "precision": self.precision, "device": self.device}

    def measure(self) -> Memory:
        """Run one step of this plan on random numbers, and measure it: the check of ``memory``."""
        target = torch.zeros(self.batch_size, *self.patch, dtype=torch.int64, device=self.device)
        return measure(self.build(), (self.fingerprint.channels, *self.patch), self.batch_size, optimizer="adamw",
                       loss=lambda logits: dice_and_cross_entropy(logits, target), device=self.device,
                       autocast=_AUTOCAST[self.precision])

    def __str__(self) -> str:
        bottom = self.width * 2**self.depth
        steps = ", ".join(name for name in self.augmentation if name != "size")
        values = {"patch": f"{self.patch[0]} × {self.patch[1]}", "depth": f"{self.depth}",
                  "channels": f"{self.width} to {bottom}", "batch": f"{self.batch_size}", "augmentation": steps,
                  "loss": "Dice + cross-entropy", "normalisation": "data set" if self.absolute else "each picture",
                  "memory": f"{in_words(self.memory.total)} of {in_words(self.budget_bytes)}"}
        return "\n".join(f"{name:14}{value}\n{'':16}{self.reasons[name]}" for name, value in values.items())


def plan(fingerprint: Fingerprint, budget_bytes: int, *, device: str = "cpu", precision: str = "no", absolute: bool = False,
         margin: float = 0.1) -> Plan:
    """Plan the training of a U-Net.

    Args:
        fingerprint: of the data, from :func:`~dlnotes.planner.fingerprint`.
        budget_bytes: what a training step may take, for example ``dlnotes.memory.free_memory("cuda")``.
        device: ``"cpu"`` or ``"cuda"``: where it will train.
        precision: as in :func:`dlnotes.training.fit`: ``"no"`` (float32), ``"fp16"`` or ``"bf16"``.
        absolute: the pixels measure something, as in CT: one number means the same in every picture.
        margin: share of the budget that stays free, because the memory is predicted.

    Returns:
        The :class:`Plan`.

    Raises:
        TypeError: if ``fingerprint`` is none.
        ValueError: if an argument is out of range, or the budget is too small; the message names the smallest that works.

    >>> from dlnotes.digits import DigitsOnTextures
    >>> from dlnotes.planner import fingerprint
    >>> digits = fingerprint(DigitsOnTextures(size=2000), at_most=50)
    >>> small, large = plan(digits, 200 * 2**20), plan(digits, 2**30)
    >>> (small.patch, small.depth, small.width, small.batch_size), large.batch_size
    (((64, 64), 4, 32, 7), 32)
    """
    if not isinstance(fingerprint, Fingerprint):
        raise TypeError(f"plan: expected a Fingerprint, got {type(fingerprint).__name__}; "
                        "dlnotes.planner.fingerprint(dataset) makes one")
    check_integers("plan", budget_bytes=budget_bytes)
    check_choice("plan", tuple(_AUTOCAST), precision=precision)
    check_choice("plan", ("cpu", "cuda"), device=device)
    if precision == "fp16" and device == "cpu":
        raise ValueError("plan: expected device='cuda' for precision='fp16', got the CPU; use 'bf16' or 'no' here")
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"plan: expected margin from 0 to below 1, got {margin!r}; 0.1 keeps a tenth free")
    rungs, room = ladder(fingerprint), budget_bytes * (1 - margin)

    def needs(rung: Rung) -> Memory:
        return _needs(fingerprint.channels, fingerprint.classes, rung, precision, device)

    smallest = needs(rungs[0]).total
    if smallest > room:
        raise ValueError(f"plan: expected a budget of at least {in_words(_round_up(smallest / (1 - margin), 2**20))}, got "
                         f"{in_words(budget_bytes)}; that is the smallest U-Net here ({rungs[0].width} channels, patches of "
                         f"{rungs[0].patch[0]} × {rungs[0].patch[1]}, batch {rungs[0].batch_size})")
    fits, too_much = (len(rungs) - 1, len(rungs)) if needs(rungs[-1]).total <= room else (0, len(rungs) - 1)
    while too_much - fits > 1:
        middle = (fits + too_much) // 2
        fits, too_much = (middle, too_much) if needs(rungs[middle]).total <= room else (fits, middle)
    chosen = rungs[fits]
    memory = needs(chosen)
    augmentation = {"size": chosen.patch, "flip": 0.5, "flip_vertical": 0.5, "rotate": 15.0, "scale": (0.7, 1.4),
                    "jitter": 0.25, "blur": 1.0}
    return Plan(fingerprint, chosen.width, chosen.depth, chosen.patch, chosen.batch_size, augmentation, absolute,
                budget_bytes, device, precision, memory, _reasons(fingerprint, chosen, rungs, absolute, margin))


def ladder(fingerprint: Fingerprint) -> list[Rung]:
    """All plans for a data set, from the cheapest to the dearest: channels first, then the patch, then the batch."""
    whole = fingerprint.median                                                      # h w
    short = min(whole)
    sides = [*range(min(32, short), short, 16), short]                              # of the patch's shorter axis
    patches = [_patch(whole, side) for side in sides]                               # depth, (h, w)
    rungs = [Rung(width, *patches[0], 2) for width in _WIDTHS]
    rungs += [Rung(_WIDTHS[-1], depth, patch, 2) for depth, patch in patches[1:]]
    depth, patch = patches[-1]
    pixels = fingerprint.pictures * whole[0] * whole[1]
    most = max(2, min(_LARGEST_BATCH, pixels // (20 * patch[0] * patch[1])))        # 5 % of all pixels
    rungs += [Rung(_WIDTHS[-1], depth, patch, batch) for batch in range(3, most + 1)]
    return list(dict.fromkeys(rungs))                                               # each once, in order


def _patch(whole: tuple[int, int], side: int) -> tuple[int, tuple[int, int]]:
    """Depth, and a patch of the picture's proportions with this shorter side, rounded up to what the depth can divide."""
    depth = min(_DEEPEST, max(1, int(log2(max(1, side / _BOTTOM)))))
    return depth, tuple(max(_round_up(full * side / min(whole), 2**depth), 2**(depth + 1)) for full in whole)


def _round_up(x: float, multiple: int = 1) -> int:
    return -int(-(x - 1e-6) // multiple) * multiple


def _unet(fingerprint: Fingerprint, width: int, depth: int) -> nn.Module:
    return create("unet", in_channels=fingerprint.channels, num_classes=fingerprint.classes, width=width, depth=depth)


@lru_cache(maxsize=4096)
def _needs(channels: int, classes: int, rung: Rung, precision: str, device: str) -> Memory:
    with torch.device("meta"):
        model = create("unet", in_channels=channels, num_classes=classes, width=rung.width, depth=rung.depth)
    return predict(model, (channels, *rung.patch), rung.batch_size, optimizer="adamw", loss=_as_dice_and_cross_entropy,
                   autocast=_AUTOCAST[precision], device=device)


def _as_dice_and_cross_entropy(logits: torch.Tensor) -> torch.Tensor:
    """The tensors of :func:`dice_and_cross_entropy`, without its look at the target's numbers: a prediction has none."""
    b, classes, h, w = logits.shape
    target = torch.zeros(b, h, w, dtype=torch.int64, device=logits.device)
    valid = (target != -100).unsqueeze(1).to(logits.dtype)                          # b 1 h w
    p = logits.softmax(dim=1) * valid                                               # b classes h w
    g = F.one_hot(target, classes).movedim(-1, 1).to(logits.dtype) * valid          # b classes h w
    return F.cross_entropy(logits, target) + 1 - 2 * (p * g).sum() / (p.sum() + g.sum())


def _reasons(fingerprint: Fingerprint, chosen: Rung, rungs: list[Rung], absolute: bool, margin: float) -> dict[str, str]:
    """One sentence for each choice, with the numbers that led to it."""
    median, last = fingerprint.median, rungs[-1]
    whole = chosen.patch == last.patch
    bottom = min(chosen.patch) // 2**chosen.depth
    patch = (f"the median picture is {median[0]} × {median[1]}" + (
        f", and memory allows it whole, rounded up to a multiple of {2**chosen.depth}" if whole
        else f", which does not fit; this is the largest of its proportions that does, in multiples of {2**chosen.depth}"))
    if fingerprint.spacing is not None:
        patch += f", once pixels are resampled to {fingerprint.spacing[0]:g} × {fingerprint.spacing[1]:g}"
    batch = ("the patch comes first: the smallest batch that batch norm can use" if not whole else
             "memory allows no more" if chosen.batch_size < last.batch_size else
             f"more would be over 5 % of the {fingerprint.pictures:,} pictures' pixels or over {_LARGEST_BATCH} samples")
    return {
        "patch": patch,
        "depth": f"halved {chosen.depth} times, the shorter side leaves {bottom} pixels at the bottom" + (
            f"; more than {_DEEPEST} would only add channels" if chosen.depth == _DEEPEST
            else f", and {_BOTTOM} are the least"),
        "channels": f"{chosen.width} at the top, doubled with every level" + (
            ", as in nnU-Net" if chosen.width == _WIDTHS[-1] else f"; nnU-Net's {_WIDTHS[-1]} do not fit"),
        "batch": batch,
        "augmentation": f"crops of the patch's size, mirrored, turned and zoomed, because {fingerprint.pictures:,} pictures "
                        "are few beside what may come; brightness, contrast and blur, because cameras differ",
        "loss": f"the foreground has {fingerprint.foreground:.1%} of the pixels and the largest class "
                f"{fingerprint.imbalance:.1f} times those of the smallest: Dice counts classes, "
                "cross-entropy keeps the gradient smooth",
        "normalisation": "the pixels measure something: cut to the foreground's 0.5 to 99.5 percentiles, then its mean and "
                         "standard deviation" if absolute
                         else "mean 0 and standard deviation 1, since brightness has no unit",
        "memory": f"predicted for one training step with AdamW, with {margin:.0%} of the budget kept free" + (
            "; more memory would change nothing" if chosen == last else ""),
    }
