"""Run a training step and read off what torch's allocator handed out: the other side of :func:`~dlnotes.memory.predict`.

On CUDA the allocator counts for itself. On the CPU the profiler notes every block that is handed out or taken back, and
the sum of these notes, in order of time, is what is held. Only what lies above the state before the step comes from the
allocator; weights, state and input are tensors that were there already, and are counted as such.
"""

import copy
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from .checkpointing import checkpoint_blocks
from .parts import Memory
from .step import check_request, describe, forward, make_optimizer, mean_square

__all__ = ["measure", "quiet_profiler"]

_PHASES = ("forward", "backward", "optimizer step")


def measure(model: nn.Module, input_size: Sequence[int], batch_size: int = 1, dtype: torch.dtype = torch.float32,
            training: bool = True, optimizer: str | Callable | None = "sgd",
            checkpointing: str | Sequence[str] | None = None, *, loss: Callable[[Any], torch.Tensor] | None = None,
            autocast: torch.dtype | None = None, accumulating: bool = False, device: str = "cpu") -> Memory:
    """Bytes of one real step in the middle of training, on random input.

    It is the second of two, when the optimizer has its state. Arguments as in :func:`~dlnotes.memory.predict`, so that
    the same ones serve both. A copy of the model is run, and the model left as it is.

    Returns:
        A :class:`~dlnotes.memory.Memory`. ``temporary`` and ``at_peak`` are None: an allocator does not
        know what its blocks are for.

    Raises:
        ValueError, TypeError: if an argument is none of these. RuntimeError: if there is no such device.

    >>> from dlnotes.memory import predict
    >>> layer = nn.Linear(1000, 1000)
    >>> measure(layer, (1000,), batch_size=100).total / predict(layer, (1000,), batch_size=100).total
    1.0
    """
    check_request("measure", model, input_size, batch_size, dtype, optimizer, loss, autocast, device)
    cuda = device != "cpu"
    if cuda and not torch.cuda.is_available():
        raise RuntimeError(f"measure: expected a CUDA device for device={device!r}, and torch sees none; "
                           "predict needs no device")
    model = copy.deepcopy(model).to(device=device, dtype=dtype).train(training)
    model.zero_grad(set_to_none=True)
    x = torch.randn(batch_size, *input_size, dtype=dtype, device=device)
    if checkpointing:
        checkpoint_blocks(model, checkpointing)
    stepper = make_optimizer(optimizer, model, device) if training else None
    work = _phases(model, x, mean_square if loss is None else loss, stepper, training, device, autocast)
    for _, run in work:                                             # the first step makes the optimizer's state
        run()
    gradients = _bytes(weight.grad for weight in model.parameters() if weight.grad is not None)
    if not accumulating:
        model.zero_grad(set_to_none=True)
    gc.collect()                                                    # else the second step would free what the first left
    peak, moment, activations = (_on_cuda if cuda else _on_cpu)(work, device)
    parts = {"parameters": _bytes(model.parameters()), "buffers": _bytes(model.buffers()), "input": _bytes([x]),
             "optimizer_state": _bytes(_state(stepper))}
    there = sum(parts.values()) + (gradients if accumulating else 0)
    return Memory(**parts, gradients=gradients, activations=activations, temporary=None, total=there + peak, moment=moment,
                  title="measured, " + describe(model, input_size, batch_size, dtype, training, optimizer, autocast, device,
                                                accumulating, checkpointing),
                  assumptions=("what torch's allocator handed out: memory that libraries take elsewhere is not in it",))


def _phases(model: nn.Module, x: torch.Tensor, loss: Callable, stepper, training: bool, device: str,
            autocast: torch.dtype | None) -> list[tuple[str, Callable[[], None]]]:
    """The step, cut into its phases; what the forward pass returns is held until the end, as in a loop."""
    held: list[Any] = []

    def run_forward() -> None:
        with torch.set_grad_enabled(training):
            held[:] = forward(model, x, loss if training else None, device, autocast)

    def run_backward() -> None:
        if held[1].requires_grad:
            held[1].backward()

    def run_optimizer() -> None:
        if stepper is not None:
            stepper.step()
        held.clear()

    return list(zip(_PHASES, (run_forward, run_backward, run_optimizer) if training else (run_forward,)))


def _on_cuda(work, device: str) -> tuple[int, str, int]:
    """Peak above the start, its phase, and what the forward pass left behind; bytes."""
    torch.cuda.synchronize(device)
    before, peak, moment, kept = torch.cuda.memory_allocated(device), 0, _PHASES[0], 0
    for phase, run in work:
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        here = torch.cuda.max_memory_allocated(device) - before
        if here > peak:
            peak, moment = here, phase
        if phase == "forward":
            kept = torch.cuda.memory_allocated(device) - before
    return peak, moment, kept


def _on_cpu(work, device: str) -> tuple[int, str, int]:
    """The same from the profiler's trace."""
    seen = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with quiet_profiler():
        seen.start()
    try:
        for phase, run in work:
            with record_function(f"dlnotes: {phase}"):
                run()
    finally:
        with quiet_profiler():
            seen.stop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    ends = {e["name"].removeprefix("dlnotes: "): e["ts"] + e["dur"] for e in events
            if e.get("ph") == "X" and e.get("name", "").startswith("dlnotes: ")}
    held, peak, moment, kept = 0, 0, _PHASES[0], 0
    for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"]):
        held += event["args"]["Bytes"]
        if event["ts"] <= ends["forward"]:
            kept = held
        if held > peak:
            peak, moment = held, next(phase for phase, _ in work if event["ts"] <= ends[phase])
    return peak, moment, kept


@contextmanager
def quiet_profiler() -> Iterator[None]:
    """Nothing on stderr: the profiler announces itself there, below Python, and a notebook would show it."""
    try:
        sys.stderr.flush()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except (AttributeError, OSError, ValueError):                   # a process without stderr
        yield
        return
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _state(stepper: torch.optim.Optimizer | None) -> list[torch.Tensor]:
    states = [] if stepper is None else stepper.state.values()
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of their storages, each once."""
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
    return sum(storages.values())
