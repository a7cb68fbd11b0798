"""The training loop, from the first batch to the last checkpoint, in one function: :func:`train`.

An update takes ``accumulate`` batches. The loss of each is a mean over its samples; weighted by its share of the samples of
the update, the gradients add up to the gradient of one big batch, whatever the sizes of the batches and however many
processes share them. (Losses that are no plain mean over samples, such as one that skips ignored pixels or a Dice over the
batch, and batch normalization, see the batches one by one; for them the sum is not exactly the big batch.)

Averaged over processes, gradients are divided by their number, so each share is multiplied by it.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from dlnotes.checkpoints.files import read_tensors
from dlnotes.device import same_random_state

from ._setup import on_main
from .checkpoint import weights_bytes, write_atomically, write_checkpoint
from .ema import EMA
from .evaluate import Unpack, scores
from .log import Bar, RunLog
from .nan_hunt import explain
from .sampler import Batch, EpochLoader, random_state, restore_random_state, torch_state

__all__ = ["Position", "Run", "train"]


@dataclass
class Position:
    """How far a run has come: with the weights and the generators, all that is needed to go on."""

    epoch: int = 0                      # epochs that are finished
    batch: int = 0                      # batches of the present epoch that are done
    update: int = 0
    loss_sum: float = 0.0               # of the present epoch, over samples
    samples: int = 0                    # of the present epoch
    best: float | None = None
    best_epoch: int = 0                 # 0 before the first
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass
class Run:
    """Everything that :func:`train` works with; :func:`~dlnotes.training.fit` builds it."""

    accelerator: Any
    network: nn.Module                  # the caller's model
    model: nn.Module                    # the same, wrapped for several processes
    optimizer: Any
    schedule: Any
    loss: Callable
    data: EpochLoader
    unpack: Unpack
    epochs: int
    accumulate: int
    clip: float | None
    ema: EMA | None
    val: EpochLoader | None
    metrics: dict[str, Any]
    monitor: str
    mode: str
    early_stop: int | None
    checkpoint_every: int | None
    log_every: int
    pictures: Callable | None
    folder: Path | None
    log: RunLog
    bar: Bar
    at: Position
    lock: Any = None                    # on the folder
    deadline: float = math.inf          # on the monotonic clock
    late: bool = False                  # some process is past it
    best_weights: dict[str, torch.Tensor] | None = None

    # ---- what the loop calls ----------------------------------------------------------------------------------------

    def inputs(self, batch: Batch) -> tuple[Any, Any]:
        """Input and target, on the device."""
        from accelerate.utils import send_to_device

        return self.unpack(send_to_device(batch.content, self.accelerator.device, non_blocking=True))

    def clip_gradient(self) -> torch.Tensor:
        """Norm of the whole gradient before clipping; afterwards it is at most ``clip``."""
        if self.clip is not None:
            return self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip)
        self.accelerator.unscale_gradients()
        return _norm([p.grad for p in self.model.parameters() if p.grad is not None])

    def check(self, loss: torch.Tensor, norm: torch.Tensor, group: list[Batch], generators: Any) -> tuple[float, float]:
        """Loss and norm as numbers; stops the run if they are not finite, before the weights are touched."""
        late = torch.tensor(float(monotonic() > self.deadline), dtype=torch.double, device=loss.device)
        loss, late = self.accelerator.reduce(torch.stack([loss.double(), late]), "mean")
        loss, late, norm = torch.stack([loss, late, norm.double()]).tolist()
        self.late = late > 0
        overflow = self.accelerator.scaler is not None              # of half precision: this update will be skipped
        if not math.isfinite(loss) or not (math.isfinite(norm) or overflow):
            raise explain(self, loss, norm, group, generators)
        return loss, norm

    def evaluate(self) -> dict[str, float]:
        """Scores on the validation data, of the averaged weights where there are such."""
        if self.val is None:
            return {}
        values = scores(self.judged, self.val.batches(0), self.loss, self.metrics, self.accelerator, self.unpack)
        if not math.isfinite(values["loss"]):
            raise explain(self, values["loss"], None, self.val.batches(0), None)
        return {f"val_{name}": value for name, value in values.items()}

    def checkpoint_is_due(self) -> bool:
        """In the middle of an epoch; its end makes a checkpoint anyway."""
        every = bool(self.checkpoint_every) and self.at.update % self.checkpoint_every == 0
        return (every or self.late) and self.at.batch < len(self.data)

    def out_of_patience(self) -> bool:
        """No better epoch for ``early_stop`` epochs."""
        return self.early_stop is not None and self.at.epoch - self.at.best_epoch >= self.early_stop

    # ---- and what it does not show ------------------------------------------------------------------------------------

    @property
    def judged(self) -> nn.Module:
        """The weights that are evaluated, kept as the best and handed back."""
        return self.network if self.ema is None else self.ema.module

    def end_epoch(self, row: dict[str, float]) -> None:
        """Write down the epoch, keep the best weights, make a checkpoint."""
        at, samples = self.at, self.at.samples
        at.history.append(row)
        at.epoch, at.batch, at.loss_sum, at.samples = at.epoch + 1, 0, 0.0, 0
        value = row[self.monitor]
        better = math.isfinite(value) and (at.best is None or (value < at.best if self.mode == "min" else value > at.best))
        if better:
            at.best, at.best_epoch = value, at.epoch
            self.best_weights = {name: x.detach().cpu().clone() for name, x in self.judged.state_dict().items()}
        if isinstance(self.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.schedule.step(value)
        self.bar.epoch(row)
        on_main(self.accelerator, lambda: self._write_epoch(row, samples, better))
        self.save()

    def _write_epoch(self, row: dict[str, float], samples: int, better: bool) -> None:
        self.log.epoch(row, samples)
        if self.pictures is not None and self.folder is not None:
            with torch.no_grad(), same_random_state():
                self.log.pictures(self.pictures(self.judged.eval()), row["epoch"], row["update"])
        if better and self.folder is not None:                      # before the checkpoint: a killed run writes it again
            write_atomically(self.folder / "best.safetensors", weights_bytes(
                self.best_weights, epoch=row["epoch"], monitor=self.monitor, value=row[self.monitor]))

    def save(self) -> None:
        """A checkpoint of this moment; all processes take part, the main one writes."""
        if self.folder is None:
            return
        generators = [random_state()]
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            generators = gather_object(generators)
        on_main(self.accelerator, lambda: self._write(generators))

    def _write(self, generators: list) -> None:
        weights = {"weights": self.network.state_dict()} | ({"ema": self.ema.module.state_dict()} if self.ema else {})
        scaler = self.accelerator.scaler
        if self.lock is not None:
            self.lock.beat()
        write_checkpoint(self.folder, self.at.update, weights, {
            "position": asdict(self.at), "optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "ema_updates": 0 if self.ema is None else self.ema.updates, "generators": generators, "log": self.log.lengths()})

    def load(self, weights: dict[str, dict[str, torch.Tensor]], state: dict[str, Any]) -> None:
        """Go to where a checkpoint was made. The generators come last: nothing may be drawn in between."""
        self.network.load_state_dict(weights["weights"])
        if self.ema is not None:
            self.ema.module.load_state_dict(weights["ema"])
            self.ema.updates = state["ema_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.at = Position(**state["position"])
        if self.at.best_epoch:
            self.best_weights = self._best_weights()
        generators = state["generators"]
        restore_random_state(generators[min(self.accelerator.process_index, len(generators) - 1)])


    def _best_weights(self) -> dict[str, torch.Tensor] | None:
        """From their file; if that is damaged the run goes on without them."""
        path = self.folder / "best.safetensors"
        try:
            return read_tensors(path)
        except (OSError, ValueError) as error:
            if self.at.best_epoch == self.at.epoch and not self.at.batch:                   # the checkpoint has them as well
                return {name: x.detach().cpu().clone() for name, x in self.judged.state_dict().items()}
            warnings.warn(f"fit: expected the weights of epoch {self.at.best_epoch} in {path}, got a missing or damaged file "
                          f"({str(error).splitlines()[0]}); training goes on, and best_weights stay empty until a better epoch",
                          RuntimeWarning, stacklevel=2)
            return None


def train(run: Run) -> None:
    """Every epoch: updates, then scores on other data, then a checkpoint.

    Args:
        run: the model, its optimizer and data, and where the run stands; it stands at the end afterwards.

    Raises:
        NonFiniteLoss: if the loss or its gradient is NaN or infinite.
        OSError: if the disk is full.
    """
    accelerator, model, optimizer, at = run.accelerator, run.model, run.optimizer, run.at
    while at.epoch < run.epochs and not run.out_of_patience() and not run.late:
        model.train()
        for group in in_groups(run.data.batches(at.epoch, start=at.batch), run.accumulate):     # the batches of one update
            generators = torch_state(accelerator.device)                # for the case of a NaN
            samples = sum(batch.size for batch in group)
            loss = 0.0
            for batch in group:
                x, y = run.inputs(batch)
                share = batch.count * accelerator.num_processes / samples
                with nullcontext() if batch is group[-1] else accelerator.no_sync(model):   # processes talk once an update
                    part = run.loss(model(x), y) * share                # autocast happens inside of model(x)
                    accelerator.backward(part)                          # times the scale, in fp16; gradients add up
                loss = loss + part.detach()
            loss, norm = run.check(loss, run.clip_gradient(), group, generators)
            lr = optimizer.param_groups[0]["lr"]
            optimizer.step()
            optimizer.zero_grad()
            if not optimizer.step_was_skipped:                          # as fp16 does when a gradient overflows
                if not isinstance(run.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
                    run.schedule.step()
                if run.ema is not None:
                    run.ema.update(run.network)
            at.update, at.batch = at.update + 1, at.batch + len(group)
            at.loss_sum, at.samples = at.loss_sum + loss * samples, at.samples + samples
            if at.update % run.log_every == 0:
                run.log.update({"update": at.update, "epoch": at.epoch + 1, "loss": loss, "lr": lr, "gradient_norm": norm})
            run.bar.update(at.epoch + 1, loss)
            if run.checkpoint_is_due():
                run.save()
                if run.late:
                    return
        run.end_epoch({"epoch": at.epoch + 1, "update": at.update, "lr": lr, "loss": at.loss_sum / at.samples,
                       **run.evaluate()})


def in_groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of ``size`` batches; the last may be shorter.

    >>> list(in_groups("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    batches = iter(batches)
    while group := list(islice(batches, size)):
        yield group


def _norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    if hasattr(torch.nn.utils, "get_total_norm"):                   # torch 2.6 and later: few kernels on CUDA
        return torch.nn.utils.get_total_norm(gradients)
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
