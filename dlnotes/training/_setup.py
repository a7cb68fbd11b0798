"""What ``fit`` does before the first batch: settle the arguments, and say in one sentence what is wrong with them."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dlnotes._check import check_choice
from dlnotes.device import pick_device
from dlnotes.optim import schedules

from .folder import describe
from .sampler import EpochLoader

PRECISIONS = ("no", "fp16", "bf16")


@contextmanager
def accelerator_for(device: str | None, precision: str, owner: str = "fit") -> Iterator[Any]:
    """An ``accelerate.Accelerator`` for one call; what another one had settled in this process is put back afterwards."""
    check_choice(owner, PRECISIONS, precision=precision)
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, PartialState
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{owner}: expected the package accelerate, which is not installed; "
                                  "pip install accelerate") from error
    chosen = pick_device(device)
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        chosen = torch.device("cpu")
    if precision == "fp16" and chosen.type == "cpu":
        raise ValueError(f"{owner}: expected a CUDA device for precision='fp16', got the CPU; "
                         "use precision='bf16' or 'no' here")
    states = [AcceleratorState]
    if not _connected():                                            # else the processes stay connected
        states.append(PartialState)
        if chosen.index is not None:
            torch.cuda.set_device(chosen)
    before = [dict(state._shared_state) for state in states]
    for state in states:
        state._shared_state.clear()
    try:
        accelerator = Accelerator(mixed_precision=precision, cpu=chosen.type == "cpu")
        accelerator.gradient_accumulation_steps = 1                 # the loop divides by itself
        yield accelerator
    finally:
        if _connected():
            states = [AcceleratorState]
        for state, content in zip(states, before):
            state._shared_state.clear()
            state._shared_state.update(content)


def _connected() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def on_main(accelerator: Any, function: Callable[[], Any]) -> Any:
    """Run something on the main process alone; all processes get its result, or its error."""
    if accelerator.num_processes == 1:
        return function()
    from accelerate.utils import broadcast_object_list

    answer: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            answer[0] = function()
        except Exception as error:                                  # or the others would wait for ever
            answer[1] = error
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def inputs_and_target(content: Any) -> tuple[Any, Any]:
    """Input and target of a collated batch: a pair, or a dict with "image" and one of "mask", "label" and "target".

    >>> inputs_and_target({"image": 1, "label": 2, "name": ["a.png"]})
    (1, 2)
    """
    if isinstance(content, Mapping):
        targets = [name for name in ("mask", "label", "target") if name in content]
        if "image" in content and len(targets) == 1:
            return content["image"], content[targets[0]]
        raise ValueError(f"fit: expected samples with 'image' and one of 'mask', 'label', 'target', got keys "
                         f"{', '.join(map(repr, content))}; pass unpack=lambda batch: (batch['...'], batch['...'])")
    if isinstance(content, (tuple, list)) and len(content) == 2:
        return content[0], content[1]
    kind = f"{len(content)} parts" if isinstance(content, (tuple, list)) else type(content).__name__
    raise ValueError(f"fit: expected samples that are pairs (input, target) or dicts, got {kind}; "
                     "pass unpack=lambda batch: (batch[0], batch[1]) to say which is which")


def make_optimizer(model: nn.Module, optimizer: Any, lr: float | None) -> torch.optim.Optimizer:
    """An optimizer from a class, from a function (parameters, lr=...), or as it is."""
    if isinstance(optimizer, torch.optim.Optimizer):
        if lr is not None:
            raise ValueError(f"fit: expected no lr beside an optimizer that exists already, got lr={lr!r}; "
                             "set it in the optimizer, or pass its class")
        mine = {id(p) for p in model.parameters()}
        if not any(id(p) in mine for group in optimizer.param_groups for p in group["params"]):
            raise ValueError("fit: expected an optimizer of this model's parameters, got one of others; "
                             "build it from model.parameters()")
        return optimizer
    if not callable(optimizer):
        raise TypeError(f"fit: expected optimizer to be a class such as torch.optim.AdamW, a function of (parameters, "
                        f"lr=...) or an optimizer, got {optimizer!r}; "
                        "functools.partial(torch.optim.SGD, momentum=0.9) is one")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"fit: expected a model with parameters that require gradients, got {type(model).__name__} "
                         "with none; unfreeze a part with requires_grad_()")
    return optimizer(parameters) if lr is None else optimizer(parameters, lr=lr)


def make_schedule(optimizer: torch.optim.Optimizer, schedule: Any, warmup: int, updates: int) -> Any:
    """A scheduler of torch from a name, from a function of the update number, or as it is."""
    scheduler = torch.optim.lr_scheduler
    if isinstance(schedule, (scheduler.LRScheduler, scheduler.ReduceLROnPlateau)):
        if warmup:
            raise ValueError(f"fit: expected warmup=0 beside a scheduler that exists already, got {warmup}; "
                             "put the warm-up into it, or pass a function from dlnotes.optim.schedules")
        if schedule.optimizer is not optimizer:
            raise ValueError("fit: expected the scheduler to drive the optimizer of this call, got one built on another; "
                             "pass that optimizer too")
        return schedule
    if isinstance(schedule, str):
        check_choice("fit", ("constant", "cosine", "linear"), schedule=schedule)
        rest = max(1, updates - warmup)
        schedule = {"constant": schedules.constant, "cosine": lambda: schedules.cosine(rest),
                    "linear": lambda: schedules.linear(1.0, 0.0, rest)}[schedule]()
    elif not callable(schedule):
        raise TypeError(f"fit: expected schedule to be 'constant', 'cosine', 'linear', a function of the update number or a "
                        f"scheduler of torch, got {schedule!r}; dlnotes.optim.schedules has such functions")
    if warmup:
        schedule = schedules.warm_up(warmup, schedule)
    return scheduler.LambdaLR(optimizer, schedule)


def named_metrics(metrics: Any) -> dict[str, Any]:
    """Prefix of its scores -> metric, from one metric or a dict of them."""
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        named = {f"{name}_": metric for name, metric in metrics.items()}
    else:
        named = {"": metrics}
    for metric in named.values():
        if not all(callable(getattr(metric, name, None)) for name in ("update", "compute", "reset")):
            raise TypeError("fit: expected metrics to be an object with update, compute and reset, or a dict of such "
                            f"objects, got {type(metric).__name__}; dlnotes.metrics has them")
    return named


def check_monitor(monitor: str | None, mode: str | None, metrics: dict[str, Any], validated: bool) -> tuple[str, str]:
    """Which score says what is best, and in which direction; wrong names are found before the first epoch."""
    monitor = monitor or ("val_loss" if validated else "loss")
    mode = mode or ("min" if monitor.endswith("loss") else "max")
    check_choice("fit", ("min", "max"), mode=mode)
    known = ["loss", *(["val_loss", *(f"val_{name}" for name in metric_values(metrics))] if validated else [])]
    check_choice("fit", known, monitor=monitor)
    return monitor, mode


def metric_values(metrics: dict[str, Any]) -> dict[str, float]:
    """All scores by name."""
    return {prefix + name: float(value) for prefix, metric in metrics.items() for name, value in metric.compute().items()}


def check_positive(**values: float | None) -> None:
    """Each named value must be None or a finite number above 0."""
    for name, value in values.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):
            raise ValueError(f"fit: expected {name} to be a number above 0, got {value!r}; None leaves it out")


def describe_data(data: EpochLoader | None) -> dict[str, Any] | None:
    """What a loader reads, as far as plain attributes tell; paths are left out, because data may move."""
    if data is None:
        return None
    plain = {name: value for name, value in vars(data.dataset).items() if not name.startswith("_")
             and isinstance(value, (bool, int, float, str)) and os.sep not in str(value)}
    return {"class": describe(type(data.dataset)), "samples": len(data.dataset), "batches": len(data),
            "batch_size": data.batch_size, "sampler": describe(type(data._source.sampler)), **plain}
