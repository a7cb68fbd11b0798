"""Scores of a network on data that it does not learn from: the mean loss over the samples, and metrics over the whole set.

Each process sees its own share; losses are summed over samples, metrics add up their counts, and both are divided once, at
the end. So the scores do not depend on the size of the batches, nor on the number of processes.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ._setup import accelerator_for, inputs_and_target, metric_values, named_metrics
from .sampler import Batch, EpochLoader

__all__ = ["evaluate", "scores"]

Unpack = Callable[[Any], tuple[Any, Any]]


def evaluate(model: nn.Module, data: Dataset | DataLoader, *, loss: Callable | None = None, metrics: Any = None,
             batch_size: int | None = None, num_workers: int = 0, precision: str = "no", device: str | None = None,
             unpack: Unpack = inputs_and_target) -> dict[str, float]:
    """Scores of a model on a data set, as :func:`~dlnotes.training.fit` computes them after each epoch.

    Args:
        model: any network; it is left on the device, in the mode (train or eval) in which it came.
        data, batch_size, num_workers, precision, device, unpack: as in :func:`~dlnotes.training.fit`.
        loss: ``loss(output, target)``, a mean over samples; None for metrics alone.
        metrics: one object of :mod:`dlnotes.metrics`, or a dict of several; reset first, they hold their counts after.

    Returns:
        The scores by name, ``"loss"`` first.

    Raises:
        ValueError, TypeError: as :func:`~dlnotes.training.fit`, or if there is neither loss nor metric.

    >>> from dlnotes.metrics import ConfusionMatrix
    >>> from torch.utils.data import TensorDataset
    >>> points = TensorDataset(torch.tensor([[-1.0, 1.0], [2.0, 0.0]]), torch.tensor([1, 1]))
    >>> evaluate(nn.Identity(), points, metrics=ConfusionMatrix(2), device="cpu")["accuracy"]
    0.5
    """
    metrics = named_metrics(metrics)
    if loss is None and not metrics:
        raise ValueError("evaluate: expected a loss or a metric, got neither; pass loss=..., metrics=..., or both")
    training = model.training
    with accelerator_for(device, precision, "evaluate") as accelerator:
        loader = EpochLoader(data, batch_size=batch_size, num_workers=num_workers, process=accelerator.process_index,
                             processes=accelerator.num_processes, pin_memory=accelerator.device.type == "cuda")
        model.to(accelerator.device)
        try:
            return scores(model, loader.batches(0), loss, metrics, accelerator, unpack)
        finally:
            loader.close()
            model.train(training)


def scores(model: nn.Module, batches: Iterable[Batch], loss: Callable | None, metrics: dict[str, Any], accelerator: Any,
           unpack: Unpack) -> dict[str, float]:
    """Loss and metrics over this process's batches and everybody else's. Leaves the model in eval mode."""
    from accelerate.utils import convert_to_fp32, send_to_device

    model.eval()
    share_buffers(model, accelerator)
    for metric in metrics.values():
        metric.reset()
    total = torch.zeros(2, dtype=torch.float64, device=accelerator.device)                  # sum of losses, samples
    with torch.no_grad():
        for batch in batches:
            if batch.count == 0:                                    # a stand-in, where there are more processes than samples
                continue
            x, y = unpack(send_to_device(batch.content, accelerator.device, non_blocking=True))
            with accelerator.autocast():
                output = convert_to_fp32(model(x))
            if loss is not None:
                total[0] += loss(output, y).double() * batch.count
                total[1] += batch.count
            for metric in metrics.values():
                metric.update(output, y)
    for metric in metrics.values():
        if hasattr(metric, "reduce"):
            metric.reduce()
    lost, samples = accelerator.reduce(total, "sum").tolist()
    return {**({} if loss is None else {"loss": lost / samples if samples else math.nan}), **metric_values(metrics)}


def share_buffers(model: nn.Module, accelerator: Any) -> None:
    """The main process's buffers (running statistics of batch normalization) for all: each has seen other samples."""
    if accelerator.num_processes > 1:
        from accelerate.utils import broadcast

        for buffer in model.buffers():
            buffer.copy_(broadcast(buffer.detach().clone()))
