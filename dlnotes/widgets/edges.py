"""A derivative filter at work: choose the filter and what to show, add noise, blur first, and read the sum at any pixel.

Python ships small grey pictures and one field of noise; the page filters them itself (``edges.js``) as
:mod:`dlnotes.edges` does: correlation, one pixel of replicated border, derivatives per pixel.
"""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from PIL import Image

from .. import plots
from ..edges import gaussian_blur, gradient_direction, gradient_magnitude, image_gradients, laplacian
from ._pictures import PictureWidget, collect
from .spectrum import PHOTOGRAPHS

__all__ = ["EdgeExplorer"]

_FILTERS = ("sobel", "scharr", "prewitt", "laplacian")
_QUANTITIES = ("x", "y", "magnitude", "direction")
_STEP = 8192  # noise is shipped in units of 1 / 8192 standard deviations


class EdgeExplorer(PictureWidget):
    """Look at what a 3 × 3 derivative filter answers, pixel by pixel.

    Args:
        images: names of photographs and patterns as for :class:`~dlnotes.widgets.rank.RankExplorer`, or a mapping from a
            name to a grey picture (h, w) in [0, 1] or uint8, all of one size, sides from 3 to 256.
            Default: camera, coins and a disc, 128 × 128.
        filter: ``"sobel"``, ``"scharr"``, ``"prewitt"`` or ``"laplacian"`` (four neighbours).
        quantity: ``"x"``, ``"y"``, ``"magnitude"`` or ``"direction"``; the Laplacian has only its response.
        threshold: in grey levels per pixel; what is not above it is greyed out. 0 shows everything.
        noise: standard deviation of added Gaussian noise, 0 to 0.3.
        blur: standard deviation of a Gaussian blur before the filter, in pixels, 0 to 4.
        picture: name of the picture that is shown first.

    Raises:
        ValueError: for pictures of other shapes or values, and for settings outside of these.
        TypeError: for pictures that are not real.

    With a kernel, other photographs of scikit-image can be added to pictures of 128 × 128.
    """

    _name = "edges"
    _height = 900

    draws = traitlets.Bytes().tag(sync=True)  # standard normal, int16 in units of 1 / 8192
    size = traitlets.List([128, 128]).tag(sync=True)
    filter = traitlets.Enum(_FILTERS, "sobel").tag(sync=True)
    quantity = traitlets.Enum(_QUANTITIES, "x").tag(sync=True)
    threshold = traitlets.Float(0.0).tag(sync=True)
    noise = traitlets.Float(0.0).tag(sync=True)
    blur = traitlets.Float(0.0).tag(sync=True)
    spot = traitlets.List([64, 64]).tag(sync=True)

    def __init__(self, images: Mapping[str, Any] | list[str] | str | None = None, filter: str = "sobel",
                 quantity: str = "x", *, threshold: float = 0.0, noise: float = 0.0, blur: float = 0.0,
                 picture: str | None = None) -> None:
        images = ["camera", "coins", "disc"] if images is None else images
        grey, sources = collect("EdgeExplorer", images)
        names, shapes = list(grey), {x.shape for x in grey.values()}
        if len(shapes) > 1 or min(min(shapes)) < 3:
            raise ValueError(f"EdgeExplorer: expected pictures of one size with sides of at least 3, got {sorted(shapes)}; "
                             "crop or resize them")
        picture = names[0] if picture is None else picture
        for name, value, known in (("filter", filter, _FILTERS), ("quantity", quantity, _QUANTITIES), ("picture", picture, names)):
            if value not in known:
                raise ValueError(f"EdgeExplorer: expected {name} to be one of {', '.join(known)}, got {value!r}; "
                                 "spell it as in the list")
        for name, value, most in (("threshold", threshold, 1.0), ("noise", noise, 0.3), ("blur", blur, 4.0)):
            if not 0 <= value <= most:
                raise ValueError(f"EdgeExplorer: expected {name} from 0 to {most:g}, got {value!r}; 0 switches it off")
        h, w = grey[names[0]].shape
        draws = torch.randn(h, w, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        super().__init__(
            pictures=b"".join(x.tobytes() for x in grey.values()), size=[h, w], names=names, sources=sources,
            offers=list(PHOTOGRAPHS) if (h, w) == (128, 128) else [],                       # all pictures have one size
            draws=(draws * _STEP).round().clamp(-32768, 32767).to(torch.int16).numpy().tobytes(),
            picture=names.index(picture), filter=filter, quantity=quantity, threshold=float(threshold), noise=float(noise),
            blur=float(blur), spot=_lively(grey[picture]))

    def prepared(self) -> torch.Tensor:
        """The picture with noise and blur, as the page has it: (h, w) float64."""
        h, w = self.size
        x = torch.from_numpy(np.frombuffer(self.pictures, np.uint8).reshape(-1, h, w)[self.picture] / 255)
        x = x + self.noise * torch.from_numpy(np.frombuffer(self.draws, np.int16).reshape(h, w) / _STEP)
        return gaussian_blur(x[None, None], self.blur)[0, 0] if self.blur else x

    def response(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What is shown, and the strength that the threshold judges, both (h, w) float64."""
        x = self.prepared()[None, None]
        if self.filter == "laplacian":
            y = laplacian(x)[0, 0]
            return y, y.abs()
        gx, gy = (g[0, 0] for g in image_gradients(x, self.filter))
        magnitude = gradient_magnitude(gx, gy)
        return {"x": gx, "y": gy, "magnitude": magnitude, "direction": gradient_direction(gx, gy)}[self.quantity], magnitude

    def _what(self) -> str:
        name = self.filter.capitalize()
        return name if self.filter == "laplacian" else f"{name} {self.quantity}"

    def summary(self) -> str:
        h, w = self.size
        extra = [f"{name} {value:g}" for name in ("noise", "blur", "threshold") if (value := getattr(self, name))]
        return ", ".join([self.names[self.picture], f"{h} × {w}", self._what(), *extra])

    def alt(self) -> str:
        return (f"Left: the picture {self.names[self.picture]} as the filter sees it. Right: the answer of {self._what()}, in "
                "grey levels per pixel. Below, at one pixel, the nine neighbours times the nine weights, and the gain of the "
                "filter for waves of each frequency.")

    def still(self) -> bytes:
        x, (y, strength) = self.prepared(), self.response()
        with plots.style():
            figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.1))
            left.imshow(x.numpy(), cmap=plt.get_cmap("gray", 32), vmin=0, vmax=1)
            if self.quantity == "magnitude" and self.filter != "laplacian":
                kind = {"cmap": plt.get_cmap(plots.MAGNITUDE, 24), "vmin": 0}
            elif self.quantity == "direction" and self.filter != "laplacian":
                kind = {"cmap": plt.get_cmap("twilight", 12), "vmin": -np.pi, "vmax": np.pi}
            else:
                limit = float(y.abs().max()) or 1.0
                kind = {"cmap": plots.DIVERGING.resampled(25), "vmin": -limit, "vmax": limit}
            shown = np.where((strength > self.threshold).numpy(), y.numpy(), np.nan)
            figure.colorbar(right.imshow(shown, **kind), ax=right, shrink=0.8)
            for axis, title in ((left, self.names[self.picture]), (right, self._what())):
                axis.set(title=title, xticks=[], yticks=[])
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        small = io.BytesIO()
        Image.open(stream).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()


def _lively(x: np.ndarray) -> list[int]:
    """A pixel on a strong upright edge near the middle, to start with."""
    h, w = x.shape
    gx, _ = image_gradients(torch.from_numpy(x / 255.0)[None, None])
    near = torch.zeros(h, w, dtype=torch.float64)
    near[h // 4: h - h // 4, w // 4: w - w // 4] = 1
    return list(divmod(int((gx[0, 0].abs() * (near + 1e-3)).argmax()), w))
