"""Efficient channel attention: the gate of a channel needs only its neighbours, so one short 1-D convolution is enough.

Squeeze-and-excitation narrows the channels before it widens them again, and no channel meets its own gate directly. ECA
slides a kernel of k numbers over the list of channel means instead: k parameters in all, whatever the width.
Source: Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", CVPR 2020, section 3.2
(the gate: sigmoid of a 1-D convolution of the means) and equation 12 (the size of the kernel).
"""

import math

import torch
from torch import nn

from dlnotes._check import check_input, check_integers

__all__ = ["ECA", "eca_kernel_size"]


def eca_kernel_size(channels: int, gamma: int = 2, b: int = 1) -> int:
    """Kernel size for a number of channels: (log2(C) + b) / gamma, cut to an integer, and one more where that is even.

    Equation 12 of the paper, rounded as in the authors' code.

    Args:
        channels: width of the map.
        gamma, b: the paper's constants.

    >>> [eca_kernel_size(c) for c in (64, 256, 512, 1024, 2048)]
    [3, 5, 5, 5, 7]
    """
    check_integers("eca_kernel_size", channels=channels, gamma=gamma)
    check_integers("eca_kernel_size", at_least=0, b=b)
    t = int((math.log2(channels) + b) / gamma)
    return t if t % 2 else t + 1


class ECA(nn.Module):
    """Scale every channel by a gate in (0, 1) that is computed from the means of the ``kernel_size`` channels around it.

    Args:
        kernel_size: odd; :func:`eca_kernel_size` gives the paper's choice for a width. It is the number of parameters.

    Raises:
        ValueError: if ``kernel_size`` is not odd and positive.

    >>> layer = ECA(kernel_size=5)
    >>> layer(torch.randn(2, 64, 7, 5)).shape, sum(p.numel() for p in layer.parameters())
    (torch.Size([2, 64, 7, 5]), 5)
    """

    def __init__(self, kernel_size: int = 3):
        super().__init__()
        check_integers("ECA", kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"ECA: expected an odd kernel_size, got {kernel_size}; take {kernel_size + 1}, so that a "
                             "channel has as many neighbours on either side")
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map (b, c, h, w), each channel times its gate; the gates (b, 1, c) are the output of ``self.gate``."""
        check_input("ECA", x, "b c h w", like=self)
        z = x.mean(dim=(2, 3))                                              # b c
        s = self.gate(self.conv(z[:, None]))                                # b 1 c, channels as the axis of a 1-D signal
        return x * s[:, 0, :, None, None]                                   # b c h w
