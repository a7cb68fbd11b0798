"""Up to 64 residual blocks x ← λ·x + α·F(x), run forwards and backwards: how large is the gradient at every depth?

Python ships one fixed draw of weights; the page computes activations and gradients (``gradients.js``) and draws them
beside those of the plain stack, which has the same weights and no shortcut. A block is the pre-activation unit of He, Zhang,
Ren and Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, with one linear layer: F(x) = W · ReLU(norm(x)). The
scaled shortcut is that of its section 3.1. BatchNorm has no γ and β, as at the start of training.
"""

import io
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import traitlets

from .. import plots
from ._base import Widget

__all__ = ["GradientFlow"]

_DEPTHS, _WIDTH, _BATCH = 64, 24, 32
_STEP = 4096                    # numbers travel as int16 multiples of 1 / 4096
_SEED = 0


def _draw() -> list[torch.Tensor]:
    """Standard normal numbers in steps of 1/4096: weights (64, 24, 24), input (32, 24), direction of the loss (32, 24)."""
    generator = torch.Generator().manual_seed(_SEED)
    shapes = [(_DEPTHS, _WIDTH, _WIDTH), (_BATCH, _WIDTH), (_BATCH, _WIDTH)]
    return [(torch.randn(shape, generator=generator) * _STEP).round().double() / _STEP for shape in shapes]


class GradientFlow(Widget):
    """Gradients and activations by depth, for a stack of residual blocks beside the same stack without shortcuts.

    Args:
        depth: number of blocks, from 1 to 64.
        scale: λ, the factor of the shortcut, from 0 (a plain stack) to 1.2.
        gain: α, the factor of every branch, from 0 (switched off, as by a last γ of zero) to 1.5; at 1 the weights have the
            variance 2 / width of He's initialisation.
        norm: BatchNorm at the beginning of each branch.
        of: ``"x"`` for the gradient of the loss with respect to each block's input, ``"W"`` for that of its weights.

    Raises:
        ValueError: for settings outside of these.

    >>> flow = GradientFlow(depth=50, scale=0.9, gain=0.0).flow()
    >>> round(flow["gradient_x"][0] / 0.9 ** 50, 6)                 # the shortcut alone
    1.0
    """

    _name = "gradients"
    _height = 900

    draws = traitlets.Bytes().tag(sync=True)            # int16: weights, input, direction
    sizes = traitlets.List([_DEPTHS, _WIDTH, _BATCH, _STEP, _SEED]).tag(sync=True)
    depth = traitlets.Int(50, min=1, max=_DEPTHS).tag(sync=True)
    scale = traitlets.Float(1.0, min=0, max=1.2).tag(sync=True)
    gain = traitlets.Float(1.0, min=0, max=1.5).tag(sync=True)
    norm = traitlets.Bool(True).tag(sync=True)
    of = traitlets.Enum(("x", "W"), "x").tag(sync=True)
    block = traitlets.Int(0, min=0, max=_DEPTHS).tag(sync=True)     # the one that is read out

    def __init__(self, depth: int = 50, scale: float = 1.0, gain: float = 1.0, norm: bool = True, *, of: str = "x") -> None:
        if not isinstance(depth, int) or isinstance(depth, bool) or not 1 <= depth <= _DEPTHS:
            raise ValueError(f"GradientFlow: expected depth from 1 to {_DEPTHS} blocks, got {depth!r}; pass a whole number")
        for name, value, top, meaning in (("scale", scale, 1.2, "0 is the plain stack"),
                                          ("gain", gain, 1.5, "0 switches the branches off")):
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= top:
                raise ValueError(f"GradientFlow: expected {name} from 0 to {top}, got {value!r}; {meaning}")
        if not isinstance(norm, bool):
            raise ValueError(f"GradientFlow: expected norm to be True or False, got {norm!r}; it means BatchNorm")
        if of not in ("x", "W"):
            raise ValueError(f"GradientFlow: expected of to be 'x' or 'W', got {of!r}; "
                             "'x' is the gradient that travels, 'W' the one that updates the weights")
        raw = b"".join((part * _STEP).numpy().astype("<i2").tobytes() for part in _draw())
        super().__init__(draws=raw, depth=depth, scale=float(scale), gain=float(gain), norm=norm, of=of)

    def flow(self, plain: bool = False) -> dict[str, list[float]]:
        """The numbers behind the picture, by torch.autograd in float64.

        Args:
            plain: of the stack without shortcuts (λ = 0) instead of the present one.

        Returns:
            ``"forward"``, the root mean square of x_0 ... x_L; ``"gradient_x"``, the norm of the loss's gradient with respect to
            each of them; ``"gradient_W"``, that with respect to the weights of each of the L blocks.
        """
        weights, x, direction = _draw()
        weights = weights * math.sqrt(2 / _WIDTH)
        weights.requires_grad_()
        maps = [x.requires_grad_()]                                                     # each b d
        for W in weights[:self.depth]:
            x = maps[-1]
            normal = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() if self.norm else x
            maps.append((0.0 if plain else self.scale) * x + self.gain * F.relu(normal) @ W.T)
        loss = (maps[-1] * direction).sum() / direction.norm()
        *by_map, by_weight = torch.autograd.grad(loss, [*maps, weights])
        return {"forward": [m.square().mean().sqrt().item() for m in maps],
                "gradient_x": [g.norm().item() for g in by_map],
                "gradient_W": [g.norm().item() for g in by_weight[:self.depth]]}

    def _setting(self) -> str:
        norm = "with" if self.norm else "without"
        return f"{self.depth} blocks, λ = {self.scale:g}, α = {self.gain:g}, {norm} BatchNorm"

    def summary(self) -> str:
        return self._setting()

    def alt(self) -> str:
        return (f"Norm of the gradient (left) and size of the activations (right) against depth on logarithmic axes, for "
                f"{self._setting()}, beside the plain stack of the same weights.")

    def still(self) -> bytes:
        key = f"gradient_{self.of}"
        mine, plain = self.flow(), self.flow(plain=True)
        with plots.style():
            figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.9))
            for axis, name in zip(axes, (key, "forward")):
                for flow, label, color, line in ((mine, "this stack", "network", "-"), (plain, "plain, λ = 0", "muted", "--")):
                    values = np.maximum(flow[name], 1e-16)
                    start = 1 if name == "gradient_W" else 0
                    axis.plot(range(start, start + len(values)), values, line, label=label, color=plots.token(color))
                axis.set(yscale="log", xlabel="block", title="gradient" if name == key else "activations",
                         ylabel=f"norm of dL/d{self.of}" if name == key else "root mean square of x")
            axes[0].legend()
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()

    @traitlets.validate("scale", "gain")
    def _finite(self, proposal: Any) -> float:
        if not math.isfinite(proposal["value"]):
            raise traitlets.TraitError(f"GradientFlow: expected a number for {proposal['trait'].name}, got {proposal['value']}")
        return proposal["value"]
