"""Hyperspectral cubes cut into patches, and split so that the score is honest.

A hyperspectral picture has a spectrum in every pixel, and the usual task is to name what grows there. The sample is a window
around the pixel. Windows of neighbouring pixels share most of their pixels, so a random split puts test pixels into training
windows; ``split_pixels`` offers that split and one of disjoint ground, and ``measure_leak`` puts numbers on the difference.

Source: Liang, Zhou, Qian, Wen, Bai, Gao, "On the Sampling Strategy for Evaluation of Spectral-Spatial Methods in
Hyperspectral Image Classification", IEEE TGRS 55(2), 2017 (the overlap of training and test windows). Patches and PCA follow
HybridSN (Roy et al., IEEE GRSL 17(2), 2020). Departure: PCA may be fitted on training pixels alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from dlnotes._check import check_choice, check_integers

from ._draw import check_index, numbers_of
from .hyperspectral_scene import HyperspectralScene

__all__ = ["BandPCA", "HyperspectralPatches", "HyperspectralScene", "PixelSplit", "measure_leak", "split_pixels"]


# ---- fewer bands ---------------------------------------------------------------------------------------------------

class BandPCA:
    """Principal components of the spectra: a few combinations of bands that keep most of the variance.

    Args:
        components: how many to keep.
        whiten: divide each by its standard deviation, as HybridSN's authors do.

    Neighbouring bands are nearly copies of each other, so 200 bands shrink to 30 with little loss. The sign of a component
    is free; here its largest coefficient is positive. Fit it on training pixels only: the mean and the axes of the whole
    scene are a small leak of their own.

    >>> pca = BandPCA(3).fit(HyperspectralScene(32, 32, bands=50, classes=3, fields=9).cube)
    >>> pca(torch.rand(50, 8, 8)).shape, bool(pca.explained.sum() > 0.9)
    (torch.Size([3, 8, 8]), True)
    """

    def __init__(self, components: int, whiten: bool = True):
        check_integers("BandPCA", components=components)
        self.components, self.whiten = components, whiten

    def fit(self, cube: torch.Tensor, where: torch.Tensor | None = None) -> "BandPCA":
        """Mean, axes and variances from the pixels of a cube (bands, h, w), or from those where a mask (h, w) is true.

        Sets ``mean`` (bands,), ``axes`` (components, bands), ``variance`` and ``explained``, its share, (components,).
        """
        _cube("BandPCA", cube)
        if self.components > len(cube):
            raise ValueError(f"BandPCA: expected at most {len(cube)} components for {len(cube)} bands, got "
                             f"{self.components}; keep fewer")
        pixels = (cube.flatten(1) if where is None else cube[:, where]).double().T          # pixels bands
        if len(pixels) <= self.components:
            raise ValueError(f"BandPCA: expected more pixels than components={self.components}, got {len(pixels)}; fit on "
                             "more")
        self.mean = pixels.mean(0)
        _, scale, axes = torch.linalg.svd(pixels - self.mean, full_matrices=False)          # values fall
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))                        # of each axis
        self.axes = (axes * largest.sign())[:self.components]
        variance = scale.square() / (len(pixels) - 1)
        self.variance, self.explained = variance[:self.components], (variance / variance.sum())[:self.components]
        return self

    def __call__(self, cube: torch.Tensor) -> torch.Tensor:
        """The components of a cube: (bands, h, w) to (components, h, w), in its dtype."""
        if not hasattr(self, "axes"):
            raise RuntimeError("BandPCA: expected fit before the first call; use BandPCA(30).fit(cube)")
        _cube("BandPCA", cube, len(self.mean))
        centred = cube.double() - self.mean[:, None, None]
        reduced = torch.einsum("kb,bhw->khw", self.axes, centred)                           # components h w
        if self.whiten:
            reduced = reduced / self.variance.clamp(min=1e-12).sqrt()[:, None, None]
        return reduced.to(cube.dtype)


# ---- patches -------------------------------------------------------------------------------------------------------

class HyperspectralPatches(Dataset):
    """A window around each labelled pixel, as 3-D convolutions want it.

    Args:
        cube: (bands, h, w), after :class:`BandPCA` if wanted.
        labels: (h, w) integers, 0 for unlabelled, classes from 1.
        window: side in pixels, odd, so that there is a centre.
        pixels: (n, 2) rows and columns of the centres, such as one half of :func:`split_pixels`; None takes all labelled.

    Raises:
        ValueError: if shapes do not fit, the window is even, or a pixel is not labelled.

    >>> scene = HyperspectralScene(32, 32, bands=20, classes=3, fields=9)
    >>> patches = HyperspectralPatches(scene.cube, scene.labels, window=9)
    >>> patches[0]["image"].shape, patches[0]["label"] == scene.labels[tuple(patches.pixels[0])] - 1
    (torch.Size([1, 20, 9, 9]), tensor(True))
    """

    def __init__(self, cube: torch.Tensor, labels: torch.Tensor, window: int = 25, pixels: torch.Tensor | None = None):
        owner = "HyperspectralPatches"
        _cube(owner, cube)
        _labels(owner, labels, cube)
        _window(owner, window)
        self.pixels = labels.nonzero() if pixels is None else torch.as_tensor(pixels)       # n 2
        if self.pixels.ndim != 2 or self.pixels.shape[1] != 2 or len(self.pixels) == 0:
            raise ValueError(f"{owner}: expected pixels (n, 2) with at least one, got {tuple(self.pixels.shape)}; pass rows "
                             "and columns, such as split_pixels(labels).train")
        self.targets = labels[self.pixels[:, 0], self.pixels[:, 1]].long() - 1              # n
        if (self.targets < 0).any():
            row, column = self.pixels[self.targets < 0][0].tolist()
            raise ValueError(f"{owner}: expected labelled pixels, got label 0 at row {row}, column {column}; leave it out")
        self.window, self._rim = window, window // 2
        self._padded = F.pad(cube, [self._rim] * 4)             # zeros beyond the border, as HybridSN's authors do

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> dict:
        """``{"image": (1, bands, window, window), "label": from 0, "name": "row_column"}``."""
        index = check_index("HyperspectralPatches", index, len(self))
        row, column = self.pixels[index].tolist()
        patch = self._padded[:, row:row + self.window, column:column + self.window]         # bands window window
        return {"image": patch[None].clone(), "label": int(self.targets[index]), "name": f"{row}_{column}"}


# ---- splits --------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class PixelSplit:
    """Rows and columns for training and testing, (n, 2) and (m, 2) int64, and how many labelled pixels neither got."""

    train: torch.Tensor
    test: torch.Tensor
    dropped: int


def split_pixels(labels: torch.Tensor, train: float = 0.3, method: str = "disjoint", *, window: int = 25,
                 block: int | None = None, seed: int = 0) -> PixelSplit:
    """Choose training and test pixels.

    Args:
        labels: (h, w), 0 for unlabelled.
        train: share of the pixels of each class (``"random"``), or of the blocks (``"disjoint"``), for training.
        method: ``"random"``: pixels of each class at random, as most papers do. ``"disjoint"``: whole blocks of ground; test
            pixels nearer than a window to a training pixel are left out, so that no window of one half holds a pixel of the
            other half's windows.
        window: side of the patches that will be cut, in pixels.
        block: side of the blocks in pixels; by default two windows, but at most a quarter of the shorter side.
        seed: another seed, another split.

    Raises:
        ValueError: if an argument is none of these, or a half of the split is empty.

    >>> labels = HyperspectralScene(64, 64, bands=8, classes=4).labels
    >>> split = split_pixels(labels, window=5)
    >>> len(split.train) + len(split.test) + split.dropped == int((labels > 0).sum())
    True
    """
    owner = "split_pixels"
    _labels(owner, labels)
    check_choice(owner, ("random", "disjoint"), method=method)
    _window(owner, window)
    check_integers(owner, at_least=0, seed=seed)
    if not 0 < train < 1:
        raise ValueError(f"{owner}: expected train between 0 and 1, got {train!r}; 0.3 takes 30 %")
    rng, labelled = numbers_of(seed, 1), labels > 0
    chosen = torch.zeros_like(labelled)                                                     # h w
    if method == "random":
        for k in labels[labelled].unique():
            where = (labels == k).nonzero()                                                 # n 2
            order = torch.from_numpy(np.argsort(rng.random(len(where))))
            mine = where[order[:max(round(train * len(where)), 1)]]
            chosen[mine[:, 0], mine[:, 1]] = True
        held_out = labelled & ~chosen
    else:
        h, w = labels.shape
        block = min(2 * window, max(min(h, w) // 4, 1)) if block is None else block
        check_integers(owner, block=block)
        rows, columns = -(-h // block), -(-w // block)
        order = np.argsort(rng.random(rows * columns))
        mine = torch.zeros(rows * columns, dtype=torch.bool)
        mine[torch.from_numpy(order[:max(round(train * rows * columns), 1)])] = True
        ground = mine.reshape(rows, columns).repeat_interleave(block, 0).repeat_interleave(block, 1)[:h, :w]
        chosen = ground & labelled
        held_out = labelled & ~ground & ~_reached(chosen, window - 1)
    if not chosen.any() or not held_out.any():
        which = "training" if not chosen.any() else "test"
        raise ValueError(f"{owner}: expected pixels in both halves, got none for {which} with method={method!r}, "
                         f"window={window}, block={block}; take a smaller window, larger blocks, or another seed")
    dropped = int((labelled & ~chosen & ~held_out).sum())
    return PixelSplit(chosen.nonzero(), held_out.nonzero(), dropped)


def measure_leak(cube: torch.Tensor, labels: torch.Tensor, split: PixelSplit, window: int = 25) -> dict[str, float]:
    """What a split lets the test see of the training windows.

    Args:
        cube: (bands, h, w); a few components are enough.
        labels: (h, w), 0 for unlabelled.
        split: of :func:`split_pixels`.
        window: side of the patches, in pixels.

    Returns:
        ``"overlap"``, share of test windows that hold a pixel of a training window; ``"seen"``, share of test pixels that
        lie inside a training window; ``"nearest"``, accuracy of giving each test window the label of the training window
        nearest to it, pixel by pixel (on a fair split it measures the data, on a leaking one it measures memory);
        ``"chance"``, accuracy of always answering the class that is most frequent in training.

    Raises:
        ValueError: if shapes do not fit.
    """
    _cube("measure_leak", cube)
    _labels("measure_leak", labels, cube)
    _window("measure_leak", window)
    chosen = torch.zeros(labels.shape, dtype=torch.bool)
    chosen[split.train[:, 0], split.train[:, 1]] = True
    rows, columns = split.test.unbind(1)
    train, test = (HyperspectralPatches(cube, labels, window, pixels) for pixels in (split.train, split.test))
    known = _windows(train)                                                                 # n features
    nearest = torch.cat([torch.cdist(_windows(test, part), known).argmin(1)
                         for part in torch.arange(len(test)).split(256)])                   # m
    return {"overlap": _reached(chosen, window - 1)[rows, columns].double().mean().item(),
            "seen": _reached(chosen, window // 2)[rows, columns].double().mean().item(),
            "nearest": (train.targets[nearest] == test.targets).double().mean().item(),
            "chance": (test.targets == train.targets.mode().values).double().mean().item()}


def _windows(patches: HyperspectralPatches, which: torch.Tensor | None = None) -> torch.Tensor:
    """Windows laid flat, (n, bands * window * window)."""
    which = range(len(patches)) if which is None else which.tolist()
    return torch.stack([patches[i]["image"].flatten() for i in which])


def _reached(mask: torch.Tensor, by: int) -> torch.Tensor:
    """Pixels (h, w) that lie within ``by`` rows and columns of a true one."""
    return F.max_pool2d(mask[None, None].float(), 2 * by + 1, stride=1, padding=by)[0, 0] > 0


def _cube(owner: str, cube: torch.Tensor, bands: int | None = None) -> None:
    if not isinstance(cube, torch.Tensor) or cube.ndim != 3 or not cube.is_floating_point():
        came = f"{tuple(cube.shape)} {cube.dtype}" if isinstance(cube, torch.Tensor) else type(cube).__name__
        raise ValueError(f"{owner}: expected a cube (bands, h, w) of floats, got {came}; torch.from_numpy(x).movedim(-1, 0) "
                         "brings bands forward")
    if bands is not None and len(cube) != bands:
        raise ValueError(f"{owner}: expected a cube of {bands} bands, as fitted, got {len(cube)}; fit again")


def _labels(owner: str, labels: torch.Tensor, cube: torch.Tensor | None = None) -> None:
    if not isinstance(labels, torch.Tensor) or labels.ndim != 2 or labels.is_floating_point():
        came = f"{tuple(labels.shape)} {labels.dtype}" if isinstance(labels, torch.Tensor) else type(labels).__name__
        raise ValueError(f"{owner}: expected labels (h, w) of integers, got {came}; torch.as_tensor(labels).long() converts")
    if cube is not None and labels.shape != cube.shape[1:]:
        raise ValueError(f"{owner}: expected labels of the cube's {tuple(cube.shape[1:])} pixels, got "
                         f"{tuple(labels.shape)}; transpose or crop one of them")


def _window(owner: str, window: int) -> None:
    check_integers(owner, window=window)
    if window % 2 == 0:
        raise ValueError(f"{owner}: expected window to be odd, so that it has a centre, got {window}; take {window + 1}")
