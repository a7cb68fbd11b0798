"""Layers that work on spectra: a global filter, and OKNet's attention in two domains.

Global filter: Rao et al., "Global Filter Networks for Image Classification", NeurIPS 2021, section 3; departure: channels
before space. Dual-domain attention and frequency gate: Cui, Ren and Knoll, "Omni-Kernel Network for Image Restoration",
AAAI 2024, after the authors' code (no sigmoid; the modulus of the complex inverse); departure: the convolution that their
gate builds and never calls is left out.
"""

import torch
from torch import nn

from dlnotes._check import check_input

from ._checks import check_size

__all__ = ["DualDomainAttention", "FrequencyGate", "GlobalFilter"]


class GlobalFilter(nn.Module):
    """Multiply the spectrum of every channel by learnable complex numbers: a circular depthwise convolution whose kernel is
    as large as the feature map.

    Args:
        c: channels. h, w: the only size of feature map that the layer accepts.

    Attributes:
        weight: (c, h, w // 2 + 1, 2) real and imaginary parts for the bins of ``rfft2``, drawn with deviation 0.02.

    Shape: (b, c, h, w) to (b, c, h, w).

    >>> sum(p.numel() for p in GlobalFilter(3, 8, 6).parameters()) == 3 * 8 * (6 // 2 + 1) * 2
    True
    """

    def __init__(self, c: int, h: int, w: int):
        super().__init__()
        check_size("GlobalFilter", c=c, h=h, w=w)
        self.size = (h, w)
        self.weight = nn.Parameter(0.02 * torch.randn(c, h, w // 2 + 1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter ``x`` (b, c, h, w). Raises ValueError for another size, TypeError for another dtype than the weight's."""
        check_input("GlobalFilter", x, "b c h w", c=self.weight.shape[0], like=self.weight)
        if x.shape[2:] != self.size:
            raise ValueError(f"GlobalFilter: expected height and width {self.size}, got {tuple(x.shape)}; "
                             "the filter has one weight per frequency: build the layer for this size")
        spectrum = torch.fft.rfft2(x, norm="ortho")                              # b c h w//2+1
        spectrum = spectrum * torch.view_as_complex(self.weight)                 # b c h w//2+1
        return torch.fft.irfft2(spectrum, s=self.size, norm="ortho")             # b c h w


class FrequencyGate(nn.Module):
    """OKNet's gate: a learned map of the features multiplies the spectrum of another, frequency by frequency.

    ``out = alpha * |IFFT2(gate(x) * FFT2(value(x)))| + beta * x`` with pointwise convolutions, alpha = 0 and beta = 1 at
    the start, so that the untrained gate is the identity. The map ``gate(x)`` is laid out in space and read as one number
    for every frequency: its entry at (row, column) scales the bin of the same index, the upper left corner the mean. It has
    not the symmetry of a real signal's spectrum, so what comes back is complex.

    Args:
        c: channels.

    Shape: (b, c, h, w) to (b, c, h, w), any size.

    >>> x = torch.randn(2, 8, 5, 7)
    >>> torch.equal(FrequencyGate(8)(x), x)
    True
    """

    def __init__(self, c: int):
        super().__init__()
        check_size("FrequencyGate", c=c)
        self.gate, self.value = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.alpha, self.beta = nn.Parameter(torch.zeros(c, 1, 1)), nn.Parameter(torch.ones(c, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate ``x`` (b, c, h, w). Raises TypeError or ValueError if it is not such a tensor."""
        check_input("FrequencyGate", x, "b c h w", c=len(self.alpha), like=self.alpha)
        value = self.value(x)                                                    # b c h w
        # Fourier transforms know no bfloat16: at least 32 bits there and back
        spectrum = torch.fft.fft2(value.to(torch.promote_types(value.dtype, torch.float32)))       # b c h w, complex
        gated = torch.fft.ifft2(self.gate(x) * spectrum).abs().to(value.dtype)   # b c h w, real
        return self.alpha * gated + self.beta * x                                # b c h w


class DualDomainAttention(nn.Module):
    """OKNet's global branch: channel attention on the spectrum, channel attention in space, then :class:`FrequencyGate`.

    ``F1 = |IFFT2(f(mean u) * FFT2(u))|``, ``F2 = s(mean F1) * F1``, ``out = gate(F2)``. One number per channel scales a
    whole spectrum, and the transform is linear, so ``F1`` is ``|f(mean u) * u|``, and both transforms are left out here:
    tests/test_fourier.py ties the two. All that the round trip leaves behind is the absolute value.

    Args:
        c: channels.

    Shape: (b, c, h, w) to (b, c, h, w), any size.
    """

    def __init__(self, c: int):
        super().__init__()
        check_size("DualDomainAttention", c=c)
        self.frequency, self.space = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.gate = FrequencyGate(c)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Attend over the channels of ``u`` (b, c, h, w). Raises TypeError or ValueError if it is not such a tensor."""
        check_input("DualDomainAttention", u, "b c h w", c=self.space.in_channels, like=self)
        f1 = (self.frequency(u.mean((-2, -1), keepdim=True)) * u).abs()          # b c h w
        f2 = self.space(f1.mean((-2, -1), keepdim=True)) * f1                    # b c h w
        return self.gate(f2)
