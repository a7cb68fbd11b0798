"""Convolution through the spectrum, and taking every second pixel without aliasing.

A product of spectra is a circular convolution of pictures; zero padding makes room, so that nothing wraps into the part
that is kept. Blur pooling: Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019, section 3.2.
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from ._checks import check_size, check_tensor

__all__ = ["binomial_kernel", "blur_pool", "fft_convolve2d"]


def fft_convolve2d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *,
                   padding: int | tuple[int, int] = 0, groups: int = 1, flip: bool = False) -> torch.Tensor:
    """``F.conv2d`` with stride 1, computed as a product of spectra.

    Like ``F.conv2d`` it slides the kernel as it is (cross-correlation): the spectrum of the kernel enters conjugated.
    For a given padded size the cost does not depend on the size of the kernel.

    Args:
        x: (b, c, h, w) float32 or float64.
        weight: (o, c // groups, kh, kw), dtype of ``x``. bias: (o,) or None.
        padding: zeros on each side, one number or (rows, columns).
        groups: as in ``F.conv2d``; ``groups=c`` is a depthwise convolution.
        flip: turn the kernel by half a turn first: convolution in the mathematical sense.

    Returns:
        (b, o, h + 2 p - kh + 1, w + 2 p - kw + 1), equal to ``F.conv2d`` up to rounding.

    Raises:
        TypeError: for another dtype. ValueError: if shapes do not fit together.
    """
    check_tensor(x, "fft_convolve2d", dims=4)
    check_tensor(weight, "fft_convolve2d", name="weight", kinds=(x.dtype,), dims=4)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    if min(rows, columns) < 0:
        raise ValueError(f"fft_convolve2d: expected padding of at least 0, got {padding}; crop the picture instead")
    check_size("fft_convolve2d", groups=groups)
    (b, c, h, w), (o, inner, kh, kw) = x.shape, weight.shape
    if c % groups or o % groups or inner != c // groups:
        raise ValueError(f"fft_convolve2d: expected weight (o, {c}/groups, kh, kw), with {c} and o divisible by "
                         f"groups={groups}, got x {tuple(x.shape)} and weight {tuple(weight.shape)}; check the channels")
    if bias is not None and bias.shape != (o,):
        raise ValueError(f"fft_convolve2d: expected bias of shape ({o},), got {tuple(bias.shape)}; "
                         f"one number per output channel")
    size = (h + 2 * rows, w + 2 * columns)
    if kh > size[0] or kw > size[1]:
        raise ValueError(f"fft_convolve2d: expected a kernel no larger than the padded picture {size}, got {(kh, kw)}; "
                         f"pad more")
    if flip:
        weight = weight.flip(-2, -1)                                             # o c kh kw
    padded = F.pad(x, (columns, columns, rows, rows))                            # b c H W
    picture = rearrange(torch.fft.rfft2(padded), "b (g c) h w -> b g c h w", g=groups)
    kernel = rearrange(torch.fft.rfft2(weight, s=size), "(g o) c h w -> g o c h w", g=groups)
    product = torch.einsum("bgchw,gochw->bgohw", picture, kernel.conj())         # b g o H W//2+1
    full = torch.fft.irfft2(rearrange(product, "b g o h w -> b (g o) h w"), s=size)
    valid = full[..., : size[0] - kh + 1, : size[1] - kw + 1]                    # the rest has wrapped around
    return valid if bias is None else valid + bias[:, None, None]


def binomial_kernel(taps: int, *, dtype: torch.dtype = torch.float32,
                    device: torch.device | str | None = None) -> torch.Tensor:
    """Row of Pascal's triangle with sum 1: [1], [1, 1]/2, [1, 2, 1]/4, [1, 3, 3, 1]/8, ...

    Args:
        taps: number of weights. dtype, device: of the result.

    Returns:
        (taps,). Its transfer at frequency f (cycles per pixel) is ``cos(pi f) ** (taps - 1)``: zero at f = 1/2.

    Raises:
        ValueError: if ``taps`` is not a positive integer.

    >>> binomial_kernel(3)
    tensor([0.2500, 0.5000, 0.2500])
    """
    check_size("binomial_kernel", taps=taps)
    row = torch.ones(1, dtype=torch.float64)
    for _ in range(taps - 1):
        row = (F.pad(row, (1, 0)) + F.pad(row, (0, 1))) / 2                      # one weight longer
    return row.to(dtype).to(device)


def blur_pool(x: torch.Tensor, stride: int = 2, taps: int = 3) -> torch.Tensor:
    """Blur with a binomial kernel, then keep every ``stride``-th pixel: a stride that aliases less.

    Args:
        x: (b, c, h, w) float32 or float64.
        stride: keep one pixel in ``stride``.
        taps: length of the kernel in each direction; 1 is the plain stride ``x[..., ::stride, ::stride]``.

    Returns:
        (b, c, ceil(h / stride), ceil(w / stride)). Borders are reflected, as in Zhang's code.

    Raises:
        TypeError: for another dtype. ValueError: if ``x`` has not four axes, ``stride`` or ``taps`` is no positive integer,
            or the picture is too small to be reflected.
    """
    check_tensor(x, "blur_pool", dims=4)
    check_size("blur_pool", stride=stride, taps=taps)
    before, after = (taps - 1) // 2, taps // 2
    if min(x.shape[-2:]) <= after:
        raise ValueError(f"blur_pool: expected height and width above {after} to reflect the border for taps={taps}, got "
                         f"{tuple(x.shape)}; use fewer taps")
    row = binomial_kernel(taps, dtype=x.dtype, device=x.device)
    kernel = torch.outer(row, row).expand(x.shape[1], 1, taps, taps)             # c 1 taps taps
    padded = F.pad(x, (before, after, before, after), mode="reflect")            # b c h+taps-1 w+taps-1
    return F.conv2d(padded, kernel, stride=stride, groups=x.shape[1])            # b c ceil(h/stride) ceil(w/stride)
