"""A 3-D convolution on a single plane: what a 3 × 3 × 3 kernel can do when the depth axis has length 1.

HCANet's code gives each feature map a depth axis of 1 and pads it with zeros on both sides. The kernel's first and last
slice then always lie on the padding: they multiply zeros, receive zero gradients, and never matter. Only the middle slice
acts, as an ordinary 3 × 3 convolution. :class:`PlaneConv3d` is what the code does; :func:`fold_planes` keeps what
matters.

Source: code of Hu et al., "Hybrid Convolutional and Attention Network for Hyperspectral Image Denoising", IEEE GRSL 2024.
The folding is ours; it computes the same with a third of the weights and multiply-adds of these layers.
"""

import copy

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["PlaneConv3d", "fold_planes"]


class PlaneConv3d(nn.Conv3d):
    """``nn.Conv3d`` with kernel 3 and padding 1, on maps (b, c, h, w) instead of volumes.

    Args:
        in_channels, out_channels: channels before and after, divisible by ``groups``.
        groups, bias: as for ``nn.Conv3d``.

    Raises:
        ValueError: if a number is not a positive integer, or the channels are not divisible by ``groups``.

    >>> layer = PlaneConv3d(4, 6)
    >>> layer.weight.shape, layer(torch.randn(1, 4, 10, 12)).shape
    (torch.Size([6, 4, 3, 3, 3]), torch.Size([1, 6, 10, 12]))
    """

    def __init__(self, in_channels: int, out_channels: int, groups: int = 1, bias: bool = False):
        check_integers("PlaneConv3d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        check_divisible("PlaneConv3d", "groups", groups, in_channels=in_channels, out_channels=out_channels)
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve a map (b, in_channels, h, w) to (b, out_channels, h, w); refuses other shapes and dtypes."""
        check_input("PlaneConv3d", x, "b c h w", c=self.in_channels, like=self.weight)
        return super().forward(x.unsqueeze(2)).squeeze(2)                   # b c 1 h w -> b c' h w

    def folded(self) -> nn.Conv2d:
        """The 3 × 3 convolution that computes the same: a copy of the middle slice, and of the bias."""
        flat = nn.Conv2d(self.in_channels, self.out_channels, 3, padding=1, groups=self.groups, bias=self.bias is not None)
        flat = flat.to(device=self.weight.device, dtype=self.weight.dtype).train(self.training)
        with torch.no_grad():
            flat.weight.copy_(self.weight[:, :, 1])                         # c' c/groups 3 3
            if self.bias is not None:
                flat.bias.copy_(self.bias)
        return flat


def fold_planes(model: nn.Module) -> nn.Module:
    """A copy of a network in which every :class:`PlaneConv3d` is the 2-D convolution that it amounts to.

    Args:
        model: any network; it is not changed.

    Returns:
        The copy. It gives the same output, faster, but no longer has the shapes of the authors' checkpoint.

    >>> fold_planes(nn.Sequential(PlaneConv3d(4, 6)))
    Sequential(
      (0): Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    )
    """
    if isinstance(model, PlaneConv3d):
        return model.folded()
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, PlaneConv3d):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.folded())
    return model
