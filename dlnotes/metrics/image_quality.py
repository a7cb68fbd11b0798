"""PSNR and SSIM: how far a restored picture is from the clean one, by squared error and by local structure.

Sources: PSNR is 10 log10(range² / MSE), in decibels. SSIM: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment:
From Error Visibility to Structural Similarity", IEEE TIP 13(4), 2004, equation 13, with their 11 × 11 Gaussian window of σ
= 1.5 and K = (0.01, 0.03). Papers differ in what they feed in, by whole decibels: super-resolution reports the luma of
BT.601 (``to_luma``) with a border of the scale factor cut off (``border``); denoising and dehazing mostly all three
channels. Say which.
"""

import torch
import torch.nn.functional as F

from dlnotes._check import check_input, check_integers

from ._streaming import Metric, ratio

__all__ = ["ImageQuality", "psnr", "ssim", "to_luma"]


def to_luma(rgb: torch.Tensor) -> torch.Tensor:
    """Luma Y' of ITU-R BT.601, 16 to 235 of 255: (b, 3, h, w) in [0, 1] to (b, 1, h, w) in [16/255, 235/255].

    >>> (255 * to_luma(torch.ones(1, 3, 1, 1))).round().item()
    235.0
    """
    check_input("to_luma", rgb, "b c h w", c=3)
    weights = rgb.new_tensor([65.481, 128.553, 24.966]).reshape(1, 3, 1, 1) / 255
    return (rgb * weights).sum(dim=1, keepdim=True) + 16 / 255                  # b 1 h w


def psnr(prediction: torch.Tensor, target: torch.Tensor, *, data_range: float = 1.0, border: int = 0) -> torch.Tensor:
    """Peak signal-to-noise ratio of each picture of a batch, in decibels; infinite where the two are equal.

    Args:
        prediction, target: (b, c, h, w).
        data_range: largest minus smallest value that a pixel can have.
        border: pixels left out on each side.

    Returns:
        (b,).

    Raises:
        ValueError, TypeError: if shapes or settings do not fit.

    >>> psnr(torch.full((1, 1, 2, 2), 0.6), torch.full((1, 1, 2, 2), 0.5))      # off by a tenth everywhere
    tensor([20.0000])
    """
    prediction, target = _pair("psnr", prediction, target, data_range, border)
    error = (prediction - target).square().flatten(1).mean(dim=1)               # b
    return 10 * torch.log10(data_range**2 / error)


def ssim(prediction: torch.Tensor, target: torch.Tensor, *, data_range: float = 1.0, border: int = 0,
         return_map: bool = False) -> torch.Tensor:
    """Structural similarity of each picture of a batch, mean over windows and channels; 1 where the two are equal.

    Args:
        prediction, target: (b, c, h, w), height and width of at least 11.
        data_range: largest minus smallest value that a pixel can have.
        border: pixels left out on each side.
        return_map: give the map of all windows, (b, c, h - 10, w - 10), instead of its mean.

    Returns:
        (b,).

    Raises:
        ValueError, TypeError: if shapes or settings do not fit.

    >>> x = torch.rand(1, 3, 16, 16)
    >>> ssim(x, x)
    tensor([1.])
    """
    prediction, target = _pair("ssim", prediction, target, data_range, border)
    check_input("ssim", prediction, "b c h w", at_least=11)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    x, y = _windows_mean(prediction), _windows_mean(target)                     # b c h-10 w-10, the local means
    xx = _windows_mean(prediction * prediction) - x * x                         # local variances and covariance
    yy = _windows_mean(target * target) - y * y
    xy = _windows_mean(prediction * target) - x * y
    each = (2 * x * y + c1) * (2 * xy + c2) / ((x * x + y * y + c1) * (xx + yy + c2))       # b c h-10 w-10
    return each if return_map else each.flatten(1).mean(dim=1)


def _windows_mean(x: torch.Tensor) -> torch.Tensor:
    """Mean under an 11 × 11 Gaussian of σ = 1.5, as two passes: (b, c, h, w) -> (b, c, h-10, w-10)."""
    line = torch.exp(-torch.arange(-5, 6, device=x.device, dtype=x.dtype).square() / (2 * 1.5**2))
    line = (line / line.sum()).expand(x.shape[1], 1, 11)                        # c 1 11
    x = F.conv2d(x, line[:, :, :, None], groups=x.shape[1])                     # b c h-10 w
    return F.conv2d(x, line[:, :, None, :], groups=x.shape[1])                  # b c h-10 w-10


def _pair(owner: str, prediction: torch.Tensor, target: torch.Tensor, data_range: float,
          border: int) -> tuple[torch.Tensor, torch.Tensor]:
    for x in (prediction, target):
        check_input(owner, x, "b c h w")
    if prediction.shape != target.shape or prediction.dtype != target.dtype:
        raise ValueError(f"{owner}: expected two pictures of one shape and dtype, got {tuple(prediction.shape)} {prediction.dtype}"
                         f" and {tuple(target.shape)} {target.dtype}; resize or convert one of them first")
    check_integers(owner, at_least=0, border=border)
    if not data_range > 0:
        raise ValueError(f"{owner}: expected data_range above 0, got {data_range!r}; 1.0 for pixels in [0, 1], 255 for bytes")
    if 2 * border >= min(prediction.shape[2:]):
        raise ValueError(f"{owner}: expected a border that leaves something, got border={border} and "
                         f"{tuple(prediction.shape)}; the scale factor is usual")
    inner = slice(border, -border or None)
    return prediction[:, :, inner, inner], target[:, :, inner, inner]


class ImageQuality(Metric):
    """Mean PSNR and SSIM over pictures: the mean of each picture's decibels, as papers report it.

    Args:
        data_range: see :func:`psnr`.
        border: see :func:`psnr`.

    >>> seen = ImageQuality()
    >>> seen.update(torch.full((2, 3, 16, 16), 0.6), torch.full((2, 3, 16, 16), 0.5))
    >>> round(seen.compute()["psnr"], 2)
    20.0
    """

    def __init__(self, data_range: float = 1.0, border: int = 0):
        self.data_range, self.border = data_range, border
        zero = torch.zeros((), dtype=torch.float64)
        super().__init__(psnr=zero, ssim=zero, pictures=zero)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Compare a batch; arguments as :func:`psnr`. Nothing is clipped: clamp first if your pictures are shown clamped."""
        settings = {"data_range": self.data_range, "border": self.border}
        with torch.no_grad():
            self._add(psnr=psnr(prediction, target, **settings).double().sum(),
                      ssim=ssim(prediction, target, **settings).double().sum(), pictures=torch.tensor(float(len(target))))

    def compute(self) -> dict[str, float]:
        """``psnr`` in decibels and ``ssim``, means over pictures; NaN if there were none."""
        return {name: ratio(self.sums[name], self.sums["pictures"]).item() for name in ("psnr", "ssim")}
