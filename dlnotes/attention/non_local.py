"""Non-local block: every position of a feature map looks at every other, and adds what it finds to itself.

The block can be put anywhere in a convolutional network: it begins as the identity, since the scale of its last
normalisation begins at zero.
Source: Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018, sections 3.2 (equations 2 to 4) and 3.3
(equation 6; subsampling); the normalisation is in section 4.1.
Departures, both those of the authors' code: the embedded Gaussian divides the scores by √(inner width), which equation 3
does not; ``subsample`` pools the input of φ and g, not their output, and so saves more. Departures of our own: pictures
only, no video, and no concatenation form (equation 5).
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers

from .scaled_dot_product import fused_attention

__all__ = ["NonLocal"]


class NonLocal(nn.Module):
    """y = x + norm(out(Σⱼ f(xᵢ, xⱼ) g(xⱼ) / C(x))), with one of three ways f to compare two positions.

    - ``"embedded_gaussian"``: f = exp(θ(xᵢ)·φ(xⱼ) / √inner), C the sum over j: attention, with one head.
    - ``"gaussian"``: f = exp(xᵢ·xⱼ): the same on the map itself, without θ and φ.
    - ``"dot_product"``: f = θ(xᵢ)·φ(xⱼ), C the number of positions: no softmax, weights of either sign.

    Args:
        channels: of the map.
        inner: width of θ, φ and g; half of ``channels`` when None.
        kind: which f.
        subsample: compare with the maxima of 2 by 2 positions: a quarter of the keys.

    Raises:
        ValueError: if a width is not a positive integer, or ``kind`` is none of the three.

    >>> block, x = NonLocal(64), torch.randn(2, 64, 14, 14)
    >>> torch.equal(block(x), x)                        # it begins as the identity
    True
    """

    def __init__(self, channels: int, inner: int | None = None, kind: str = "embedded_gaussian", subsample: bool = False):
        super().__init__()
        inner = max(channels // 2, 1) if inner is None else inner
        check_integers("NonLocal", channels=channels, inner=inner)
        check_choice("NonLocal", ("embedded_gaussian", "gaussian", "dot_product"), kind=kind)
        self.channels, self.kind, self.subsample = channels, kind, subsample
        embedded = kind != "gaussian"
        self.pool = nn.MaxPool2d(2) if subsample else nn.Identity()
        self.theta = nn.Conv2d(channels, inner, kernel_size=1) if embedded else nn.Identity()
        self.phi = nn.Conv2d(channels, inner, kernel_size=1) if embedded else nn.Identity()
        self.g = nn.Conv2d(channels, inner, kernel_size=1)
        self.out = nn.Conv2d(inner, channels, kernel_size=1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add to every position what all others tell it.

        Args:
            x: (b, channels, h, w), height and width even with ``subsample``.

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError: if a size does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("NonLocal", x, "b c h w", c=self.channels, multiple=2 if self.subsample else 1, like=self)
        h = x.shape[2]
        keys = self.pool(x)                                                         # b c h w, or b c h/2 w/2
        q, k, v = _tokens(self.theta(x)), _tokens(self.phi(keys)), _tokens(self.g(keys))        # b 1 n d, b 1 m d, b 1 m d
        if self.kind == "dot_product":
            y = q @ k.mT / k.shape[-2] @ v                                          # b 1 n d
        else:
            y = fused_attention(q, k, v, scale=1.0 if self.kind == "gaussian" else None)        # b 1 n d
        y = rearrange(y, "b 1 (h w) d -> b d h w", h=h)                             # b d h w
        return x + self.norm(self.out(y))                                           # b c h w


def _tokens(x: torch.Tensor) -> torch.Tensor:
    """A map as the tokens of one head; the fused kernel wants the numbers of a token side by side."""
    return rearrange(x, "b d h w -> b 1 (h w) d").contiguous()                      # b 1 n d
