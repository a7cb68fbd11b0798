"""What the tests of all models and modules need to know about each: a small version, its input, its figures.

One file per family, each with ``MODELS = {name: Case(...)}`` and ``MODULES = {class: Case(...)}``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

import torch


@dataclass(frozen=True)
class Case:
    """How to build a small version of something, feed it, and break it.

    Attributes:
        tiny: settings of a small version.
        shape: one input of the small version, without the batch axis.
        other: a second input of another height and width, where the architecture allows.
        parameters: exact count of the canonical model, or of the module built with ``tiny``.
        gmacs: published figure and the input (without batch) it belongs to; compared to the digits given.
        vary: for every constructor argument another value; each must change the network or what it computes.
        wrong: inputs (whole shapes) that must be refused beside a wrong number of axes, channels and dtype.
        channels: False where the input has no channel axis to get wrong (tokens, integers).
        inputs: batch size, shape -> the positional inputs.
        task: what it learns in the overfitting test: "classify", "segment", "restore", or a function model -> bool.
        batch_one: False where training with a single sample is impossible, and refused with a reason.
        attention: it attends, so ``record(attention=True)`` finds something.
        compile, export: False where the file says why not.
    """

    tiny: dict
    shape: tuple[int, ...]
    other: tuple[int, ...] | None = None
    parameters: int | None = None
    gmacs: tuple[str, tuple[int, ...]] | None = None
    vary: dict = field(default_factory=dict)
    wrong: tuple = ()
    channels: bool = True
    inputs: Callable = lambda batch, shape: (torch.randn(batch, *shape),)
    task: str | Callable = "classify"
    batch_one: bool = True
    attention: bool = False
    compile: bool = True
    export: bool = True


def _gather(table: str) -> dict:
    found = {}
    for module in iter_modules(__path__):
        entries = getattr(import_module(f"{__name__}.{module.name}"), table, {})
        assert not set(found) & set(entries), f"described twice: {set(found) & set(entries)}"
        found |= entries
    return found


def models() -> dict[str, Case]:
    return _gather("MODELS")


def modules() -> dict[type, Case]:
    return _gather("MODULES")


def first(output) -> torch.Tensor:
    """The main result of a network that returns several."""
    while not isinstance(output, torch.Tensor):
        output = output[0] if isinstance(output, (tuple, list)) else next(iter(output.values()))
    return output


def all_of(output) -> list[torch.Tensor]:
    """Every tensor in what a network returns."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [x for part in (output.values() if isinstance(output, dict) else output) for x in all_of(part)]


SENTENCE = r"(?s)^[\w., ]+: expected .*, got .*; .*\S$"


def wrong_inputs(case: Case):
    good = case.inputs(2, case.shape)
    yield "rank", (good[0][0], *good[1:])
    yield "dtype", (good[0].long() if good[0].is_floating_point() else good[0].float(), *good[1:])
    yield "float64", ((good[0].double(), *good[1:]) if good[0].is_floating_point() else (good[0].bool(), *good[1:]))
    if case.channels:
        yield "channels", (torch.cat([good[0], good[0][:, :1]], dim=1), *good[1:])
    for shape in case.wrong:
        yield f"size {shape}", (torch.randn(shape), *good[1:])
