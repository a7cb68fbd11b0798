"""What one output of a stack of layers sees: the theoretical field on a picture, and the effective one inside it.

Python ships a picture and a list of layers; the page does the arithmetic of :func:`dlnotes.conv.receptive_fields` and
convolves kernels of ones (``receptive.js``). Every layer counts as a convolution with one channel, pooling too, without
anything between. With uniform weights the gradient is the number of paths from a pixel to the output. With independent
random weights of mean zero it is random, and its root mean square is the square root of that number. Sources: Araujo, Norris,
Sim, Distill 2019; Luo, Li, Urtasun, Zemel, NeurIPS 2016, section 2.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import nn

from .. import plots
from ..conv import Layer, conv_size, effective_size, receptive_field
from ..conv.receptive_field import _flat
from ._base import Widget
from .spectrum import photograph

__all__ = ["PRESETS", "ReceptiveField"]

_C, _P = (3, 1, 1, 1), (2, 2, 1, 0)
PRESETS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "LeNet-5": ((5, 1, 1, 0), _P, (5, 1, 1, 0), _P, (5, 1, 1, 0)),
    "VGG-16, four stages": (_C, _C, _P, _C, _C, _P, _C, _C, _C, _P, _C, _C, _C, _P),
    "ResNet-18, stem and first stage": ((7, 2, 1, 3), (3, 2, 1, 1), _C, _C, _C, _C),
    "ten 3×3": (_C,) * 10,
    "dilated 1, 2, 4, 8": ((3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 4, 4), (3, 1, 8, 8)),
    "dilated 2, 2, 2, 2": ((3, 1, 2, 2),) * 4,
}
"""Stacks to start from: (kernel, stride, dilation, padding) of each layer."""

_SIDE = 224
_LIMITS = {"kernel": (1, 15), "stride": (1, 4), "dilation": (1, 16), "padding": (0, 15)}
_MOST = 24
_WIDEST = 2000


class ReceptiveField(Widget):
    """Edit a stack of layers and see what its outputs see.

    Args:
        layers: a name of ``PRESETS``; or tuples (kernel, stride, dilation, padding), of which the last may be left out;
            or :class:`dlnotes.conv.Layer` objects; or modules as :func:`dlnotes.conv.receptive_fields` takes them. At most 24.
        weights: ``"random"`` (root mean square over independent weights of mean zero) or ``"uniform"`` (all equal).

    Raises:
        ValueError: for an unknown preset, numbers out of range, too many layers, or a field wider than 2,000 pixels.
        TypeError: for modules with no receptive field of their own.
    """

    _name = "receptive"
    _height = 980

    picture = traitlets.Bytes().tag(sync=True)
    side = traitlets.Int(_SIDE).tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)
    limits = traitlets.Dict().tag(sync=True)
    layers = traitlets.List().tag(sync=True)
    weights = traitlets.Enum(("random", "uniform"), "random").tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)
    column = traitlets.Int(0).tag(sync=True)

    def __init__(self, layers: str | Sequence | nn.Module = "VGG-16, four stages", weights: str = "random") -> None:
        rows = [list(row) for row in _rows(layers)]
        if weights not in ("random", "uniform"):
            raise ValueError(f"ReceptiveField: expected weights to be random or uniform, got {weights!r}; spell it in lower case")
        grey = np.round(photograph("astronaut")[:_SIDE, 16:16 + _SIDE] * 255).astype(np.uint8)          # h w
        out = _output(rows)
        super().__init__(picture=grey.tobytes(), presets={name: [list(row) for row in stack] for name, stack in PRESETS.items()},
                         limits={name: list(pair) for name, pair in _LIMITS.items()}, layers=rows, weights=weights,
                         row=(out - 1) // 2 if out else 0, column=(out - 1) // 2 if out else 0)

    def field(self) -> torch.Tensor:
        """The effective field of the present state, computed by torch: (size, size), the largest value 1."""
        chain = nn.Sequential(*(nn.Conv2d(1, 1, k, s, dilation=d, bias=False) for k, s, d, _ in self.layers)).double()
        for conv in chain:
            nn.init.constant_(conv.weight, 1 / conv.weight.numel())
        side = self._theory().size
        x = torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            paths, = torch.autograd.grad(chain(x).sum(), x)                                             # 1 1 size size
        paths = paths[0, 0] / paths.max()
        return paths.sqrt() if self.weights == "random" else paths

    def _theory(self):
        return receptive_field([Layer(k, s, p, d) for k, s, d, p in self.layers])

    def summary(self) -> str:
        field = self._theory()
        return f"{len(self.layers)} layers, field {field.size}, jump {field.jump}, {self.weights} weights"

    def alt(self) -> str:
        field = self._theory()
        return (f"Left: a photograph with the square of {field.size} × {field.size} pixels that one output can see, lit by how much "
                f"each pixel matters. Right: the size of the gradient inside that square, {self.weights} weights, largest in the "
                "middle.")

    def still(self) -> bytes:
        theory, heat = self._theory(), self.field()
        picture = np.frombuffer(self.picture, np.uint8).reshape(self.side, self.side) / 255
        top, left = (theory.start + at * theory.jump for at in (self.row, self.column))
        light = np.full(picture.shape, 0.35)
        rows, columns = (slice(max(at, 0), min(at + theory.size, self.side)) for at in (top, left))
        part = heat.numpy()[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left]
        light[rows, columns] = 0.35 + 0.65 * part
        with plots.style():
            figure, (first, second) = plt.subplots(1, 2, figsize=(7, 3.5))
            first.imshow(picture * light, cmap=plt.get_cmap("gray", 48), vmin=0, vmax=1)
            first.add_patch(plt.Rectangle((left - 0.5, top - 0.5), theory.size, theory.size, fill=False, color="white", lw=3.2))
            first.add_patch(plt.Rectangle((left - 0.5, top - 0.5), theory.size, theory.size, fill=False,
                                          color=plots.token("reader"), lw=1.6))
            first.set(title=f"field {theory.size} × {theory.size} pixels, jump {theory.jump}", xlim=(-0.5, self.side - 0.5),
                      ylim=(self.side - 0.5, -0.5), xlabel="pixels")
            drawn = second.imshow(heat.numpy(), cmap=plt.get_cmap(plots.MAGNITUDE, 32), vmin=0, vmax=1)
            second.set(title=f"effective: {effective_size(heat):.1f} pixels on a side", xlabel="pixels")
            figure.colorbar(drawn, ax=second, shrink=0.8, label="gradient / largest")
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=75)
            plt.close(figure)
        small = io.BytesIO()
        stream.seek(0)
        Image.open(stream).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()


def _rows(layers: Any) -> list[tuple[int, int, int, int]]:
    owner = "ReceptiveField"
    if isinstance(layers, str):
        if layers not in PRESETS:
            raise ValueError(f"{owner}: expected one of {', '.join(PRESETS)}, got {layers!r}; or pass (kernel, stride, dilation, "
                             "padding) for each layer")
        return list(PRESETS[layers])
    layers = [layers] if isinstance(layers, (nn.Module, Layer)) else list(layers)
    rows = []
    for layer in layers:
        if isinstance(layer, (nn.Module, Layer)):
            rows += [(a.kernel_size, a.stride, a.dilation, a.padding) for a in _flat([layer], -1)]
            continue
        numbers = tuple(layer) if isinstance(layer, Sequence) else (layer,)
        if not 1 <= len(numbers) <= 4:
            raise ValueError(f"{owner}: expected (kernel, stride, dilation, padding) for a layer, got {layer!r}; the last may be "
                             "left out")
        rows.append(numbers + (1, 1, 0)[len(numbers) - 1:])
    if not 1 <= len(rows) <= _MOST:
        raise ValueError(f"{owner}: expected 1 to {_MOST} layers, got {len(rows)}; take the part of the network that you ask about")
    for i, row in enumerate(rows):
        for (name, (low, high)), value in zip(_LIMITS.items(), row):
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{owner}: expected {name} of layer {i} to be a whole number from {low} to {high}, got {value!r}; "
                                 "see dlnotes.conv.receptive_fields for others")
    size = receptive_field([Layer(k, s, p, d) for k, s, d, p in rows]).size
    if size > _WIDEST:
        raise ValueError(f"{owner}: expected a field of at most {_WIDEST} pixels, got {size}; take fewer strides")
    return rows


def _output(rows: Sequence[Sequence[int]]) -> int:
    """Outputs along one side of the picture; 0 if the picture is too small."""
    size = _SIDE
    for k, s, d, p in rows:
        try:
            size = conv_size(size, k, s, p, d)
        except ValueError:
            return 0
    return size
