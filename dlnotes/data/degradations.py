"""What noise, blur, rain, haze and coarser grids make of a clean picture, each by a formula that you can check.

y is what is seen, x the clean picture in [0, 1]. Parameters are numbers or ranges to draw from; all random numbers come from
a generator that is passed in, so that a degraded picture can be made again. ``dlnotes.data.pairs`` turns these into data
sets.

Sources: haze, the law of Koschmieder (1924) as written in Narasimhan and Nayar, "Vision and the Atmosphere", IJCV 48(3),
2002; rain, Garg and Nayar, "Vision and Rain", IJCV 75(1), 2007: a drop crosses a pixel during a share of the exposure and
replaces the background for that time. Departures: streaks are straight, one pixel wide and of one length in a picture, and
the depth that haze needs is a stand-in (flat ground) unless you pass a real one.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from dlnotes._check import check_integers

from ._draw import between, check_range

__all__ = ["Chain", "Downsample", "GaussianBlur", "GaussianNoise", "Haze", "Jpeg", "MotionBlur", "PoissonNoise", "Rain",
           "gaussian_kernel", "ground_depth", "motion_kernel"]

Range = float | tuple[float, float]


class _Degradation:
    """What all share: ranges are checked when it is built, pictures when it is called."""

    _bounds: ClassVar[dict[str, tuple]] = {}

    def __post_init__(self):
        for name, bounds in self._bounds.items():
            object.__setattr__(self, name, check_range(type(self).__name__, name, getattr(self, name), *bounds))

    def __call__(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """The degraded picture.

        Args:
            image: (c, h, w), floats in [0, 1].
            rng: where random numbers come from; each picture wants its own.

        Raises:
            TypeError: if the picture or the generator is of another kind.
            ValueError: if the shape does not fit.
        """
        owner = type(self).__name__
        if not isinstance(image, torch.Tensor) or not image.is_floating_point():
            came = image.dtype if isinstance(image, torch.Tensor) else type(image).__name__
            raise TypeError(f"{owner}: expected a picture of floats in [0, 1], got {came}; x.float() / 255 converts 8 bits")
        if image.ndim != 3:
            raise ValueError(f"{owner}: expected one picture (c, h, w), got shape {tuple(image.shape)}; loop over a batch, "
                             "each picture with its own generator")
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"{owner}: expected a NumPy generator, got {type(rng).__name__}; pass np.random.default_rng(0)")
        return self.degrade(image, rng)

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        raise NotImplementedError


# ---- noise ---------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class GaussianNoise(_Degradation):
    """y = x + sigma n, n standard normal: the noise of the electronics. ``sigma`` in units of white (25 / 255 is usual).

    The result is not cut off at 0 and 1, as is the custom for this test.
    """

    sigma: Range = 25 / 255
    _bounds = {"sigma": (0,)}

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return image + between(rng, self.sigma) * torch.from_numpy(rng.standard_normal(image.shape)).to(image)


@dataclass(frozen=True)
class PoissonNoise(_Degradation):
    """y = Poisson(p x) / p: the noise of counting light, where white sends ``photons`` p to a pixel. Variance x / p."""

    photons: Range = 100.0
    _bounds = {"photons": (0.1,)}

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        p = between(rng, self.photons)
        counts = rng.poisson(p * image.clamp(min=0).double().cpu().numpy())
        return (torch.from_numpy(counts) / p).to(image)


# ---- blur ----------------------------------------------------------------------------------------------------------

def gaussian_kernel(sigma: float) -> torch.Tensor:
    """Weights of a Gaussian at whole pixels out to four standard deviations, with sum 1: (2 r + 1,) float64."""
    radius = int(4 * sigma + 0.5)
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = (-0.5 * (x / max(sigma, 1e-12)).square()).exp()
    return weights / weights.sum()


def motion_kernel(length: float, angle: float) -> torch.Tensor:
    """The share of the exposure that a point moving at even speed spends over each pixel: (k, k) float64 with sum 1.

    Args:
        length: of the way, in pixels, at least 1.
        angle: of the way, in degrees, 0 to the right, 90 upwards.

    >>> motion_kernel(3, 0)[1].tolist()
    [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
    """
    radius = math.ceil((length - 1) / 2)
    steps = 64 * math.ceil(length)
    way = ((torch.arange(steps, dtype=torch.float64) + 0.5) / steps - 0.5) * length         # middles of equal times
    columns = (way * math.cos(math.radians(angle))).round().long() + radius
    rows = (-way * math.sin(math.radians(angle))).round().long() + radius
    k = 2 * radius + 1
    return (rows * k + columns).bincount(minlength=k * k).reshape(k, k).double() / steps


def _convolve(owner: str, image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Each channel with one kernel (k, l) of odd sides, the picture continued by mirroring about its border pixels."""
    y, x = kernel.shape[0] // 2, kernel.shape[1] // 2
    if y >= image.shape[1] or x >= image.shape[2]:
        raise ValueError(f"{owner}: expected a picture larger than {max(y, x)} pixels, which the blur reaches, got "
                         f"{tuple(image.shape[1:])}; take a weaker blur or larger pictures")
    padded = F.pad(image[:, None], (x, x, y, y), mode="reflect")                            # c 1 h+2y w+2x
    return F.conv2d(padded, kernel.flip(0, 1).to(image)[None, None])[:, 0]                  # c h w


@dataclass(frozen=True)
class GaussianBlur(_Degradation):
    """y = k * x with a Gaussian k of standard deviation ``sigma`` in pixels: a lens out of focus, nearly."""

    sigma: Range = (0.5, 3.0)
    _bounds = {"sigma": (0,)}

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        line = gaussian_kernel(between(rng, self.sigma))
        return _convolve("GaussianBlur", _convolve("GaussianBlur", image, line[:, None]), line[None])


@dataclass(frozen=True)
class MotionBlur(_Degradation):
    """y = k * x with k of :func:`motion_kernel`: the camera moved ``length`` pixels at ``angle`` degrees while it looked."""

    length: Range = (5.0, 15.0)
    angle: Range = (0.0, 180.0)
    _bounds = {"length": (1,), "angle": ()}

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return _convolve("MotionBlur", image, motion_kernel(between(rng, self.length), between(rng, self.angle)))


# ---- weather -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Rain(_Degradation):
    """y = (1 - a) x + a e: a falling drop of brightness e covers a pixel for the share a of the exposure.

    Args:
        drops: streaks per 1,000 pixels.
        length: of a streak in pixels.
        angle: of the fall in degrees, 90 is straight down.
        opacity: largest a.
        brightness: e, nearly that of the sky, which a drop shows in small.
    """

    drops: Range = (1.0, 4.0)
    length: Range = (9.0, 25.0)
    angle: Range = (75.0, 105.0)
    opacity: Range = (0.3, 0.7)
    brightness: Range = (0.8, 1.0)
    _bounds = {"drops": (0, 1000), "length": (1,), "angle": (), "opacity": (0, 1), "brightness": (0, 1)}

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        share, length, angle, opacity, e = (between(rng, getattr(self, name)) for name in self._bounds)
        kernel = motion_kernel(length, angle)
        kernel = kernel / kernel.max()                                                      # 1 where a drop stays longest
        y, x = (k // 2 for k in kernel.shape)
        h, w = image.shape[1] + 2 * y, image.shape[2] + 2 * x                               # streaks may start outside
        fall = rng.random((2, h, w))
        impulses = np.where(fall[0] < share / 1000, 0.3 + 0.7 * fall[1], 0.0)               # some drops are fainter
        streaks = F.conv2d(torch.from_numpy(impulses)[None, None], kernel[None, None])[0]   # 1 h w
        a = opacity * streaks.clamp(max=1).to(image)
        return (1 - a) * image + a * e


def ground_depth(height: int, width: int) -> torch.Tensor:
    """A stand-in for depth: flat ground whose horizon lies a tenth of the picture above it, 1 in the top row: (h, w)."""
    check_integers("ground_depth", height=height, width=width)
    v = torch.linspace(0, 1, height, dtype=torch.float64) if height > 1 else torch.zeros(1, dtype=torch.float64)
    return (0.1 / (v + 0.1))[:, None].expand(height, width)


@dataclass(frozen=True)
class Haze(_Degradation):
    """y = t x + (1 - t) A with t = exp(-beta d): light is scattered away, and light of the sky scattered in.

    Args:
        beta: scattering per unit of depth; with depth up to 1, 2.3 leaves a tenth of the light.
        airlight: A, brightness of the haze, one for all channels.
        depth: d (h, w), or a function from picture to depth; None for :func:`ground_depth`.
    """

    beta: Range = (0.5, 2.5)
    airlight: Range = (0.7, 1.0)
    depth: torch.Tensor | Callable[[torch.Tensor], torch.Tensor] | None = None
    _bounds = {"beta": (0,), "airlight": (0, 1)}

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        beta, airlight = between(rng, self.beta), between(rng, self.airlight)
        if self.depth is None:
            depth = ground_depth(*image.shape[1:])
        else:
            depth = self.depth(image) if callable(self.depth) else self.depth
        if depth.shape != image.shape[1:]:
            raise ValueError(f"Haze: expected depth of the picture's {tuple(image.shape[1:])} pixels, got "
                             f"{tuple(depth.shape)}; resize it, or pass a function from picture to depth")
        t = (-beta * depth.to(image)).exp()                                                 # h w
        return t * image + (1 - t) * airlight


# ---- fewer numbers -------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Downsample(_Degradation):
    """y = every ``factor``-th pixel of x, smoothed first by a bicubic kernel stretched to the coarse grid (a = -1/2).

    Args:
        factor: whole number; height and width must be divisible by it.
        enlarge: bring the result back to the old size, bicubically, for networks that do not enlarge.
    """

    factor: int = 4
    enlarge: bool = False

    def __post_init__(self):
        check_integers("Downsample", factor=self.factor)

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        h, w = image.shape[1:]
        if h % self.factor or w % self.factor:
            raise ValueError(f"Downsample: expected height and width divisible by factor={self.factor}, got {(h, w)}; crop "
                             f"first, for example image[:, :{h - h % self.factor}, :{w - w % self.factor}]")
        small = F.interpolate(image[None], (h // self.factor, w // self.factor), mode="bicubic", antialias=True)
        return (F.interpolate(small, (h, w), mode="bicubic", antialias=True) if self.enlarge else small)[0]


@dataclass(frozen=True)
class Jpeg(_Degradation):
    """y = x compressed as JPEG and read again. Another libjpeg may round differently by a grey value."""

    quality: int | tuple[int, int] = (20, 60)

    def __post_init__(self):
        object.__setattr__(self, "quality", check_range("Jpeg", "quality", self.quality, 1, 95, whole=True))

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        from PIL import Image

        if len(image) not in (1, 3):
            raise ValueError(f"Jpeg: expected 1 or 3 channels, got {len(image)}; compress channels one by one")
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).squeeze(-1).cpu().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=between(rng, self.quality))
        back = torch.from_numpy(np.array(Image.open(file)))                                 # h w, or h w 3
        return (back[None] if back.ndim == 2 else back.movedim(-1, 0)).to(image) / 255


class Chain(_Degradation):
    """One after the other, as light meets them: ``Chain(Haze(), GaussianBlur(1.0), PoissonNoise(50))``."""

    def __init__(self, *steps: _Degradation):
        if not steps or not all(callable(step) for step in steps):
            raise TypeError(f"Chain: expected one degradation or more, got {steps!r}; pass them one by one, Chain(a, b)")
        self.steps = steps

    def degrade(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        for step in self.steps:
            image = step(image, rng)
        return image
