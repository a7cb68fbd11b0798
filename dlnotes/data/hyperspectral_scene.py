"""Made hyperspectral scenes: every spectrum, every mixture and every label is known.

A pixel of ground covers several materials, and its spectrum is their mixture, weighted by area: x = sum of a_k e_k + noise,
with abundances a_k of at least 0 that add up to 1. The ground is cut into fields, and each field can have a look of its own
(soil, water, sun), as real ones have; without it the scene is the linear mixing model exactly.

Source: Keshava and Mustard, "Spectral Unmixing", IEEE Signal Processing Magazine 19(1), 2002 (the model). The spectra are
smooth curves with absorptions at random places, not those of any real material.
"""

import numpy as np
import torch

from dlnotes._check import check_integers

from ._draw import check_range, numbers_of

__all__ = ["HyperspectralScene"]


class HyperspectralScene:
    """A made scene with everything known.

    Args:
        height, width: in pixels.
        bands: number of wavelengths, from 400 to 2,500 nm.
        classes: number of materials.
        fields: number of fields; each is mostly one material.
        purity: how pure the inside of a field is, from 0 (all materials alike) to 1 (one).
        variability: how much the brightness and the slope of the spectrum differ from field to field, 0 for the exact linear
            mixing model.
        snr: signal-to-noise ratio in decibels, None for no noise.
        unlabelled: share of pixels, those with the weakest majority, whose label is 0.
        seed: another seed, another scene.

    Attributes:
        cube: (bands, h, w) float32.
        endmembers: (classes, bands) float64, reflectance from 0 to 1.
        abundances: (classes, h, w) float64, at least 0, with sum 1.
        gain: (bands, h, w) float64, what the field does to the spectrum; ones if ``variability=0``.
        labels: (h, w) int64, 1 + the most abundant material, 0 where unlabelled.
        wavelengths: (bands,) in nm.

    Raises:
        ValueError: if an argument is out of range.

    >>> scene = HyperspectralScene(48, 64, bands=100, classes=5)
    >>> scene.cube.shape, scene.endmembers.shape, scene.labels.unique().tolist()
    (torch.Size([100, 48, 64]), torch.Size([5, 100]), [0, 1, 2, 3, 4, 5])
    """

    def __init__(self, height: int = 96, width: int = 96, *, bands: int = 120, classes: int = 8, fields: int = 40,
                 purity: float = 0.85, variability: float = 0.15, snr: float | None = 30.0, unlabelled: float = 0.1,
                 seed: int = 0):
        owner = "HyperspectralScene"
        check_integers(owner, at_least=8, height=height, width=width)
        check_integers(owner, at_least=4, bands=bands)
        check_integers(owner, at_least=2, classes=classes)
        check_integers(owner, at_least=classes, fields=fields)
        check_integers(owner, at_least=0, seed=seed)
        for name, value in (("purity", purity), ("variability", variability), ("unlabelled", unlabelled)):
            check_range(owner, name, value, 0, 1)
        if snr is not None:
            check_range(owner, "snr", snr)
        rng = numbers_of(seed, 0)
        self.wavelengths = torch.linspace(400, 2500, bands, dtype=torch.float64)
        self.endmembers = torch.from_numpy(_spectra(rng, self.wavelengths.numpy(), classes))
        field = _fields(rng, height, width, fields)                                         # h w, number of the field
        material = np.concatenate([np.arange(classes), (rng.random(fields - classes) * classes).astype(int)])
        self.abundances = torch.from_numpy(_abundances(rng, material[field], classes, purity))
        mixed = torch.einsum("kb,khw->bhw", self.endmembers, self.abundances)               # b h w
        brightness, slope = (variability * (2 * rng.random(fields) - 1) for _ in range(2))
        ramp = torch.linspace(-1, 1, bands, dtype=torch.float64)[:, None, None]
        self.gain = 1 + torch.from_numpy(brightness[field]) + torch.from_numpy(slope[field]) * ramp     # b h w
        clean = self.gain * mixed
        noise = torch.from_numpy(rng.standard_normal(clean.shape))
        power = 0.0 if snr is None else clean.square().mean().sqrt().item() * 10 ** (-snr / 20)
        self.cube = (clean + power * noise).float()
        most, winner = self.abundances.max(dim=0)                                           # h w each
        weakest = most.flatten().sort().values[int(unlabelled * most.numel())] if unlabelled < 1 else most.max() + 1
        self.labels = torch.where(most < weakest, 0, winner + 1)


def _spectra(rng: np.random.Generator, wavelengths: np.ndarray, classes: int) -> np.ndarray:
    """Smooth reflectances (classes, bands): a sloping continuum with four broad absorptions each."""
    t = (wavelengths - 400) / 2100
    continuum = 0.35 + 0.35 * rng.random((classes, 1)) + 0.3 * (2 * rng.random((classes, 1)) - 1) * t
    for _ in range(4):
        r = rng.random((3, classes, 1))
        centre, spread, depth = r[0], 0.03 + 0.1 * r[1], 0.6 * r[2]
        continuum = continuum * (1 - depth * np.exp(-0.5 * ((t - centre) / spread) ** 2))
    return np.clip(continuum, 0.01, 1)


def _fields(rng: np.random.Generator, h: int, w: int, fields: int) -> np.ndarray:
    """Each pixel's nearest of some random points, (h, w): fields with straight hedges."""
    y, x = rng.random(fields) * h, rng.random(fields) * w
    apart = (np.arange(h)[:, None, None] - y) ** 2 + (np.arange(w)[None, :, None] - x) ** 2     # h w fields
    return apart.argmin(axis=-1)


def _abundances(rng: np.random.Generator, material: np.ndarray, classes: int, purity: float) -> np.ndarray:
    """(classes, h, w): the field's material, blurred across hedges, mixed with smooth random amounts of all others."""
    from scipy.ndimage import gaussian_filter

    main = np.stack([gaussian_filter((material == k).astype(float), 0.8) for k in range(classes)])
    random = np.stack([gaussian_filter(rng.random(material.shape), 3) for _ in range(classes)])
    random = np.maximum((random - random.min()) / (np.ptp(random) + 1e-12), 1e-3)
    mixed = purity * main / main.sum(0) + (1 - purity) * random / random.sum(0)
    return mixed / mixed.sum(0)
