"""Losses that compare spectra instead of pixels.

Frequency L1 at several scales: the MSFR loss of Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image
Deblurring", ICCV 2021, section 3. Focal frequency loss: Jiang et al., ICCV 2021, section 3. Departures: the
default ``norm="ortho"`` keeps the size of the loss independent of the size of the picture; the L1 takes the mean over the
stacked real and imaginary parts, as the published training scripts do, not the sum; patches, logarithm and batch
statistics of the focal loss are left out.
"""

from collections.abc import Sequence

import torch

from ._checks import check_norm, check_same, check_tensor

__all__ = ["focal_frequency_loss", "frequency_l1_loss", "multiscale_frequency_l1_loss"]


def _difference(prediction: torch.Tensor, target: torch.Tensor, norm: str, where: str) -> torch.Tensor:
    check_tensor(prediction, where, name="prediction")
    check_tensor(target, where, name="target")
    check_same(prediction, target, where, ("prediction", "target"))
    check_norm(norm, where)
    return torch.fft.fft2(prediction - target, norm=norm)        # ... h w; the transform is linear: one is enough


def frequency_l1_loss(prediction: torch.Tensor, target: torch.Tensor, *, norm: str = "ortho") -> torch.Tensor:
    """Mean absolute difference of the real and imaginary parts of two spectra.

    Args:
        prediction, target: (..., h, w) real, one shape and dtype.
        norm: of the transform. With ``"backward"`` the loss of white noise grows like sqrt(h w).

    Returns:
        Scalar.

    Raises:
        TypeError, ValueError: if the two are not real tensors of one shape and dtype, or ``norm`` is unknown.

    >>> x = torch.zeros(1, 1, 4, 4); x[..., 0, 0] = 1.0       # one wrong pixel: a flat spectrum, all real
    >>> frequency_l1_loss(x, torch.zeros_like(x), norm="backward")
    tensor(0.5000)
    """
    stacked = torch.view_as_real(_difference(prediction, target, norm, "frequency_l1_loss"))     # ... h w 2
    return stacked.abs().mean()


def multiscale_frequency_l1_loss(predictions: Sequence[torch.Tensor], targets: Sequence[torch.Tensor], *,
                                 norm: str = "ortho", weights: Sequence[float] | None = None) -> torch.Tensor:
    """Weighted sum of :func:`frequency_l1_loss` over the outputs of a network with several scales.

    Args:
        predictions, targets: tensors (..., h, w), one pair per scale, in any order of sizes.
        norm: of the transform. weights: one factor per scale; None for ones.

    Returns:
        Scalar.

    Raises:
        TypeError: if a bare tensor is passed instead of a list.
        ValueError: if there is no scale, or the numbers of predictions, targets and weights differ.
    """
    where = "multiscale_frequency_l1_loss"
    if isinstance(predictions, torch.Tensor) or isinstance(targets, torch.Tensor):
        raise TypeError(f"{where}: expected lists of tensors, one per scale, got a tensor; "
                        f"use frequency_l1_loss for one scale")
    weights = [1.0] * len(predictions) if weights is None else weights
    if not len(predictions) == len(targets) == len(weights) or len(predictions) == 0:
        raise ValueError(f"{where}: expected as many predictions as targets and weights, at least one, "
                         f"got {len(predictions)}, {len(targets)} and {len(weights)}; pair them by scale")
    return sum(weight * frequency_l1_loss(p, t, norm=norm) for weight, p, t in zip(weights, predictions, targets))


def focal_frequency_loss(prediction: torch.Tensor, target: torch.Tensor, *, alpha: float = 1.0,
                         norm: str = "ortho") -> torch.Tensor:
    """Squared difference of two spectra, weighted by how wrong each frequency is at present.

    The weight ``|dF|**alpha``, divided by its maximum over the spectrum of each picture and channel, is a constant for the
    gradient. With ``alpha=0`` all weights are one and the loss is, with ``norm="ortho"``, the mean squared error.

    Args:
        prediction, target: (..., h, w) real, one shape and dtype.
        alpha: how sharply the hard frequencies are preferred; at least 0.
        norm: of the transform; the paper's code uses ``"ortho"``.

    Returns:
        Scalar, mean over all frequencies.

    Raises:
        TypeError, ValueError: as :func:`frequency_l1_loss`; ValueError for a negative ``alpha``.
    """
    if not alpha >= 0:
        raise ValueError(f"focal_frequency_loss: expected alpha of at least 0, got {alpha}; 1 is the paper's choice")
    difference = _difference(prediction, target, norm, "focal_frequency_loss")
    squared = torch.view_as_real(difference).square().sum(-1)                    # ... h w
    weight = squared.detach().sqrt() ** alpha                                    # ... h w
    largest = weight.amax((-2, -1), keepdim=True)                                # ... 1 1
    weight = weight / torch.where(largest > 0, largest, 1.0)                     # equal pictures: no division by zero
    return (weight * squared).mean()
