"""``fit``: one call trains a network on a CPU, a GPU or several, writes down what happened, and survives being killed.

The work is done by :func:`dlnotes.training.loop.train`, a loop of some forty lines; here its parts are put together.
Devices, mixed precision and processes are Hugging Face Accelerate's: the same call runs alone, under ``torchrun`` or
``accelerate launch``, and in ``notebook_launcher``.

Departure from the custom of most libraries: ``batch_size`` is the number of samples in a batch over all processes together.
Two GPUs share a batch instead of doubling it, so that the same call means the same training everywhere.
"""

import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from dlnotes._check import check_choice, check_integers
from dlnotes._lock import FileLock
from dlnotes.device import seed_everything

from . import folder as run_folder
from . import loop
from ._setup import (accelerator_for, check_monitor, check_positive, describe_data, inputs_and_target, make_optimizer,
                     make_schedule, named_metrics, on_main)
from .checkpoint import find_latest, read_checkpoint
from .ema import EMA
from .evaluate import Unpack
from .log import KINDS, Bar, RunLog
from .sampler import EpochLoader

__all__ = ["Result", "fit"]


@dataclass(frozen=True)
class Result:
    """What :func:`fit` hands back.

    Attributes:
        history: one dict for each epoch: ``epoch``, ``update``, ``lr`` (of its last update), ``loss``, ``val_…`` scores.
        best_epoch: the epoch with the best ``monitor``, counted from 1.
        monitor: name of the score that says what is best.
        updates: number of updates made, over all sessions.
        best_weights: state dict of the best epoch, on the CPU: ``model.load_state_dict(result.best_weights)``.
            Empty if the monitored score was never a number.
        folder: the run's folder, or None.
        finished: whether the training came to its end; False where ``time_limit`` stopped it.
    """

    history: list[dict[str, float]]
    best_epoch: int
    monitor: str
    updates: int
    best_weights: dict[str, torch.Tensor] = field(repr=False)
    folder: Path | None = None
    finished: bool = True

    def __repr__(self) -> str:
        parts = [f"{len(self.history)} epochs, {self.updates} updates"]
        if self.best_epoch:
            parts.append(f"best epoch {self.best_epoch} ({self.monitor} {self.history[self.best_epoch - 1][self.monitor]:.4f})")
        if not self.finished:
            parts.append("stopped by the time limit")
        return f"Result({', '.join(parts)})"


def fit(model: nn.Module, train: Dataset | DataLoader, *, loss: Callable, epochs: int,
        val: Dataset | DataLoader | None = None, metrics: Any = None, unpack: Unpack = inputs_and_target,
        optimizer: Any = torch.optim.AdamW, lr: float | None = None, schedule: Any = "constant", warmup: int = 0,
        batch_size: int | None = None, num_workers: int = 0, accumulate: int = 1, precision: str = "no",
        clip: float | None = None, ema: float | None = None, monitor: str | None = None, mode: str | None = None,
        early_stop: int | None = None, seed: int = 0, device: str | None = None, folder: str | os.PathLike | None = None,
        resume: str = "auto", checkpoint_every: int | None = None, time_limit: float | None = None,
        log: tuple[str, ...] = KINDS, log_every: int = 1,
        pictures: Callable[[nn.Module], Mapping[str, torch.Tensor]] | None = None, progress: bool | None = None) -> Result:
    """Train a model.

    Given the same arguments and a model with the same initial weights, the result is the same: the order of the samples, the
    draws of augmentation and dropout follow from ``seed``. With a ``folder``, a run that was killed goes on when the same
    call is made again, and ends with the same weights and tables, bit by bit, as one that was not (on CUDA as far as its
    kernels are deterministic).

    Args:
        model: any network. It is moved to the device, and comes back there in eval mode with the last weights (with ``ema``:
            the averaged ones); ``result.best_weights`` are those of the best epoch.
        train: a data set with a length, or a ``DataLoader`` around one. Samples are pairs (input, target), or dicts with
            "image" and one of "mask", "label", "target"; a "name" helps to find bad files. A data set is shuffled.
        loss: ``loss(output, target)``, a scalar; the mean over the samples of a batch.
        epochs: times that all samples are seen. A run may be continued with more, unless its schedule depends on the number.
        val: data for the scores after each epoch.
        metrics: an object of :mod:`dlnotes.metrics`, or a dict of several, whose names then begin the scores' names.
        unpack: from a collated batch to (input, target), for samples of any other form.
        optimizer: a class, a function of (parameters, lr=...), or an optimizer that exists already.
        lr: learning rate; None for the optimizer's own default.
        schedule: "constant", "cosine" or "linear" (both down to 0 at the end), a function from the number of the update to a
            factor (:mod:`dlnotes.optim.schedules`), or a scheduler of torch built on ``optimizer``: it steps after each
            update, ``ReduceLROnPlateau`` after each epoch with the monitored score.
        warmup: updates in which the rate first climbs in a straight line from a tenth.
        batch_size: samples of a batch over all processes (default 32). A ``DataLoader`` brings its own.
        num_workers: processes that read ahead. A ``DataLoader`` brings its own.
        accumulate: batches whose gradients are added up for one update: it equals one batch of all their samples.
        precision: "no" (float32), "fp16" (with loss scaling, CUDA only) or "bf16", by autocast; weights stay as they are.
        clip: largest norm of the whole gradient; a larger one is shortened to it.
        ema: decay of a moving average of the weights (:class:`~dlnotes.training.EMA`); then that is evaluated and kept.
        monitor: name of the score that says which epoch is best: "loss", "val_loss" or a metric such as "val_accuracy".
            Default "val_loss", without ``val`` "loss".
        mode: "min" or "max"; by default "min" for a loss and "max" for anything else.
        early_stop: stop after this many epochs without a better one.
        seed: from 0 to 2**32 - 1. Python's, NumPy's and torch's generators are seeded with it.
        device: "cpu", "cuda" or "cuda:1"; default :func:`dlnotes.device.pick_device`'s choice.
        folder: where checkpoints (the last two), ``best.safetensors``, ``config.json``, tables, TensorBoard events and
            pictures go; None writes nothing. It must be new, empty, or hold this very run.
        resume: "auto" continues the run in the folder or begins one, "must" only continues, "never" only begins.
        checkpoint_every: updates between checkpoints within an epoch; there is always one after each epoch.
        time_limit: seconds from this call after which the run makes a checkpoint and stops, for platforms that end a session;
            the same call goes on in the next one. It is looked at after each update.
        log: any of "csv" and "tensorboard".
        log_every: updates between two rows of ``updates.csv`` and of TensorBoard.
        pictures: from the model (in eval mode, without gradients) to name -> picture (c, h, w) in [0, 1]; called after each
            epoch, on the main process, where there is a folder.
        progress: a bar on stderr: True, False, or None: unless the environment variable ``DLNOTES_PROGRESS`` is ``0``.

    Returns:
        The :class:`Result`.

    Raises:
        ValueError, TypeError: if an argument is none of these, or the folder holds a run with another configuration.
        FileExistsError, FileNotFoundError: if the folder holds something else, or no run for ``resume="must"``.
        NonFiniteLoss: if the loss or its gradient is NaN or infinite; it names update, samples and module.
        DamagedCheckpoint: if no checkpoint in the folder is whole.
        FolderInUse: if another process, or another call in this one, trains in the folder now.
        OSError: if the disk is full; the checkpoint before is whole.

    >>> from torch.utils.data import TensorDataset
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> line = nn.Linear(1, 1)
    >>> result = fit(line, TensorDataset(x, 3 * x + 1), loss=nn.functional.mse_loss, epochs=50, lr=0.2, schedule="cosine",
    ...              device="cpu", progress=False)
    >>> result.history[-1]["loss"] < 2e-3, line.weight.item() > 2.9
    (True, True)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"fit: expected model to be an nn.Module, got {type(model).__name__}; "
                        "dlnotes.models.create makes one")
    if not callable(loss):
        raise TypeError(f"fit: expected loss to be a function of (output, target), got {loss!r}; "
                        "F.cross_entropy is one")
    check_integers("fit", epochs=epochs, accumulate=accumulate, log_every=log_every,
                   **{name: value for name, value in (("early_stop", early_stop), ("checkpoint_every", checkpoint_every))
                      if value is not None})
    check_integers("fit", at_least=0, warmup=warmup)
    check_positive(lr=lr, clip=clip, time_limit=time_limit)
    deadline = math.inf if time_limit is None else monotonic() + time_limit
    check_choice("fit", ("auto", "must", "never"), resume=resume)
    log = (log,) if isinstance(log, str) else tuple(log)
    for kind in log:
        check_choice("fit", KINDS, log=kind)
    if folder is None and (resume == "must" or any(x is not None for x in (checkpoint_every, time_limit, pictures))):
        raise ValueError("fit: expected a folder for resume='must', checkpoint_every, time_limit or pictures, got folder=None; "
                         "pass a path")
    metrics = named_metrics(metrics)
    if metrics and val is None:
        raise ValueError("fit: expected val, the data to measure on, beside metrics, got val=None; pass a held-out data set")
    monitor, mode = check_monitor(monitor, mode, metrics, val is not None)

    own_forward = "forward" in vars(model)
    where = None if folder is None else Path(folder)
    lock = None if where is None else FileLock(where / run_folder.LOCK)
    run = None
    with accelerator_for(device, precision) as accelerator:
        try:
            seed_everything(seed)
            torch.manual_seed((seed + accelerator.process_index) % 2**32)           # each process its own dropout
            share = {"seed": seed, "process": accelerator.process_index, "processes": accelerator.num_processes}
            pin = accelerator.device.type == "cuda"
            data = EpochLoader(train, batch_size=batch_size, shuffle=True, num_workers=num_workers, pin_memory=pin, **share)
            own = isinstance(val, DataLoader)
            held_out = None if val is None else EpochLoader(val, batch_size=None if own else data.batch_size,
                                                            num_workers=0 if own else num_workers, pin_memory=pin, **share)
            average = None if ema is None else EMA(model.to(accelerator.device), ema)
            updates = epochs * -(-len(data) // accumulate)
            plain = make_optimizer(model, optimizer, lr)
            scheduler = make_schedule(plain, schedule, warmup, updates)

            latest = None
            if where is not None:
                configuration = run_folder.describe({
                    "model": model, "loss": loss, "data": describe_data(data), "val": describe_data(held_out),
                    "metrics": metrics, "epochs": epochs,
                    "optimizer": {"class": type(plain), **{k: v for k, v in plain.defaults.items() if v}},
                    "schedule": schedule, "warmup": warmup, "accumulate": accumulate,
                    "precision": precision, "clip": clip, "ema": ema, "monitor": monitor, "mode": mode,
                    "early_stop": early_stop, "log": log, "log_every": log_every, "seed": seed})
                free = () if schedule in ("cosine", "linear") else ("epochs",)
                latest = on_main(accelerator, lambda: (
                    find_latest(where) if run_folder.claim(where, configuration, resume, free, lock) else None))
            wrapped, stepper = accelerator.prepare(model, plain)
            if average is not None:
                average.module.load_state_dict(model.state_dict())                  # the main process's, as everywhere now
            weights, state = read_checkpoint(latest) if latest else (None, None)
            done = state["position"]["update"] if state else 0
            if state and len(state["generators"]) != accelerator.num_processes and accelerator.is_main_process:
                warnings.warn(f"fit: the run was left by {len(state['generators'])} processes and goes on with "
                              f"{accelerator.num_processes}; order and augmentation stay the same, dropout does not",
                              RuntimeWarning, stacklevel=2)
            main = accelerator.is_main_process
            run = loop.Run(
                accelerator=accelerator, network=model, model=wrapped, optimizer=stepper, schedule=scheduler, loss=loss,
                data=data, unpack=unpack, epochs=epochs, accumulate=accumulate, clip=clip, ema=average, val=held_out,
                metrics=metrics, monitor=monitor, mode=mode, early_stop=early_stop, checkpoint_every=checkpoint_every,
                log_every=log_every, pictures=pictures, folder=where, lock=lock, at=loop.Position(), deadline=deadline,
                log=RunLog(where if main else None, log, state["log"] if state else None, done),
                bar=Bar(updates, done, progress if main else False, monitor))
            if state:
                run.load(weights, state)
            loop.train(run)
            if average is not None:
                model.load_state_dict(average.module.state_dict())
            model.eval()
            return Result(run.at.history, run.at.best_epoch, monitor, run.at.update, run.best_weights or {}, where,
                          finished=run.at.epoch >= epochs or run.out_of_patience())
        finally:
            if run is not None:
                for part in (run.log, run.bar, run.data, *([] if run.val is None else [run.val])):
                    part.close()
            if lock is not None:
                lock.release()
            accelerator.unwrap_model(model, keep_fp32_wrapper=False)                # autocast ends with this call
            if not own_forward:
                vars(model).pop("forward", None)
            vars(model).pop("_is_accelerate_prepared", None)
