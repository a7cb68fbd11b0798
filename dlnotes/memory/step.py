"""One training step as it is predicted and measured: the same lines run on pretended tensors and on real ones."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from dlnotes._check import check_integers

__all__ = ["OPTIMIZERS", "check_request", "describe", "forward", "make_optimizer", "mean_square"]

OPTIMIZERS = {
    "sgd": lambda weights, **how: torch.optim.SGD(weights, lr=1e-3, **how),
    "momentum": lambda weights, **how: torch.optim.SGD(weights, lr=1e-3, momentum=0.9, **how),
    "adam": lambda weights, **how: torch.optim.Adam(weights, **how),
    "adamw": lambda weights, **how: torch.optim.AdamW(weights, **how),
}


def mean_square(output: Any) -> torch.Tensor:
    """The loss when none is given: the mean square of everything that the model returns, in float32."""
    found = [x for x in tree_leaves(output) if isinstance(x, torch.Tensor) and x.is_floating_point()]
    if not found:
        raise ValueError(f"memory: expected a model that returns floating tensors, got {type(output).__name__}; "
                         "pass a loss of your own")
    return sum(x.float().square().mean() for x in found)


def forward(model: nn.Module, x: torch.Tensor, loss: Callable[[Any], torch.Tensor] | None, device: str,
            autocast: torch.dtype | None) -> tuple[Any, torch.Tensor | None]:
    """Output and loss. Autocast ends before the loss, which reads float32, as in :func:`dlnotes.training.fit`."""
    kind = torch.device(device).type
    context: AbstractContextManager = nullcontext() if autocast is None else torch.autocast(kind, autocast)
    with context:
        output = model(x)
    if autocast is not None:
        output = tree_map(lambda y: y.float() if isinstance(y, torch.Tensor) and y.is_floating_point() else y, output)
    value = None if loss is None else loss(output)
    if loss is not None and not (isinstance(value, torch.Tensor) and value.numel() == 1):
        got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"memory: expected loss to give a scalar tensor, got {got}; end it with .mean()")
    return output, value


def make_optimizer(optimizer: Any, model: nn.Module, device: str) -> torch.optim.Optimizer | None:
    """An optimizer by name, or by a function of the weights. On CUDA PyTorch treats all weights at once (``foreach``)."""
    weights = [p for p in model.parameters() if p.requires_grad]
    if optimizer is None or not weights:
        return None
    if callable(optimizer):
        return optimizer(weights)
    return OPTIMIZERS[optimizer](weights, foreach=torch.device(device).type == "cuda")


def check_request(owner: str, model: nn.Module, input_size: Sequence[int], batch_size: int, dtype: torch.dtype,
                  optimizer: Any, loss: Any, autocast: torch.dtype | None, device: str) -> None:
    """What both functions refuse, in one sentence each."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{owner}: expected an nn.Module, got {type(model).__name__}; dlnotes.models.create makes one")
    if not isinstance(input_size, Sequence) or isinstance(input_size, str) or not input_size:
        raise ValueError(f"{owner}: expected input_size without the batch, such as (3, 224, 224), got {input_size!r}; "
                         "the batch is batch_size")
    check_integers(owner, batch_size=batch_size, **{f"input_size[{i}]": size for i, size in enumerate(input_size)})
    for name, value in (("dtype", dtype), ("autocast", autocast)):
        if not (isinstance(value, torch.dtype) and value.is_floating_point) and not (name == "autocast" and value is None):
            raise TypeError(f"{owner}: expected {name} to be a floating dtype such as torch.float32, got {value!r}; "
                            "8-bit weights are not simulated")
    if autocast is not None and dtype != torch.float32:
        raise ValueError(f"{owner}: expected dtype=torch.float32 with autocast, which casts as it goes, got {dtype}; "
                         "choose one of the two")
    if not (optimizer is None or callable(optimizer) or isinstance(optimizer, str) and optimizer in OPTIMIZERS):
        raise ValueError(f"{owner}: expected optimizer to be one of {', '.join(OPTIMIZERS)}, None, or a function of the "
                         f"weights, got {optimizer!r}; for example lambda weights: torch.optim.RMSprop(weights)")
    if loss is not None and not callable(loss):
        raise TypeError(f"{owner}: expected loss to be a function of the model's output, got {loss!r}; "
                        "close over the target: lambda output: F.cross_entropy(output, target)")
    if not isinstance(device, str) or device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"{owner}: expected device 'cpu', 'cuda' or 'cuda:N', got {device!r}; no other is modelled")


def describe(model: nn.Module, input_size: Sequence[int], batch_size: int, dtype: torch.dtype, training: bool,
             optimizer: Any, autocast: torch.dtype | None, device: str, accumulating: bool, checkpointing: Any) -> str:
    """The title of a table."""
    kind = str(autocast or dtype).removeprefix("torch.") + (" autocast" if autocast else "")
    words = [f"{type(model).__name__}, batch {batch_size} of {tuple(input_size)}, {kind}, {device}"]
    if not training:
        return f"inference: {words[0]}"
    words.append("no optimizer" if optimizer is None else optimizer if isinstance(optimizer, str) else "own optimizer")
    if accumulating:
        words.append("accumulating")
    if checkpointing:
        words.append("checkpointing " + (checkpointing if isinstance(checkpointing, str) else ", ".join(checkpointing)))
    return "training step: " + ", ".join(words)
