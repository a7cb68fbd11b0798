"""Add waves, one by one, until they match a target: a square wave, a row of a photograph, a field of bricks.

The page adds the waves and transforms the sum itself (``waves.js``); its spectrum is ``torch.fft``'s, scaled so that a bar
is the amplitude of a wave. The targets are small and are made in Python.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from .. import plots
from ._base import Widget

__all__ = ["TARGETS", "WaveBuilder"]

_N = {1: 64, 2: 32}
_PHOTO = "torch.as_tensor(transform.downscale_local_mean(data.{} / 255, ({}, {})))"
TARGETS: dict[int, dict[str, str]] = {
    1: {"square": "torch.where(torch.arange(64) < 32, 1.0, -1.0)",
        "sawtooth": "(torch.arange(64.0) - 31.5) / 32",
        "row of the camera man": _PHOTO.format("camera()", 8, 8) + "[20].float()"},
    2: {"two fields of stripes": "(0.6 * torch.cos(2 * math.pi * (2 * y + 5 * x) / 32) "
                                 "+ 0.4 * torch.cos(2 * math.pi * (3 * y - 4 * x) / 32 + 1.0))",
        "upright edge": "((x >= 8) & (x < 24)).float().expand(32, 32)",
        "diagonal edge": "(y > x).float()",
        "bricks": _PHOTO.format("brick()", 16, 16) + ".float()"},
}
"""For signals of 64 samples (1) and pictures of 32 × 32 (2): the PyTorch that makes each target."""

_START = {1: [[1, 1.274, -1.522], [3, 0.426, -1.424]], 2: [[2, 5, 0.6, 0.0], [0, 4, 0.4, 0.0]]}
_PARTS = {1: "(k, amplitude, phase)", 2: "(ky, kx, amplitude, phase)"}


def _target(dimensions: int, name: str) -> torch.Tensor:
    from skimage import data, transform

    n = _N[dimensions]
    names = {"torch": torch, "math": math, "data": data, "transform": transform,
             "y": torch.arange(float(n))[:, None], "x": torch.arange(float(n))}
    return eval(TARGETS[dimensions][name], names)


class WaveBuilder(Widget):
    """Build a signal or a picture from cosine waves, and watch the sum, its spectrum and the error that is left.

    Args:
        dimensions: 1, a signal of 64 samples, or 2, a picture of 32 × 32.
        target: a key of ``TARGETS[dimensions]``; default the first.
        waves: (k, amplitude, phase) each, or in two dimensions (ky, kx, amplitude, phase): k from 0 to 32 cycles; ky and kx
            from -16 to 15; amplitudes from 0 to 1.5; phases from -π to π. One to eight.

    Raises:
        ValueError: for arguments outside of these.
    """

    _name = "waves"
    _height = 820

    dimensions = traitlets.Int(1).tag(sync=True)
    goals = traitlets.List([0, 0]).tag(sync=True)  # index of the target for each dimension
    waves1 = traitlets.List().tag(sync=True)
    waves2 = traitlets.List().tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    targets1 = traitlets.Bytes().tag(sync=True)  # float32, one target after the other
    targets2 = traitlets.Bytes().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    sources = traitlets.List().tag(sync=True)

    def __init__(self, dimensions: int = 1, target: str | None = None, waves: Sequence[Sequence[float]] | None = None) -> None:
        if dimensions not in (1, 2):
            raise ValueError(f"WaveBuilder: expected dimensions 1 or 2, got {dimensions!r}; 1 is a signal, 2 a picture")
        offered = list(TARGETS[dimensions])
        target = offered[0] if target is None else target
        if target not in offered:
            raise ValueError(f"WaveBuilder: expected target to be one of {', '.join(offered)}, got {target!r}; "
                             f"the other targets belong to dimensions={3 - dimensions}")
        built = {d: [list(wave) for wave in _START[d]] for d in (1, 2)}
        if waves is not None:
            built[dimensions] = _checked(dimensions, waves)
        goals = [0, 0]
        goals[dimensions - 1] = offered.index(target)
        raw = {d: b"".join(_target(d, name).numpy().astype("<f4").tobytes() for name in TARGETS[d]) for d in (1, 2)}
        super().__init__(dimensions=dimensions, goals=goals, waves1=built[1], waves2=built[2],
                         selected=len(built[dimensions]) - 1, targets1=raw[1], targets2=raw[2],
                         names=[list(TARGETS[d]) for d in (1, 2)], sources=[list(TARGETS[d].values()) for d in (1, 2)])

    def target(self) -> torch.Tensor:
        """The present target: (64,) or (32, 32) float64."""
        return _target(self.dimensions, self._goal()).double()

    def total(self) -> torch.Tensor:
        """The sum of the present waves: (64,) or (32, 32) float64."""
        n = _N[self.dimensions]
        m = torch.arange(n, dtype=torch.float64)
        if self.dimensions == 1:
            return sum(a * torch.cos(2 * math.pi * k * m / n + p) for k, a, p in self.waves1)
        return sum(a * torch.cos(2 * math.pi * (ky * m[:, None] + kx * m) / n + p) for ky, kx, a, p in self.waves2)

    def error(self) -> float:
        """Norm of what is missing, divided by the norm of the target."""
        return float((self.target() - self.total()).norm() / self.target().norm())

    def _goal(self) -> str:
        return self.names[self.dimensions - 1][self.goals[self.dimensions - 1]]

    def _count(self) -> str:
        count = len(self.waves1 if self.dimensions == 1 else self.waves2)
        return f"{count} wave{'s' * (count > 1)}"

    def summary(self) -> str:
        return f"{self._count()} for {self._goal()}, error {self.error():.0%}"

    def alt(self) -> str:
        if self.dimensions == 1:
            return (f"Above: the sum of {self._count()} and the target, {self._goal()}. Below: for each number of cycles the "
                    "amplitude in the sum and in the target.")
        return (f"The sum of {self._count()}, the target ({self._goal()}), what is missing, and the amplitudes of the sum and "
                "of the target for each pair of frequencies.")

    def still(self) -> bytes:
        y, t = self.total().numpy(), self.target().numpy()
        with plots.style():
            if self.dimensions == 1:
                figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 4.0), height_ratios=(1.5, 1))
                top.plot(t, "--", color=plots.token("ink"), label=self._goal())
                top.plot(y, color=plots.token("network"), lw=2, label=f"sum of {self._count()}")
                top.set(xlabel="sample m", ylabel="value")
                top.legend(loc="lower left")
                k = np.arange(33)
                for values, colour, width in ((t, "line", 0.9), (y, "network", 0.4)):
                    amplitude = np.abs(np.fft.rfft(values)) * 2 / 64
                    amplitude[[0, 32]] /= 2
                    bottom.bar(k, amplitude, color=plots.token(colour), width=width)
                bottom.set(xlabel="frequency k, cycles", ylabel="amplitude")
            else:
                figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.5))
                for axis, values, title in zip(axes, (y, t, t - y), ("sum", "target", "missing")):
                    axis.imshow(values, cmap=plots.DIVERGING, vmin=-1, vmax=1)
                    axis.set(title=title, xticks=[], yticks=[])
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()


def _checked(dimensions: int, waves: Any) -> list[list[float]]:
    waves = [list(wave) for wave in waves]
    if not 1 <= len(waves) <= 8:
        raise ValueError(f"WaveBuilder: expected one to eight waves, got {len(waves)}; each is {_PARTS[dimensions]}")
    for i, wave in enumerate(waves):
        if len(wave) != dimensions + 2:
            raise ValueError(f"WaveBuilder: expected waves[{i}] to be {_PARTS[dimensions]}, got {wave}; "
                             f"dimensions is {dimensions}")
        *k, a, p = wave
        low, high = (0, 32) if dimensions == 1 else (-16, 15)
        if any(isinstance(f, bool) or f != int(f) or not low <= f <= high for f in k):
            raise ValueError(f"WaveBuilder: expected waves[{i}] with whole numbers of cycles from {low} to {high}, got {k}; "
                             "a wave of other frequencies does not fit into the picture")
        if not 0 <= a <= 1.5 or not -3.15 <= p <= 3.15:
            raise ValueError(f"WaveBuilder: expected waves[{i}] with an amplitude from 0 to 1.5 and a phase from -π to π, got "
                             f"{a} and {p}; turn a negative amplitude into a phase of π")
    return [[*map(int, wave[:-2]), float(wave[-2]), float(wave[-1])] for wave in waves]
