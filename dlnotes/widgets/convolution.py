"""A convolution on small whole numbers: step over the outputs and see which inputs times which weights make each one.

Python ships settings only; the page makes the numbers and computes (``convolution.js``). The numbers are fixed functions of
their place, so that the shown PyTorch makes the same ones. Sizes follow :func:`dlnotes.conv.conv_size` and
:func:`dlnotes.conv.transposed_size`, costs :func:`dlnotes.conv.conv_cost`. After the figures of Dumoulin & Visin, "A guide to
convolution arithmetic for deep learning", arXiv 1603.07285, 2016.
"""

import io

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import traitlets
from PIL import Image

from .. import plots
from ..conv import conv_cost, conv_size, transposed_size
from ._base import Widget

__all__ = ["ConvArithmetic"]

_RANGES = {"size": (1, 12), "kernel": (1, 5), "stride": (1, 4), "padding": (0, 4), "dilation": (1, 3),
           "in_channels": (1, 8), "out_channels": (1, 8), "groups": (1, 8), "output_padding": (0, 3)}


class ConvArithmetic(Widget):
    """Step over a convolution, or a transposed one, with a size, cost and sum that can be checked by hand.

    Args:
        size: rows and columns of the input, 1 to 12.
        kernel: rows and columns of the kernel, 1 to 5.
        stride: 1 to 4. padding: 0 to 4. dilation: 1 to 3.
        in_channels, out_channels: 1 to 8. groups: divides both.
        transposed: the way back: each input spreads a stamp over the output.
        output_padding: of a transposed convolution; below the stride or the dilation.
        row, column: the output (of a transposed convolution the input) to start at; the middle when None.

    Raises:
        ValueError: if a number is out of range, groups do not divide the channels, or no output is left.
    """

    _name = "convolution"
    _height = 760

    size = traitlets.Int(5).tag(sync=True)
    kernel = traitlets.Int(3).tag(sync=True)
    stride = traitlets.Int(2).tag(sync=True)
    padding = traitlets.Int(1).tag(sync=True)
    dilation = traitlets.Int(1).tag(sync=True)
    in_channels = traitlets.Int(1).tag(sync=True)
    out_channels = traitlets.Int(1).tag(sync=True)
    groups = traitlets.Int(1).tag(sync=True)
    transposed = traitlets.Bool(False).tag(sync=True)
    output_padding = traitlets.Int(0).tag(sync=True)
    row = traitlets.Int(1).tag(sync=True)
    column = traitlets.Int(1).tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)      # output channel that is shown
    source = traitlets.Int(0).tag(sync=True)       # input channel that is shown, counted inside its group
    so_far = traitlets.Bool(False).tag(sync=True)

    def __init__(self, size: int = 5, kernel: int = 3, stride: int = 2, padding: int = 1, dilation: int = 1, *,
                 in_channels: int = 1, out_channels: int = 1, groups: int = 1, transposed: bool = False,
                 output_padding: int = 0, row: int | None = None, column: int | None = None) -> None:
        numbers = {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation,
                   "in_channels": in_channels, "out_channels": out_channels, "groups": groups,
                   "output_padding": output_padding}
        for name, value in numbers.items():
            low, high = _RANGES[name]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"ConvArithmetic: expected {name} to be a whole number from {low} to {high}, got {value!r}; "
                                 "small numbers are all that a picture can show")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"ConvArithmetic: expected groups to divide both channel counts, got groups={groups}, "
                             f"in_channels={in_channels}, out_channels={out_channels}; each group is a convolution of its own")
        if output_padding and not transposed:
            raise ValueError(f"ConvArithmetic: expected output_padding=0 without transposed=True, got {output_padding}; only the "
                             "way back has sizes to choose between")
        try:
            out = (transposed_size(size, kernel, stride, padding, output_padding, dilation) if transposed
                   else conv_size(size, kernel, stride, padding, dilation))
        except ValueError as error:
            raise ValueError(f"ConvArithmetic: {error}") from error
        steps = size if transposed else out
        place = {}
        for name, value in (("row", row), ("column", column)):
            place[name] = (steps - 1) // 2 if value is None else value
            if place[name] not in range(steps):
                raise ValueError(f"ConvArithmetic: expected {name} from 0 to {steps - 1}, got {value!r}; there are {steps}")
        super().__init__(**numbers, transposed=bool(transposed), **place)

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The input (1, c, h, w), the weight in PyTorch's layout, and the output (1, o, h', w') of the present state."""
        wide, narrow = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        x = torch.arange(self.in_channels * self.size**2).pow(3) % 11 % 10
        x = x.double().reshape(1, self.in_channels, self.size, self.size)                               # 1 c h w
        shape = (wide, narrow // self.groups, self.kernel, self.kernel)
        weight = (torch.arange(torch.Size(shape).numel()).pow(3) % 5 - 2).double().reshape(shape)
        if self.transposed:
            y = F.conv_transpose2d(x, weight, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        else:
            y = F.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)
        return x, weight, y                                                                             # y: 1 o h' w'

    def _words(self) -> str:
        parts = [f"kernel {self.kernel}", f"stride {self.stride}", f"padding {self.padding}", f"dilation {self.dilation}"]
        if self.in_channels > 1 or self.out_channels > 1:
            parts.append(f"{self.in_channels} to {self.out_channels} channels in {self.groups} "
                         f"group{'s' if self.groups > 1 else ''}")
        return ("transposed, " if self.transposed else "") + ", ".join(parts)

    def summary(self) -> str:
        y = self.tensors()[2]
        return f"{self.size} × {self.size} to {y.shape[-2]} × {y.shape[-1]}: {self._words()}"

    def alt(self) -> str:
        what = ("one input and the outputs that its stamp reaches" if self.transposed
                else "the window of inputs and the kernel whose products add up to one output")
        return f"A grid of input numbers, a kernel and a grid of output numbers; marked: {what}. {self.summary()}."

    def still(self) -> bytes:
        x, weight, y = self.tensors()
        at = [self.row, self.column]
        pad = self.padding
        if self.transposed:
            left, right = x[0, 0], F.pad(y[0, 0], [pad] * 4, value=float("nan"))
            marked_in = {tuple(at)}
            marked_out = {tuple(a * self.stride + t * self.dilation for a, t in zip(at, (i, j)))
                          for i in range(self.kernel) for j in range(self.kernel)}
        else:
            left, right = F.pad(x[0, 0], [pad] * 4), y[0, 0]
            marked_out = {tuple(at)}
            marked_in = {tuple(a * self.stride + t * self.dilation for a, t in zip(at, (i, j)))
                         for i in range(self.kernel) for j in range(self.kernel)}
        cost = conv_cost(self.in_channels, self.out_channels, (self.kernel,) * 2, (self.size if self.transposed else y.shape[-1],) * 2,
                         self.groups, bias=False)
        blocks = [("input", left, marked_in, "reader-soft"), ("kernel", weight[0, 0], set(), "paper"),
                  ("output", right, marked_out, "network-soft")]
        with plots.style():
            figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), width_ratios=[max(b[1].shape[-1], 2) for b in blocks])
            for axis, (name, block, marked, colour) in zip(axes, blocks):
                for i, line in enumerate(block.tolist()):
                    for j, value in enumerate(line):
                        rim = name == "input" and not self.transposed and not (pad <= i < pad + self.size and pad <= j < pad + self.size)
                        face = plots.token(colour) if (i, j) in marked else plots.token("paper")
                        axis.add_patch(plt.Rectangle((j, i), 1, 1, facecolor=face, edgecolor=plots.token("muted"), lw=0.8,
                                                     linestyle=":" if rim or value != value else "-"))
                        if len(block) > 16:             # too small to read
                            continue
                        axis.text(j + 0.5, i + 0.5, "" if value != value else f"{value:.0f}".replace("-", "−"), ha="center",
                                  va="center", fontsize=9, color=plots.token("muted" if rim else "ink"))
                axis.set(xlim=(-0.1, block.shape[1] + 0.1), ylim=(block.shape[0] + 0.1, -0.1), aspect="equal", title=name)
                axis.axis("off")
            figure.suptitle(f"{self.summary()}\n{cost.parameters} weights, {cost.multiply_adds} multiply-adds", fontsize=10)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        small = io.BytesIO()  # few colours: lines and numbers need no more
        stream.seek(0)
        Image.open(stream).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()
