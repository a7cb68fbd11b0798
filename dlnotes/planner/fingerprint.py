"""The fingerprint of a data set: all that a plan needs to know about it, a few numbers instead of all pictures.

Source: Isensee, Jaeger, Kohl, Petersen and Maier-Hein, "nnU-Net: a self-configuring method for deep learning-based
biomedical image segmentation", Nature Methods 18, 2021, Methods, on dataset fingerprints: sizes, spacings,
channels, number of classes, and intensities of the foreground. Departures: pictures have two axes, nothing is cropped,
and how much of the pixels each class has is noted too, to say how unequal they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from dlnotes._check import check_integers

__all__ = ["Fingerprint", "fingerprint"]

_PIXELS = 4096          # of the foreground, taken from each picture for the statistics


@dataclass(frozen=True)
class Fingerprint:
    """Made by :func:`fingerprint`.

    Attributes:
        pictures: in the data set; examined: of these.
        channels: of a picture.
        classes: number of classes, background (0) included.
        smallest, median, largest: height and width in pixels, each axis by itself, at the median spacing.
        spacing: median size of a pixel (row, column), in the unit that was given; None without.
        shares: of all counted pixels, by class.
        present: share of the pictures in which each class occurs.
        mean, std, low, high: of the foreground's pixels, by channel; low and high are the 0.5 and 99.5 percentiles. Of all
            pixels where there is no foreground.
    """

    pictures: int
    examined: int
    channels: int
    classes: int
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    spacing: tuple[float, float] | None
    shares: tuple[float, ...]
    present: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def foreground(self) -> float:
        """Share of the pixels that is not background."""
        return sum(self.shares[1:])

    @property
    def imbalance(self) -> float:
        """How many pixels the largest class has for each one of the smallest that occurs."""
        occurring = [share for share in self.shares if share > 0]
        return max(occurring) / min(occurring)

    def __str__(self) -> str:
        def pair(size: tuple[int, int]) -> str:
            return f"{size[0]} × {size[1]}"

        shares = ", ".join(f"{i}: {share:.1%}" for i, share in enumerate(self.shares))
        return "\n".join([
            f"{self.pictures:,} pictures ({self.examined:,} examined), {self.channels} channels, {self.classes} classes",
            f"  size        {pair(self.median)} pixels in the middle, from {pair(self.smallest)} to {pair(self.largest)}",
            f"  spacing     {'not given' if self.spacing is None else f'{self.spacing[0]:g} × {self.spacing[1]:g}'}",
            f"  pixels      {shares}; the largest class has {self.imbalance:.1f} times those of the smallest",
            "  intensity   " + ", ".join(f"{m:.3g} ± {s:.3g}" for m, s in zip(self.mean, self.std)) + " in the foreground",
        ])


def fingerprint(dataset: Dataset, *, classes: int | None = None, spacing: Sequence[float] | None = None,
                ignore_index: int = -100, at_most: int = 500) -> Fingerprint:
    """Look at a segmentation data set.

    Args:
        dataset: samples are dicts with "image" (c, h, w) and "mask" (h, w), or tuples that begin with the image and end
            with the mask, such as :class:`dlnotes.digits.DigitsOnTextures`. A mask may have a channel axis of one. A dict
            may have its "spacing" (row, column).
        classes: their number, with the background; None counts them from the masks.
        spacing: size of a pixel (row, column) of all pictures, in any unit.
        ignore_index: pixels of the mask with this number are not counted.
        at_most: pictures to examine, evenly spread over the data set.

    Returns:
        The :class:`Fingerprint`.

    Raises:
        ValueError, TypeError: if there are no pictures, samples have another form, or pictures and masks do not fit.

    >>> from dlnotes.digits import DigitsOnTextures
    >>> print(fingerprint(DigitsOnTextures(size=2000), at_most=50))
    2,000 pictures (50 examined), 1 channels, 2 classes
      size        64 × 64 pixels in the middle, from 64 × 64 to 64 × 64
      spacing     not given
      pixels      0: 90.0%, 1: 10.0%; the largest class has 9.0 times those of the smallest
      intensity   0.429 ± 0.406 in the foreground
    """
    check_integers("fingerprint", at_most=at_most)
    if classes is not None:
        check_integers("fingerprint", at_least=2, classes=classes)
    number = len(dataset)
    if number == 0:
        raise ValueError("fingerprint: expected a data set with pictures, got an empty one; check its folder and split")
    examined = [i * number // min(number, at_most) for i in range(min(number, at_most))]
    sizes, spacings, counts, occurs, samples = [], [], [], [], []
    for index in examined:
        image, mask, its_spacing = _read(dataset[index], index)
        if sizes and len(image) != samples[0].shape[0]:
            raise ValueError(f"fingerprint: expected {samples[0].shape[0]} channels in every picture, got {len(image)} in "
                             f"sample {index}; convert them when reading")
        counted = mask[mask != ignore_index]
        if counted.numel() and counted.min() < 0:
            raise ValueError(f"fingerprint: expected class numbers of at least 0, got {int(counted.min())} in sample "
                             f"{index}; pass it as ignore_index")
        count = torch.bincount(counted, minlength=classes or 2)         # classes
        if classes is not None and len(count) > classes:
            raise ValueError(f"fingerprint: expected class numbers below classes={classes}, got {len(count) - 1} in sample "
                             f"{index}; a mask of 0 and 255 must be divided by 255")
        sizes.append(tuple(mask.shape))
        spacings.append(_pair(spacing if spacing is not None else its_spacing, index))
        counts.append(count)
        occurs.append(count > 0)
        inside = mask > 0 if (mask > 0).any() else torch.ones_like(mask, dtype=torch.bool)
        pixels = image[:, inside].double()                              # c n
        samples.append(pixels[:, ::-(-pixels.shape[1] // _PIXELS)])
    top = max(len(count) for count in counts)
    counts, occurs = (torch.stack([torch.nn.functional.pad(x, (0, top - len(x))) for x in group]).double()
                      for group in (counts, occurs))                    # pictures classes
    target = _median_spacing(spacings)
    sizes = torch.tensor([_resampled(size, its, target) for size, its in zip(sizes, spacings)])          # pictures 2
    pixels = torch.cat(samples, dim=1)                                  # c n
    low, high = (_quantile(pixels, q) for q in (0.005, 0.995))

    def numbers(x: torch.Tensor) -> tuple:
        return tuple(x.tolist())

    return Fingerprint(
        pictures=number, examined=len(examined), channels=len(pixels), classes=top, spacing=target,
        smallest=numbers(sizes.amin(0)), median=numbers(sizes.median(0).values), largest=numbers(sizes.amax(0)),
        shares=numbers(counts.sum(0) / counts.sum().clamp(min=1)), present=numbers(occurs.mean(0)),
        mean=numbers(pixels.mean(1)), std=numbers(pixels.std(1, correction=0)), low=numbers(low), high=numbers(high))


def _read(sample, index: int) -> tuple[torch.Tensor, torch.Tensor, Sequence[float] | None]:
    """Image (c, h, w), mask (h, w) int64 and spacing of one sample."""
    spacing = None
    if isinstance(sample, Mapping) and {"image", "mask"} <= set(sample):
        image, mask, spacing = sample["image"], sample["mask"], sample.get("spacing")
    elif isinstance(sample, Sequence) and len(sample) >= 2:
        image, mask = sample[0], sample[-1]
    else:
        raise TypeError("fingerprint: expected samples as dicts with 'image' and 'mask', or tuples (image, ..., mask), got "
                        f"{type(sample).__name__} as sample {index}; wrap the data set")
    for name, x in (("image", image), ("mask", mask)):
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"fingerprint: expected the {name} of sample {index} to be a tensor, got {type(x).__name__}; "
                            "convert it in the data set")
    mask = mask[0] if mask.ndim == 3 and len(mask) == 1 else mask
    if image.ndim != 3 or mask.shape != image.shape[1:]:
        raise ValueError(f"fingerprint: expected an image (c, h, w) and a mask (h, w), got {tuple(image.shape)} and "
                         f"{tuple(mask.shape)} as sample {index}; run dlnotes.data.check_dataset")
    return image, mask.long(), spacing


def _pair(spacing: Sequence[float] | None, index: int) -> tuple[float, float] | None:
    if spacing is None:
        return None
    pair = tuple(float(side) for side in spacing)
    if len(pair) != 2 or not all(side > 0 for side in pair):
        raise ValueError(f"fingerprint: expected spacing (row, column) above 0, got {pair} for sample {index}; "
                         "one number for each axis")
    return pair


def _median_spacing(spacings: list) -> tuple[float, float] | None:
    if any(its is None for its in spacings):
        return None
    return tuple(torch.tensor(spacings, dtype=torch.float64).median(0).values.tolist())


def _resampled(size: tuple[int, int], its: tuple[float, float] | None,
               target: tuple[float, float] | None) -> tuple[int, int]:
    """Pixels of a picture once its pixels have the median spacing."""
    if its is None or target is None:
        return size
    return tuple(max(1, round(side * of / wanted)) for side, of, wanted in zip(size, its, target))


def _quantile(pixels: torch.Tensor, q: float) -> torch.Tensor:
    """(c, n) -> (c,): the nearest rank, since ``torch.quantile`` takes no more than 16 million numbers."""
    return pixels.kthvalue(1 + round(q * (pixels.shape[1] - 1)), dim=1).values
