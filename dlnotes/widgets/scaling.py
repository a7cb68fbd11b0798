"""Why attention divides by the square root of d: scores, their softmax, and how much it still listens, for any width."""

import io
import math
from typing import Any

import matplotlib.pyplot as plt
import torch
import traitlets

from .. import plots
from ._base import Widget

__all__ = ["ScalingLab"]

DIVISORS = ("one", "root", "width")
KEYS = 16


class ScalingLab(Widget):
    """One random query against sixteen random keys: choose the width of a head and what the scores are divided by.

    The page draws queries and keys from a normal distribution, computes scores and softmax, and follows the mean largest
    weight, entropy and norm of the softmax's Jacobian over 48 such queries from width 2 to 1024. The argument is footnote 4
    of Vaswani et al., "Attention Is All You Need", NeurIPS 2017.

    Args:
        width: of one head, d; a power of two from 2 to 1024.
        divisor: of the scores: ``"one"`` (none), ``"root"`` (√d) or ``"width"`` (d).

    Raises:
        ValueError: for another width or divisor.
    """

    _name = "scaling"
    _height = 720

    width = traitlets.Int(256).tag(sync=True)
    divisor = traitlets.Enum(DIVISORS, "one").tag(sync=True)
    seed = traitlets.Int(1).tag(sync=True)
    key = traitlets.Int(0).tag(sync=True)

    def __init__(self, width: int = 256, divisor: str = "one") -> None:
        if width not in [2**p for p in range(1, 11)]:
            raise ValueError(f"ScalingLab: expected width to be a power of two from 2 to 1024, got {width!r}")
        if divisor not in DIVISORS:
            raise ValueError(f"ScalingLab: expected divisor to be one of {', '.join(DIVISORS)}, got {divisor!r}")
        super().__init__(width=width, divisor=divisor)

    def summary(self) -> str:
        return f"d = {self.width}, scores divided by {self._divided()}"

    def _divided(self) -> str:
        return {"one": "nothing", "root": "√d", "width": "d"}[self.divisor]

    def alt(self) -> str:
        return (f"Left: the softmax weights of one random query over {KEYS} random keys of width {self.width}, scores divided by "
                f"{self._divided()}. Right: the norm of the softmax's Jacobian against the width: undivided scores let it fall, "
                f"scores divided by √d keep it level.")

    def still(self) -> bytes:
        generator = torch.Generator().manual_seed(self.seed)
        widths = [2**p for p in range(1, 11)]
        curves: dict[str, list[float]] = {name: [] for name in DIVISORS}
        shown: Any = None
        for d in widths:
            q, k = torch.randn(48, 1, d, generator=generator), torch.randn(48, KEYS, d, generator=generator)
            scores = (q @ k.mT)[:, 0]                                                    # rows keys
            for name in DIVISORS:
                weights = (scores / {"one": 1, "root": math.sqrt(d), "width": d}[name]).softmax(-1)
                jacobian = torch.diag_embed(weights) - weights[:, :, None] * weights[:, None, :]
                curves[name].append(jacobian.flatten(1).norm(dim=-1).mean().item())
                if d == self.width and name == self.divisor:
                    shown = weights[0]                                                   # keys
        with plots.style():
            figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.8))
            left.bar(range(KEYS), shown.tolist(), color=plots.token("network"))
            left.set(title=f"Weights, d = {self.width}, divided by {self._divided()}", xlabel="key", ylabel="weight", ylim=(0, 1))
            for name, text in zip(DIVISORS, ("undivided", "divided by √d", "divided by d")):
                right.plot(widths, curves[name], label=text)
            right.axvline(self.width, color=plots.token("reader"), lw=1)
            right.set(title="How far weights move with scores", xlabel="width d", ylabel="mean Jacobian norm", xscale="log")
            right.legend(fontsize=8)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()
