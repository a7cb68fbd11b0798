"""A picture as a sum of rank-1 pictures: choose how many, and see the sum, the newest term, what is missing, and the bill.

Python ships small grey pictures as bytes; the page decomposes them itself (one-sided Jacobi, ``rank.js``) and adds the
terms. The numbers are those of :mod:`dlnotes.svd`: :func:`~dlnotes.svd.truncate`, :func:`~dlnotes.svd.energy`,
:func:`~dlnotes.svd.truncation_error`, :func:`~dlnotes.svd.break_even_rank`.
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
from ..svd import break_even_rank, energy, truncate, truncation_error
from ._pictures import PATTERNS, PictureWidget, collect

__all__ = ["PATTERNS", "RankExplorer"]


class RankExplorer(PictureWidget):
    """Move k: the sum of the first k terms, the k-th term alone, what is missing, and what it costs to store.

    Args:
        images: names of photographs (``PHOTOGRAPHS`` of :mod:`dlnotes.widgets.spectrum`) and patterns (``PATTERNS``), or
            a mapping from a name to a grey picture (h, w) in [0, 1] or uint8, sides up to 256.
            Default: three photographs and three patterns of 128 × 128.
        k: number of terms at the start.
        picture: name of the picture that is shown first; default the first.
        scale: of the signed maps: ``"own"``, each its own, or ``"shared"``, both from -0.5 to 0.5.

    Raises:
        ValueError: for pictures of other shapes or values, and for settings outside of these.
        TypeError: for pictures that are not real.

    With a kernel, other photographs of scikit-image can be added.
    """

    _name = "rank"
    _height = 860

    sizes = traitlets.List().tag(sync=True)
    k = traitlets.Int(8).tag(sync=True)
    scale = traitlets.Enum(("own", "shared"), "own").tag(sync=True)

    def __init__(self, images: Mapping[str, Any] | list[str] | str | None = None, k: int = 8, *, picture: str | None = None,
                 scale: str = "own") -> None:
        images = ["camera", "astronaut", "brick", "checkerboard", "diagonal edge", "disc"] if images is None else images
        grey, sources = collect("RankExplorer", images)
        names = list(grey)
        picture = names[0] if picture is None else picture
        if picture not in names:
            raise ValueError(f"RankExplorer: expected picture to be one of {', '.join(names)}, got {picture!r}; "
                             "add it to images")
        most = min(grey[picture].shape)
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= most:
            raise ValueError(f"RankExplorer: expected k from 1 to {most}, the smaller side of {picture}, got {k!r}; "
                             "a picture has no more terms")
        if scale not in ("own", "shared"):
            raise ValueError(f"RankExplorer: expected scale to be own or shared, got {scale!r}; 'own' is the default")
        super().__init__(pictures=b"".join(x.tobytes() for x in grey.values()), sizes=[list(x.shape) for x in grey.values()],
                         names=names, sources=sources, picture=names.index(picture), k=k, scale=scale)

    def _grows(self, shape: tuple[int, int]) -> dict[str, Any]:
        return {"sizes": [*self.sizes, list(shape)], "k": min(self.k, *shape)}

    def image(self) -> torch.Tensor:
        """The chosen picture as the page has it, in 256 grey values: (h, w) float64 in [0, 1]."""
        start = sum(h * w for h, w in self.sizes[:self.picture])
        h, w = self.sizes[self.picture]
        raw = np.frombuffer(self.pictures, np.uint8)[start: start + h * w]
        return torch.from_numpy(raw / 255).reshape(h, w)

    def summary(self) -> str:
        h, w = self.sizes[self.picture]
        return f"{self.names[self.picture]}, {h} × {w}, {self.k} of {min(h, w)} terms"

    def alt(self) -> str:
        return (f"The picture {self.names[self.picture]} as the sum of its first {self.k} rank-1 terms, the last of these "
                "terms alone, what is missing, and the singular values on a logarithmic scale with the break-even rank.")

    def still(self) -> bytes:
        x, k = self.image(), self.k
        h, w = x.shape
        total = truncate(x, k)
        term = total - (truncate(x, k - 1) if k > 1 else 0)
        values = torch.linalg.svdvals(x)
        with plots.style():
            figure, axes = plt.subplots(1, 4, figsize=(8.2, 2.5), width_ratios=(1, 1, 1, 1.2))
            axes[0].imshow(total.numpy(), cmap=plt.get_cmap("gray", 32), vmin=0, vmax=1)
            for axis, map_ in ((axes[1], term), (axes[2], x - total)):
                limit = float(map_.abs().max()) or 1.0
                axis.imshow(map_.numpy(), cmap=plots.DIVERGING.resampled(25), vmin=-limit, vmax=limit)
            for axis, title in zip(axes, (f"sum of {k} terms", f"term {k} alone", "missing")):
                axis.set(title=title, xticks=[], yticks=[])
            i = torch.arange(1, len(values) + 1)
            axes[3].semilogy(i.numpy(), values.clamp(min=float(values[0]) * 1e-4).numpy(), ".", color=plots.token("network"), markersize=3)
            axes[3].axvline(k, color=plots.token("reader"))
            axes[3].axvline(break_even_rank(h, w), color=plots.token("muted"), ls="--")
            error = float(truncation_error(x, k) / x.norm()) if float(x.norm()) else 0.0
            axes[3].set(title=f"energy {float(energy(x)[k - 1]):.1%}, error {error:.1%}", xlabel="index i",
                        ylabel="singular value")
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        small = io.BytesIO()
        Image.open(stream).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()
