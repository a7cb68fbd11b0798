"""A few pixels and the larger picture that is made of them: which source pixels, with which weights, make each output pixel.

Python ships one small grid of brightness values; the page resizes it (``upsampling.js``) as ``F.interpolate`` and
``F.conv_transpose2d`` do, draws where each output pixel looks, and lists the weights.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import traitlets

from .. import plots
from ..upsample import tent
from ._base import Widget

__all__ = ["GRIDS", "Upsampling", "grid_values"]

GRIDS = ("eye", "edge", "dot", "ramp", "flat")
"""Sources that the page offers: a cat's eye (from scikit-image's photograph), and four grids of 6 × 6 numbers."""

_MODES = ("nearest", "bilinear", "bicubic", "transposed")
_KERNELS = ("ones", "tent", "mixed")
_LEAST, _MOST = 2, 16           # pixels along a side of the source
_LARGEST = 48                   # pixels along a side of the output


def grid_values(name: str) -> torch.Tensor:
    """One of the sources, by name: (h, w) float32 in [0, 1].

    Raises:
        ValueError: if there is no source of that name.

    >>> grid_values("ramp")[0].tolist()
    [0.0, 0.20000000298023224, 0.4000000059604645, 0.6000000238418579, 0.800000011920929, 1.0]
    """
    if name not in GRIDS:
        raise ValueError(f"grid_values: expected one of {', '.join(GRIDS)}, got {name!r}; pass your own values as a tensor (h, w)")
    if name == "eye":
        from skimage import color, data

        crop = torch.from_numpy(color.rgb2gray(data.chelsea()[82:142, 150:210])).float()           # 60 60
        small = F.avg_pool2d(crop[None, None], 5)[0, 0]                                             # 12 12
        return (small * 50).round() / 50
    x = torch.zeros(6, 6)
    if name == "edge":
        x[:, 3:] = 1
    elif name == "dot":
        x[2, 2] = 1
    elif name == "ramp":
        x += torch.arange(6) / 5
    else:
        x += 0.5
    return x


def _values(x: Any) -> torch.Tensor:
    """(h, w) float32 in [0, 1], checked."""
    x = torch.as_tensor(np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x)).float()
    if x.ndim != 2 or not all(_LEAST <= side <= _MOST for side in x.shape):
        raise ValueError(f"Upsampling: expected a grid (h, w) with sides from {_LEAST} to {_MOST}, got {tuple(x.shape)}; "
                         f"crop it, so that single pixels can be seen")
    if not bool(torch.isfinite(x).all()) or x.min() < 0 or x.max() > 1:
        raise ValueError(f"Upsampling: expected values in [0, 1], got from {x.min():.4g} to {x.max():.4g}; "
                         f"rescale with (x - x.min()) / (x.max() - x.min())")
    return x


class Upsampling(Widget):
    """Enlarge a few pixels, and see which of them make each pixel of the result.

    Args:
        source: one of ``GRIDS``, or values of your own (h, w) in [0, 1] with sides from 2 to 16.
        mode: ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or ``"transposed"`` (a transposed convolution).
        align_corners: of bilinear and bicubic.
        size: side of the output in pixels, 1 to 48; the same for rows and columns. Not together with ``scale_factor``.
        scale_factor: 0.5 to 4 in steps of 0.1; 2 when neither is given.
        kernel_size, stride, padding: of the transposed convolution: 1 to 6, 1 to 4, 0 to ``kernel_size - 1``.
        kernel: its weights: ``"ones"``, ``"tent"`` (bilinear where the sizes fit) or ``"mixed"`` (signs alternate).
        focus: the output pixel (row, column) that is explained; default one in the middle.

    Raises:
        ValueError: for settings outside of these.
    """

    _name = "upsampling"
    _height = 880

    values = traitlets.List().tag(sync=True)                # h * w numbers, edited in the page
    shape = traitlets.List().tag(sync=True)                 # [h, w]
    source = traitlets.Unicode().tag(sync=True)             # name, or "" for values of one's own
    grids = traitlets.Dict().tag(sync=True)                 # name -> {"shape", "values"}
    mode = traitlets.Enum(_MODES, "bilinear").tag(sync=True)
    align_corners = traitlets.Bool(False).tag(sync=True)
    ask = traitlets.Enum(("scale_factor", "size"), "scale_factor").tag(sync=True)
    size = traitlets.Int(24).tag(sync=True)
    scale_factor = traitlets.Float(2.0).tag(sync=True)
    kernel = traitlets.Enum(_KERNELS, "ones").tag(sync=True)
    kernel_size = traitlets.Int(3).tag(sync=True)
    stride = traitlets.Int(2).tag(sync=True)
    padding = traitlets.Int(0).tag(sync=True)
    focus = traitlets.List().tag(sync=True)                 # [row, column] of the output

    def __init__(self, source: str | torch.Tensor | np.ndarray | Sequence = "eye", mode: str = "bilinear",
                 align_corners: bool = False, *, size: int | None = None, scale_factor: float | None = None,
                 kernel_size: int = 3, stride: int = 2, padding: int = 0, kernel: str = "ones",
                 focus: tuple[int, int] | None = None) -> None:
        grids = {name: grid_values(name) for name in GRIDS}
        if isinstance(source, str) and source not in grids:
            raise ValueError(f"Upsampling: expected source to be one of {', '.join(GRIDS)}, got {source!r}; "
                             "pass your own values as a tensor (h, w)")
        x = grids[source] if isinstance(source, str) else _values(source)
        for name, value, known in (("mode", mode, _MODES), ("kernel", kernel, _KERNELS)):
            if value not in known:
                raise ValueError(f"Upsampling: expected {name} to be one of {', '.join(known)}, got {value!r}; spell it in lower case")
        if size is not None and scale_factor is not None:
            raise ValueError(f"Upsampling: expected size or scale_factor, got size={size} and scale_factor={scale_factor}; "
                             "pass one of them")
        if align_corners and mode in ("nearest", "transposed"):
            raise ValueError(f"Upsampling: expected align_corners only with 'bilinear' or 'bicubic', got mode={mode!r}; leave it out")
        usual = min(2 * max(x.shape), _LARGEST)
        limits = {"size": (usual if size is None else size, 1, _LARGEST), "kernel_size": (kernel_size, 1, 6),
                  "stride": (stride, 1, 4), "padding": (padding, 0, kernel_size - 1),
                  "scale_factor": (2.0 if scale_factor is None else scale_factor, 0.5, 4)}
        for name, (value, low, high) in limits.items():
            if isinstance(value, bool) or not low <= value <= high or (name != "scale_factor" and int(value) != value):
                raise ValueError(f"Upsampling: expected {name} from {low} to {high}, got {value!r}; "
                                 "more would be too many pixels to look at one by one")
        super().__init__(
            values=_rounded(x), shape=list(x.shape), source=source if isinstance(source, str) else "",
            grids={name: {"shape": list(v.shape), "values": _rounded(v)} for name, v in grids.items()}, mode=mode,
            align_corners=bool(align_corners), ask="scale_factor" if size is None else "size", size=int(limits["size"][0]),
            scale_factor=float(limits["scale_factor"][0]), kernel=kernel, kernel_size=kernel_size, stride=stride, padding=padding)
        h, w = self.output().shape
        focus = (h // 2, w // 2) if focus is None else focus
        if len(focus) != 2 or not (0 <= focus[0] < h and 0 <= focus[1] < w):
            raise ValueError(f"Upsampling: expected focus inside of the output {h} × {w}, got {focus}; rows count from the top")
        self.focus = list(focus)

    def kernel_weights(self) -> torch.Tensor:
        """(k, k) weights of the transposed convolution."""
        k = self.kernel_size
        if self.kernel == "ones":
            return torch.ones(k, k)
        if self.kernel == "tent":
            line = tent((torch.arange(k) - (k - 1) / 2) / ((k + 1) // 2))            # k
            return torch.outer(line, line)
        line = torch.tensor([1.0, -0.5] * 3)[:k]                                        # k
        return torch.outer(line, line)

    def output(self) -> torch.Tensor:
        """The enlarged grid of the present state, computed by PyTorch: (H, W)."""
        x = torch.tensor(self.values).reshape(1, 1, *self.shape)                        # 1 1 h w
        if self.mode == "transposed":
            return F.conv_transpose2d(x, self.kernel_weights()[None, None], stride=self.stride, padding=self.padding)[0, 0]
        corners = None if self.mode == "nearest" else self.align_corners
        wanted = {"size": (self.size,) * 2} if self.ask == "size" else {"scale_factor": self.scale_factor}
        return F.interpolate(x, **wanted, mode=self.mode, align_corners=corners)[0, 0]  # H W

    def _how(self) -> str:
        if self.mode == "transposed":
            return f"transposed convolution, kernel {self.kernel_size}, stride {self.stride}, padding {self.padding}"
        corners = f", align_corners={self.align_corners}" if self.mode != "nearest" else ""
        return f"{self.mode}{corners}"

    def summary(self) -> str:
        h, w = self.shape
        out = self.output().shape
        return f"{self.source or 'own values'}, {h} × {w} to {out[0]} × {out[1]}, {self._how()}"

    def alt(self) -> str:
        h, w = self.shape
        out = self.output().shape
        return (f"Left: {h} × {w} source pixels ({self.source or 'own values'}). Right: the {out[0]} × {out[1]} pixels made of "
                f"them by {self._how()}.")

    def still(self) -> bytes:
        x, y = torch.tensor(self.values).reshape(self.shape), self.output()
        low, high = min(0.0, y.min().item()), max(1.0, y.max().item())
        with plots.style():
            figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.2))
            for axis, picture, title in zip(axes, (x, y), (f"Source {tuple(x.shape)}", f"Output {tuple(y.shape)}")):
                axis.imshow(picture.numpy(), cmap=plt.get_cmap("gray", 64), vmin=low, vmax=high)
                axis.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")
            i, j = self.focus
            axes[1].add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, color=plots.token("reader"), lw=2))
            figure.suptitle(self._how(), fontsize=11)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=100)
            plt.close(figure)
        return file.getvalue()


def _rounded(x: torch.Tensor) -> list[float]:
    return [round(v, 4) for v in x.flatten().tolist()]
