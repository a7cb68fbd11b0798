"""Omni-kernel module: every pixel looks at three distances at once: itself, 63 pixels around, and the whole picture.

Three very large depth-wise kernels (a row, a column, a square) reach far, a 1 × 1 kernel stays, and the Fourier transform
reaches everywhere: each coefficient of the spectrum depends on all pixels, so a product in the spectrum is global.

Source: Cui, Ren, Knoll, "Omni-Kernel Network for Image Restoration", AAAI 2024 (omni-kernel module; dual-domain channel
attention; frequency-gated mechanism).
The global branch is ``dlnotes.fourier.DualDomainAttention``; as in the released code, none of its attentions passes through a
sigmoid. Departure: the 3 × 3 convolution that the released code makes in its gate and never calls is left out.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers
from dlnotes.fourier.modules import DualDomainAttention

__all__ = ["OmniKernel"]


class OmniKernel(nn.Module):
    """The sum of a local, a large and a global branch, and of the input: conv(ReLU(x + large(u) + local(u) + global(u))).

    Args:
        channels: in and out.
        kernel_size: side of the large kernels in pixels, odd.

    Raises:
        ValueError: if a size is not a positive integer, or ``kernel_size`` is even.

    >>> OmniKernel(8)(torch.zeros(2, 8, 16, 20)).shape
    torch.Size([2, 8, 16, 20])
    >>> sum(p.numel() for p in OmniKernel(128).parameters())
    624128
    """

    def __init__(self, channels: int, kernel_size: int = 63):
        super().__init__()
        check_integers("OmniKernel", channels=channels, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"OmniKernel: expected an odd kernel_size, got {kernel_size}; an even one has no middle pixel")
        self.channels = channels

        def depthwise(height: int, width: int) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, (height, width), padding=(height // 2, width // 2), groups=channels)

        self.project_in = nn.Conv2d(channels, channels, 1)
        self.row = depthwise(1, kernel_size)
        self.column = depthwise(kernel_size, 1)
        self.square = depthwise(kernel_size, kernel_size)
        self.point = depthwise(1, 1)
        self.dual_domain = DualDomainAttention(channels)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c, h, w) of any size to (b, c, h, w); raises ValueError where the channels do not fit."""
        check_input("OmniKernel", x, "b c h w", c=self.channels, like=self)
        u = F.gelu(self.project_in(x))                                              # b c h w
        large = self.row(u) + self.column(u) + self.square(u)                       # b c h w
        everywhere = self.dual_domain(u)                                            # b c h w
        return self.project_out(F.relu(x + large + self.point(u) + everywhere))     # b c h w
