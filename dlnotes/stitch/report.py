"""What a stitched network costs beside its baseline: parameters, multiply-adds, memory of a training step, latency.

The first three are counted, and nothing is run for them but one pass. Latency is measured here and now: the two networks
take turns, so that whatever else the machine does slows both, and the median of the runs is taken.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from dlnotes._check import check_integers
from dlnotes.conv.cost import count_parameters, multiply_adds

from .tables import draw

__all__ = ["Cost", "Report", "report"]


@dataclass(frozen=True)
class Cost:
    """What one network costs.

    Attributes:
        parameters: numbers that it learns.
        multiply_adds: of one forward pass of the input; attention and convolutions, no norms and activations.
        memory: bytes of one training step (forward, backward, plain SGD) at its peak, predicted.
        latency: seconds of one forward pass in evaluation mode; nan where it was not measured.
    """

    parameters: int
    multiply_adds: int
    memory: int
    latency: float


@dataclass(frozen=True)
class Report:
    """Two networks side by side; ``print`` shows the table.

    Attributes:
        baseline, stitched: a :class:`Cost` each.
        notes: what the numbers are for.
    """

    baseline: Cost
    stitched: Cost
    notes: tuple[str, ...] = ()

    def ratios(self) -> dict[str, float]:
        """Stitched over baseline, by quantity; nan where the baseline has none."""
        def ratio(new: float, old: float) -> float:
            return new / old if old else float("nan")

        return {name: ratio(getattr(self.stitched, name), getattr(self.baseline, name)) for name in _WORDS}

    def table(self, format: str = "text") -> str:
        """The table as ``"text"``, ``"markdown"`` or ``"latex"``."""
        ratios = self.ratios()
        rows = [[words, *(show(getattr(cost, name)) for cost in (self.baseline, self.stitched)), f"{ratios[name]:.3f}"]
                for name, (words, show) in _WORDS.items() if ratios[name] == ratios[name]]
        return draw(["", "baseline", "stitched", "ratio"], rows, format, self.notes)

    def __str__(self) -> str:
        return self.table()

    def _repr_markdown_(self) -> str:
        return self.table("markdown")


_WORDS = {"parameters": ("parameters", "{:,}".format), "multiply_adds": ("multiply-adds", "{:,}".format),
          "memory": ("memory of a training step, MiB", lambda n: f"{n / 2**20:.2f}"),
          "latency": ("latency, ms", lambda s: f"{1e3 * s:.2f}")}


def report(baseline: nn.Module, stitched: nn.Module, inputs: torch.Tensor, runs: int = 20) -> Report:
    """Compare what two networks cost for one input.

    Args:
        baseline, stitched: two networks on one device; modes and weights are left as they are.
        inputs: a batch (b, ...) on their device.
        runs: timed forward passes of each, after two that are not timed; 0 leaves latency out.

    Returns:
        A :class:`Report`.

    Raises:
        TypeError, ValueError: if an argument is none of these, or the device differs.

    >>> from dlnotes.models import create
    >>> from dlnotes.stitch import insert
    >>> baseline = create("unet", width=8, depth=2)
    >>> stitched = insert(baseline, "encoder.*", "eca")
    >>> bill = report(baseline, stitched, torch.zeros(1, 3, 64, 64), runs=0)
    >>> bill.stitched.parameters - bill.baseline.parameters         # two levels, three weights each
    6
    """
    for network in (baseline, stitched):
        if not isinstance(network, nn.Module):
            raise TypeError(f"report: expected two torch.nn.Modules, got {type(network).__name__}; pass the networks first")
    if not isinstance(inputs, torch.Tensor) or inputs.ndim < 2:
        raise TypeError(f"report: expected a batch of inputs as a tensor, got {type(inputs).__name__}; "
                        "torch.zeros(1, 3, 64, 64) is one")
    check_integers("report", at_least=0, runs=runs)
    seconds = _latencies((baseline, stitched), inputs, runs) if runs else (float("nan"),) * 2
    costs = [Cost(count_parameters(network), multiply_adds(network, inputs), _memory(network, inputs), latency)
             for network, latency in zip((baseline, stitched), seconds)]
    notes = (f"for an input {tuple(inputs.shape)}",
             *([f"latency: median of {runs} runs in turns on {inputs.device}"] if runs else []))
    return Report(*costs, notes)


def _memory(network: nn.Module, inputs: torch.Tensor) -> int:
    from dlnotes.memory import predict
    return predict(network, tuple(inputs.shape[1:]), len(inputs), inputs.dtype, device=inputs.device.type).total


@torch.no_grad()
def _latencies(networks: Sequence[nn.Module], inputs: torch.Tensor, runs: int) -> list[float]:
    """Median seconds of each network, the networks taking turns."""
    modes = [{module: module.training for module in network.modules()} for network in networks]
    seconds: list[list[float]] = [[] for _ in networks]
    wait = torch.cuda.synchronize if inputs.device.type == "cuda" else lambda: None
    try:
        for network in networks:
            network.eval()
        for run in range(-2, runs):
            for network, times in zip(networks, seconds):
                wait()
                start = time.perf_counter()
                network(inputs)
                wait()
                if run >= 0:
                    times.append(time.perf_counter() - start)
    finally:
        for mode in modes:
            for module, training in mode.items():
                module.training = training
    return [median(times) for times in seconds]
