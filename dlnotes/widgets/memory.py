"""Where the memory of a training step goes, against a budget: the planner's table, and the widget that shows it.

The table in ``memory.json`` was made by :func:`dlnotes.memory.predict` for a GPU, at six batches; the page draws straight lines
between them. At any one moment the bytes alive grow in a straight line with the batch, and the peak is the highest of these
lines. Where it moves from one moment to another between two batches, the lines of both sides are drawn until they meet. ``python -m dlnotes.widgets.memory`` makes the table again.
"""

import io
import json
import math
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
import traitlets

from .. import plots
from ..memory import Memory, predict
from ..models import create
from ._base import Widget

__all__ = ["BATCHES", "CHECKPOINTED", "MODELS", "OPTIMIZERS", "PARTS", "MemoryPlanner", "build", "entry", "lookup", "meta_model"]

BATCHES = (1, 2, 4, 16, 64, 256)
MODELS: dict[str, tuple[int, ...]] = {"unet": (256, 512), "resnet50": (224, 448), "vit_b_16": (224, 384), "swin_t": (224, 448)}
"""Networks and the input sizes (pixels a side) that the table holds."""
CHECKPOINTED = {"unet": ("encoder.*", "bottom", "decoder.*"), "resnet50": ("layer?.*",), "vit_b_16": ("blocks.*",),
                "swin_t": ("layers.?.blocks.*",)}
"""Blocks that are computed twice where checkpointing is on."""
OPTIMIZERS = ("sgd", "momentum", "adamw")
PARTS = ("weights", "gradients", "optimizer state", "activations", "temporary")
"""Weights stand for parameters and buffers; temporary includes the input."""

_FILE = Path(__file__).with_suffix(".json")
_SHOWN = 64                                                         # largest batch of the slider
_MOST = 1024                                                        # the page looks for no larger batch


def meta_model(name: str, size: int) -> torch.nn.Module:
    """A network of the table on the ``meta`` device, which costs no memory."""
    with torch.device("meta"):
        return create(name, image_size=size) if name.startswith("vit") else create(name)


def _five(memory: Memory) -> list[int]:
    p = memory.at_peak
    return [p["parameters"] + p["buffers"], p["gradients"], p["optimizer_state"], p["activations"], p["temporary"] + p["input"]]


def entry(name: str, size: int, batch: int, optimizer: str, autocast: bool, checkpointing: bool) -> list[int]:
    """Bytes of the five ``PARTS`` at the peak of one training step on a GPU, predicted; they add up to the peak.

    Raises:
        ValueError: if the model is not in the table, or does not take this size.
    """
    if name not in MODELS:
        raise ValueError(f"entry: expected one of {', '.join(MODELS)}, got {name!r}; dlnotes.memory.predict takes any model")
    return _five(predict(meta_model(name, size), (3, size, size), batch, optimizer=optimizer, device="cuda",
                         autocast=torch.float16 if autocast else None, checkpointing=CHECKPOINTED[name] if checkpointing else None))


def build() -> dict[str, list[list[int]]]:
    """Predict the whole table: ``"model size optimizer autocast checkpointing"`` -> five KiB for each of ``BATCHES``.

    Momentum is not predicted: plain SGD's step allocates nothing for a moment, and momentum adds one number for each weight.
    """
    table: dict[str, list[list[int]]] = {}
    for name, sizes in MODELS.items():
        for size, autocast, checkpointing in product(sizes, (0, 1), (0, 1)):
            for optimizer in ("sgd", "adamw"):
                rows = [[round(part / 1024) for part in entry(name, size, batch, optimizer, bool(autocast), bool(checkpointing))]
                        for batch in BATCHES]
                table[f"{name} {size} {optimizer} {autocast} {checkpointing}"] = rows
            plain, adam = (table[f"{name} {size} {o} {autocast} {checkpointing}"] for o in ("sgd", "adamw"))
            table[f"{name} {size} momentum {autocast} {checkpointing}"] = [
                [*row[:2], round(other[2] / 2), *row[3:]] for row, other in zip(plain, adam)]
    return table


@cache
def _table() -> dict[str, list[list[int]]]:
    return json.loads(_FILE.read_text(encoding="utf-8"))


def lookup(model: str, size: int, batch: float, optimizer: str, autocast: bool, checkpointing: bool) -> list[float]:
    """KiB of the five ``PARTS`` from the table, on straight lines between (and beyond) its batches.

    >>> [round(part / 2**10) for part in lookup("resnet50", 224, 16, "adamw", False, False)][:3]
    [98, 65, 195]
    """
    rows, last = _table()[f"{model} {size} {optimizer} {int(autocast)} {int(checkpointing)}"], len(BATCHES) - 2

    def line(k: int) -> list[float]:
        t = (batch - BATCHES[k]) / (BATCHES[k + 1] - BATCHES[k])
        return [(1 - t) * a + t * b for a, b in zip(rows[k], rows[k + 1])]

    k = max(i for i in range(last + 1) if batch >= BATCHES[i] or i == 0)
    if batch == BATCHES[k] or k in (0, last):
        return line(k)
    return max(line(k - 1), line(k + 1), key=sum)                   # the peak moves from one line to the other in between


def _largest(budget: float, **settings: Any) -> int:
    """The largest batch up to ``_MOST`` whose peak from the table is within ``budget`` KiB; 0 if none is."""
    low, high = 0, _MOST + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if sum(lookup(batch=middle, **settings)) <= budget else (low, middle)
    return low


def _gib(kib: float) -> str:
    return f"{kib / 2**20:.2f} GiB"


class MemoryPlanner(Widget):
    """Plan a training step against the memory of a GPU: what each part takes at the peak, and the remedy that saves most.

    Args:
        model: one of ``MODELS``.
        size: pixels a side; one of the model's in ``MODELS``. Default: the smaller one.
        batch: samples, 1 to 64.
        optimizer: ``"sgd"``, ``"momentum"`` or ``"adamw"``.
        autocast: mixed precision in float16.
        checkpointing: compute the blocks twice instead of keeping their activations.
        budget: memory of the device, in GiB, 1 to 96.

    Raises:
        ValueError: if a setting is none of these.

    With a kernel, :func:`dlnotes.memory.predict` answers for sizes and batches that are not in the table.
    """

    _name = "memory"
    _height = 760

    table = traitlets.Dict().tag(sync=True)                         # "model size optimizer autocast checkpointing" -> rows of KiB
    sizes = traitlets.Dict().tag(sync=True)
    blocks = traitlets.Dict().tag(sync=True)
    batches = traitlets.List(list(BATCHES)).tag(sync=True)
    shown = traitlets.Int(_SHOWN).tag(sync=True)
    model = traitlets.Unicode("resnet50").tag(sync=True)
    size = traitlets.Int(224).tag(sync=True)
    batch = traitlets.Int(32).tag(sync=True)
    optimizer = traitlets.Enum(OPTIMIZERS, "adamw").tag(sync=True)
    autocast = traitlets.Bool(False).tag(sync=True)
    checkpointing = traitlets.Bool(False).tag(sync=True)
    budget = traitlets.Float(8.0).tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)                        # of the kernel: {"words", "parts" in KiB} or {"error"}

    def __init__(self, model: str = "unet", size: int | None = None, batch: int = 24, optimizer: str = "adamw",
                 autocast: bool = False, checkpointing: bool = False, budget: float = 8.0) -> None:
        if model not in MODELS:
            raise ValueError(f"MemoryPlanner: expected model to be one of {', '.join(MODELS)}, got {model!r}; "
                             "dlnotes.memory.predict takes any model")
        size = MODELS[model][0] if size is None else size
        if size not in MODELS[model]:
            raise ValueError(f"MemoryPlanner: expected size of {model} to be one of {', '.join(map(str, MODELS[model]))}, got "
                             f"{size!r}; dlnotes.memory.predict takes any size")
        if not isinstance(batch, int) or isinstance(batch, bool) or not 1 <= batch <= _SHOWN:
            raise ValueError(f"MemoryPlanner: expected batch as a whole number from 1 to {_SHOWN}, got {batch!r}; "
                             "dlnotes.memory.predict takes any batch")
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"MemoryPlanner: expected optimizer to be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}; "
                             "choose one")
        for name, value in (("autocast", autocast), ("checkpointing", checkpointing)):
            if not isinstance(value, bool):
                raise ValueError(f"MemoryPlanner: expected {name} to be True or False, got {value!r}; it is a switch")
        if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not 1 <= budget <= 96:
            raise ValueError(f"MemoryPlanner: expected budget from 1 to 96 GiB, got {budget!r}; bytes are divided by 2**30")
        super().__init__(table=_table(), sizes={name: list(sizes) for name, sizes in MODELS.items()},
                         blocks={name: list(blocks) for name, blocks in CHECKPOINTED.items()}, model=model, size=size, batch=batch,
                         optimizer=optimizer, autocast=autocast, checkpointing=checkpointing, budget=float(budget))

    def settings(self) -> dict[str, Any]:
        """What :func:`lookup` takes besides the batch."""
        return {name: getattr(self, name) for name in ("model", "size", "optimizer", "autocast", "checkpointing")}

    def parts(self) -> list[float]:
        """KiB of the five ``PARTS`` at the peak, from the table."""
        return lookup(batch=self.batch, **self.settings())

    def largest(self) -> int:
        """The largest batch that fits into the budget, by the table; 0 if none does."""
        return _largest(self.budget * 2**20, **self.settings())

    def handle(self, message: Any) -> None:
        """Predict with torch: ``{"type": "predict", "size": 320, "batch": 100}`` and the other settings as they are."""
        if not isinstance(message, dict) or message.get("type") != "predict":
            return
        size, batch = message.get("size"), message.get("batch")
        if not all(isinstance(x, int) and not isinstance(x, bool) for x in (size, batch)) or not (16 <= size <= 2048 and 1 <= batch <= 4096):
            self.answer = {"error": "size from 16 to 2048 pixels, batch from 1 to 4096"}
            return
        s = self.settings()
        try:
            found = entry(s["model"], size, batch, s["optimizer"], s["autocast"], s["checkpointing"])
        except (ValueError, RuntimeError) as error:
            self.answer = {"error": str(error).splitlines()[0]}
            return
        self.answer = {"words": f"{s['model']}, {batch} × 3 × {size} × {size}", "parts": [part / 1024 for part in found]}

    def summary(self) -> str:
        more = [self.optimizer, *["autocast"] * self.autocast, *["checkpointing"] * self.checkpointing]
        return (f"{self.model}, {self.batch} × 3 × {self.size} × {self.size}, {', '.join(more)}: {_gib(sum(self.parts()))} of "
                f"{self.budget:g} GiB")

    def alt(self) -> str:
        shares = ", ".join(f"{name} {_gib(part)}" for name, part in zip(PARTS, self.parts()))
        return f"A stacked bar of the memory at the peak of one training step ({self.summary()}): {shares}. A line marks the budget."

    def still(self) -> bytes:
        parts, total = self.parts(), sum(self.parts()) / 2**20
        inks = [plots.token("ink"), plots.token("muted"), plots.token("line"), plots.token("network"), plots.token("network-soft")]
        with plots.style():
            figure, axis = plt.subplots(figsize=(6.4, 2.2))
            left = 0.0
            for name, part, ink in zip(PARTS, parts, inks):
                axis.barh(0, part / 2**20, left=left, color=ink, edgecolor=plots.token("muted"), linewidth=0.8, label=name, height=0.6)
                left += part / 2**20
            axis.axvline(self.budget, color=plots.token("reader"), linewidth=2, label="budget")
            axis.set(xlabel="memory at the peak, GiB", yticks=[], xlim=(0, 1.15 * max(total, self.budget)), ylim=(-0.5, 0.5),
                     title=f"{self.model}, batch {self.batch}, {self.size} pixels: {total:.2f} GiB")
            figure.legend(loc="outside lower center", ncols=3, fontsize=9)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()


if __name__ == "__main__":
    torch.set_num_threads(1)
    _FILE.write_text(json.dumps(build(), separators=(",", ":")).replace('],"', '],\n"') + "\n", encoding="utf-8")
