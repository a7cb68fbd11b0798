"""Layer norm of a feature map: every pixel by itself, over its channels.

A Transformer normalises each token over its width. Here a pixel is the token and its channels are the width, so the same
norm is taken along axis 1 of (b, c, h, w), without moving any axis. Unlike batch norm it needs no batch; unlike
instance norm no pixel depends on another.

Source: Ba et al., "Layer Normalization", 2016, section 3. The form without bias is from the code of Restormer (Zamir et
al., CVPR 2022): it divides by the standard deviation but does not subtract the mean, so scaling the input scales nothing,
and a network of such layers without biases has no constant term to add to a picture. Their denoisers use it.
"""

import torch
from torch import nn

from dlnotes._check import check_input, check_integers

__all__ = ["ChannelNorm"]


class ChannelNorm(nn.Module):
    """Normalise every pixel over its channels, then scale each channel and, with ``bias``, shift it.

    Args:
        channels: channels of the map.
        eps: added to the variance; 1e-5 in Restormer and HCANet, 1e-6 in SAFMN.
        bias: True: subtract the mean, divide, scale, shift. False: divide and scale only.

    Raises:
        ValueError: if ``channels`` is not a positive integer or ``eps`` not positive.

    >>> x = torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 4, 1, 1)      # one pixel: mean 3, variance 3.5
    >>> ChannelNorm(4)(x).detach().flatten()
    tensor([-1.0690, -0.5345,  0.0000,  1.6036])
    >>> ChannelNorm(4, bias=False)(x).detach().flatten()
    tensor([0.5345, 1.0690, 1.6036, 3.2071])
    """

    def __init__(self, channels: int, eps: float = 1e-5, bias: bool = True):
        super().__init__()
        check_integers("ChannelNorm", channels=channels)
        if not eps > 0:
            raise ValueError(f"ChannelNorm: expected eps above 0, got {eps!r}; 1e-5 is usual")
        self.channels, self.eps = channels, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise a map.

        Args:
            x: (b, channels, h, w).

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError, TypeError: if x has another shape or another dtype than the weights.
        """
        check_input("ChannelNorm", x, "b c h w", c=self.channels, like=self.weight)
        centred = x - x.mean(dim=1, keepdim=True)                           # b c h w
        variance = centred.square().mean(dim=1, keepdim=True)               # b 1 h w
        scale = self.weight[:, None, None]                                  # c 1 1
        if self.bias is None:
            return x * torch.rsqrt(variance + self.eps) * scale             # b c h w
        return centred * torch.rsqrt(variance + self.eps) * scale + self.bias[:, None, None]    # b c h w

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, bias={self.bias is not None}"
