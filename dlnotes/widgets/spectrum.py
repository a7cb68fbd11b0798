"""A photograph, its spectrum and a filter between them: drag the radius, swap phases, read off frequencies.

Python ships one or two grey pictures as bytes; the page transforms, filters and draws (``spectrum.js``). The masks are
those of :func:`dlnotes.fourier.frequency_mask`, the scale of the spectrum that of :func:`dlnotes.fourier.log_magnitude`.
The phase swap is the one of Oppenheim and Lim, Proceedings of the IEEE, 1981.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from PIL import Image

from .. import plots
from ..fourier import apply_mask, frequency_mask, swap_phase
from ._base import Widget

__all__ = ["PHOTOGRAPHS", "SpectrumExplorer", "grey_bytes", "photograph", "photograph_code"]

# name: (has colour, rows, columns, factor): the square that is cut out of scikit-image's picture, and its area-mean factor
PHOTOGRAPHS: dict[str, tuple[bool, slice, slice, int]] = {
    "camera": (False, slice(0, 512), slice(0, 512), 2),
    "astronaut": (True, slice(0, 512), slice(0, 512), 2),
    "brick": (False, slice(0, 512), slice(0, 512), 2),
    "chelsea": (True, slice(20, 276), slice(110, 366), 1),
    "coffee": (True, slice(60, 316), slice(150, 406), 1),
    "coins": (False, slice(20, 276), slice(60, 316), 1),
    "grass": (False, slice(0, 512), slice(0, 512), 2),
    "gravel": (False, slice(0, 512), slice(0, 512), 2),
    "hubble_deep_field": (True, slice(180, 692), slice(240, 752), 2),
    "moon": (False, slice(0, 512), slice(0, 512), 2),
    "rocket": (True, slice(80, 336), slice(230, 486), 1),
}
"""Photographs that scikit-image carries with it, each as a 256 × 256 grey picture."""

_SIDE = 256
_FILTERS = ("none", "low", "high", "band")
_SOURCES = ("a", "b", "ab", "ba")


def photograph(name: str) -> np.ndarray:
    """One of scikit-image's bundled photographs as a small grey picture.

    Args:
        name: a key of ``PHOTOGRAPHS``.

    Returns:
        (256, 256) float64 in [0, 1].

    Raises:
        ValueError: if there is no such photograph.

    >>> photograph("camera").shape
    (256, 256)
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"photograph: expected one of {', '.join(PHOTOGRAPHS)}, got {name!r}; "
                         f"pass a picture of your own as an array (h, w)")
    from skimage import color, data

    colored, rows, columns, factor = PHOTOGRAPHS[name]
    picture = getattr(data, name)()[rows, columns]
    picture = color.rgb2gray(picture) if colored else picture / 255
    h, w = picture.shape
    return picture.reshape(h // factor, factor, w // factor, factor).mean((1, 3))


def photograph_code(name: str) -> str:
    """The expression that makes :func:`photograph` from scikit-image alone; it needs ``color``, ``data``, ``transform``."""
    colored, rows, columns, factor = PHOTOGRAPHS[name]
    text = f"data.{name}()"
    if (rows.start, columns.start) != (0, 0):
        text += f"[{rows.start}:{rows.stop}, {columns.start}:{columns.stop}]"
    text = f"color.rgb2gray({text})" if colored else f"{text} / 255"
    return text if factor == 1 else f"transform.downscale_local_mean({text}, ({factor}, {factor}))"


def grey_bytes(owner: str, where: str, image: Any) -> np.ndarray:
    """A grey picture in 256 steps.

    Args:
        owner: the widget that asks, and ``where``, its argument: both for the messages.
        image: (h, w) in [0, 1] or uint8: a tensor, an array, or nested lists.

    Returns:
        (h, w) uint8.

    Raises:
        ValueError: for other shapes or values.
        TypeError: for numbers that are not real.
    """
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if array.ndim != 2:
        raise ValueError(f"{owner}: expected {where} to be a grey picture (h, w), got shape {array.shape}; "
                         f"take one channel, or convert colour with skimage.color.rgb2gray")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{owner}: expected {where} with real numbers, got dtype {array.dtype}; take .real or .abs() first")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{owner}: expected {where} with finite values, got NaN or infinity; replace them with np.nan_to_num")
    if array.size and (array.min() < -1e-6 or array.max() > 1 + 1e-6):
        raise ValueError(f"{owner}: expected {where} as uint8 or with values in [0, 1], got values from {array.min():.4g} "
                         f"to {array.max():.4g}; divide by 255, or rescale with (x - x.min()) / (x.max() - x.min())")
    return np.round(array.clip(0, 1) * 255).astype(np.uint8)


def _transformable(image: Any, where: str) -> np.ndarray:
    """(h, w) uint8 with sides that the page's FFT takes; ``image`` may be the name of a photograph."""
    picture = grey_bytes("SpectrumExplorer", where, photograph(image) if isinstance(image, str) else image)
    for side in picture.shape:
        if side not in (8, 16, 32, 64, 128, 256, 512):
            raise ValueError(f"SpectrumExplorer: expected {where} with sides that are powers of two from 8 to 512, got "
                             f"{picture.shape}; crop it, or resize it with skimage.transform.resize(image, (256, 256))")
    return picture


class SpectrumExplorer(Widget):
    """Look at the spectrum of a photograph and filter it by dragging a radius on it.

    Args:
        images: one or two grey pictures (h, w) of one size, in [0, 1] or uint8, as tensors, arrays or names of bundled
            photographs (see ``PHOTOGRAPHS``). Sides are powers of two from 8 to 512.
            Default: camera and astronaut, 256 × 256.
        filter: ``"none"``, ``"low"``, ``"high"`` or ``"band"``.
        edge: ``"ideal"`` or ``"gaussian"``.
        radius: of the filter, in cycles per picture; of a band its middle. Default 20, or a sixth of the shorter side if
            that is less.
        width: of the band, in cycles per picture. Default as for the radius.
        view: ``"magnitude"`` (logarithmic) or ``"phase"``.
        source: ``"a"``, ``"b"``, ``"ab"`` (magnitude of a, phase of b) or ``"ba"``.
        row: of the profile; default the middle.

    Raises:
        ValueError: for pictures of other shapes or values, and for settings outside of these.
        TypeError: for pictures that are not real.

    With a kernel, pictures of 256 × 256 can be exchanged for other photographs of scikit-image.
    """

    _name = "spectrum"
    _height = 900

    pictures = traitlets.Bytes().tag(sync=True)
    size = traitlets.List([_SIDE, _SIDE]).tag(sync=True)
    names = traitlets.List().tag(sync=True)
    sources = traitlets.List().tag(sync=True)  # Python expressions that make the pictures, "" for the reader's own
    offers = traitlets.List().tag(sync=True)
    filter = traitlets.Enum(_FILTERS, "low").tag(sync=True)
    edge = traitlets.Enum(("ideal", "gaussian"), "gaussian").tag(sync=True)
    radius = traitlets.Float(20.0).tag(sync=True)
    width = traitlets.Float(20.0).tag(sync=True)
    view = traitlets.Enum(("magnitude", "phase"), "magnitude").tag(sync=True)
    source = traitlets.Enum(_SOURCES, "a").tag(sync=True)
    scale = traitlets.Enum(("fixed", "fitted"), "fixed").tag(sync=True)
    row = traitlets.Int(128).tag(sync=True)

    def __init__(self, images: Sequence | torch.Tensor | np.ndarray | None = None, filter: str = "low",
                 edge: str = "gaussian", radius: float | None = None, width: float | None = None, *,
                 view: str = "magnitude", source: str = "a", row: int | None = None) -> None:
        images = ["camera", "astronaut"] if images is None else images
        if isinstance(images, str) or getattr(images, "ndim", None) == 2:
            images = [images]
        images = list(images)
        if len(images) not in (1, 2):
            raise ValueError(f"SpectrumExplorer: expected one or two pictures, got {len(images)}; "
                             f"pass images=[first, second]")
        grey = [_transformable(image, f"images[{i}]") for i, image in enumerate(images)]
        if grey[0].shape != grey[-1].shape:
            raise ValueError(f"SpectrumExplorer: expected two pictures of one size, got {grey[0].shape} and "
                             f"{grey[1].shape}; crop or resize one, so that their frequencies correspond")
        h, w = grey[0].shape
        offered = {"filter": (filter, _FILTERS), "edge": (edge, ("ideal", "gaussian")),
                   "view": (view, ("magnitude", "phase")), "source": (source, _SOURCES if len(grey) == 2 else ("a",))}
        for name, (value, known) in offered.items():
            if value not in known:
                raise ValueError(f"SpectrumExplorer: expected {name} to be one of {', '.join(known)}, got {value!r}"
                                 + ("; pass two pictures to choose or swap" if name == "source" and value in _SOURCES else
                                    "; spell it in lower case"))
        usual = max(1, min(20, min(h, w) // 6))
        radius, width = usual if radius is None else radius, usual if width is None else width
        corner = math.ceil(math.hypot(h / 2, w / 2))
        least = 0 if edge == "ideal" or filter == "band" else 1
        for name, value, lowest in (("radius", radius, least), ("width", width, 1)):
            if not lowest <= value <= corner:
                raise ValueError(f"SpectrumExplorer: expected {name} from {lowest} to {corner} cycles per picture, "
                                 f"got {value!r}; {corner} reaches the corner of the spectrum")
        row = h // 2 if row is None else row
        if not 0 <= row < h:
            raise ValueError(f"SpectrumExplorer: expected row from 0 to {h - 1}, got {row!r}; rows count from the top")
        names = [image if isinstance(image, str) else f"picture {letter}" for image, letter in zip(images, "AB")]
        super().__init__(
            pictures=b"".join(picture.tobytes() for picture in grey), size=[h, w], names=names,
            sources=[photograph_code(image) if isinstance(image, str) else "" for image in images],
            offers=list(PHOTOGRAPHS) if (h, w) == (_SIDE, _SIDE) else [],
            filter=filter, edge=edge, radius=float(radius), width=float(width), view=view, source=source, row=int(row))

    @traitlets.validate("source")
    def _two_pictures(self, proposal: Any) -> str:
        if proposal["value"] != "a" and len(self.pictures) < 2 * self.size[0] * self.size[1]:
            raise traitlets.TraitError(f"SpectrumExplorer: expected source 'a' with one picture, got {proposal['value']!r}; "
                                       f"pass two pictures to choose or swap")
        return proposal["value"]

    def _picture(self, slot: int) -> torch.Tensor:
        h, w = self.size
        raw = np.frombuffer(self.pictures, np.uint8).reshape(-1, h, w)[slot]
        return torch.from_numpy(raw / 255)                                          # h w

    def _unfiltered(self) -> torch.Tensor:
        if self.source in ("a", "b"):
            return self._picture("ab".index(self.source))
        return swap_phase(self._picture(0), self._picture(1))[("ab", "ba").index(self.source)]

    def filtered(self) -> torch.Tensor:
        """The filtered picture of the present state, computed by torch: (h, w) float64."""
        x = self._unfiltered()
        if self.filter == "none":
            return x
        mask = frequency_mask(*self.size, self.filter, self.edge, self.radius, self.width, dtype=torch.float64)
        return apply_mask(x, mask)

    def handle(self, message: Any) -> None:
        """Exchange one picture for a photograph: ``{"type": "picture", "name": "brick", "slot": 0}``."""
        if not isinstance(message, dict) or message.get("type") != "picture":
            return
        name, slot = message.get("name"), message.get("slot", 0)
        if name not in self.offers or slot not in range(len(self.names)):
            return
        h, w = self.size
        raw = [self.pictures[i * h * w: (i + 1) * h * w] for i in range(len(self.names))]
        raw[slot] = _transformable(name, name).tobytes()
        replaced = {key: [*getattr(self, key)] for key in ("names", "sources")}
        replaced["names"][slot], replaced["sources"][slot] = name, photograph_code(name)
        with self.hold_sync():
            self.names, self.sources, self.pictures = replaced["names"], replaced["sources"], b"".join(raw)

    def _filter_text(self) -> str:
        if self.filter == "none":
            return "no filter"
        edge = "Gaussian" if self.edge == "gaussian" else "ideal"
        width = f", width {self.width:g}" if self.filter == "band" else ""
        return f"{edge} {self.filter}-pass, radius {self.radius:g}{width} cycles per picture"

    def _source_text(self) -> str:
        a, b = self.names[0], self.names[-1]
        return {"a": a, "b": b, "ab": f"magnitude of {a} with phase of {b}",
                "ba": f"magnitude of {b} with phase of {a}"}[self.source]

    def summary(self) -> str:
        return f"{' and '.join(self.names)}, {self.size[0]} × {self.size[1]}, {self._filter_text()}"

    def alt(self) -> str:
        view = "log magnitude" if self.view == "magnitude" else "phase"
        return (f"Left: the spectrum of {self._source_text()}, {view}, zero frequency in the centre, axes in cycles per "
                f"picture, with the filter drawn on it. Right: the picture after the filter ({self._filter_text()}).")

    def still(self) -> bytes:
        h, w = self.size
        x, y = self._unfiltered(), self.filtered()
        spectrum = torch.fft.fftshift(torch.fft.fft2(x))                            # h w
        signed = self.filter in ("high", "band")
        limit = float(y.abs().quantile(0.995)) or 1.0
        extent = (-w / 2 - 0.5, w / 2 - 0.5, h / 2 - 0.5, -h / 2 - 0.5)
        ends = [self.radius - self.width / 2, self.radius + self.width / 2]
        circles = {"none": [], "band": ends}.get(self.filter, [self.radius])
        with plots.style():  # few colours, because noise such as a spectrum hardly compresses
            figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.4))
            if self.view == "magnitude":
                shown = spectrum.abs().log1p()
                low, high = shown.quantile(torch.tensor([0.02, 0.999], dtype=shown.dtype)).tolist()
                left.imshow(shown.numpy(), cmap=plt.get_cmap(plots.MAGNITUDE, 20), extent=extent, vmin=low, vmax=high)
            else:
                left.imshow(spectrum.angle().numpy(), cmap=plt.get_cmap("twilight", 12), extent=extent,
                            vmin=-math.pi, vmax=math.pi)
            for radius in circles:
                left.add_patch(plt.Circle((0, 0), max(radius, 0), fill=False, color="white", lw=3.5))
                left.add_patch(plt.Circle((0, 0), max(radius, 0), fill=False, color=plots.token("reader"), lw=1.8))
            left.set(title="Spectrum", xlabel="kx, cycles per picture", ylabel="ky, cycles per picture",
                     xticks=[-w // 2, 0, w // 2 - 1], yticks=[-h // 2, 0, h // 2 - 1])
            if signed:
                right.imshow(y.numpy(), cmap=plots.DIVERGING.resampled(25), vmin=-limit, vmax=limit)
            else:
                right.imshow(y.numpy(), cmap=plt.get_cmap("gray", 32), vmin=0, vmax=1)
            right.set(title="After the filter", xlabel="x, pixels", xticks=[0, w - 1], yticks=[0, h - 1])
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        drawn = Image.open(stream).convert("RGB")
        for colors in (96, 64, 40, 24):
            small = io.BytesIO()
            drawn.quantize(colors, kmeans=2, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
            if small.tell() < 58_000:
                break
        return small.getvalue()
