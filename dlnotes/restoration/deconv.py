"""Detail-enhanced convolution: a plain 3 × 3 kernel and four that can only see differences, which fold into one.

Each difference kernel sums to zero, so a flat region is invisible to it and an edge is not. A convolution is linear in its
kernel: the five outputs added are the output of the five kernels added, and after training only that one kernel is kept.

Source: Chen, He, Lu, "DEA-Net", IEEE TIP 33, 2024, section III (detail-enhanced convolution and its
re-parameterisation).
Departures: the kernels are added on every device (the released code makes them on CUDA only). As there, five biases are
learned where one would do.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers

__all__ = ["DetailEnhancedConv", "angular_difference", "central_difference", "fold", "horizontal_difference",
           "vertical_difference"]


def central_difference(weight: torch.Tensor) -> torch.Tensor:
    """Every tap compares a neighbour with the centre: (..., 3, 3) to (..., 3, 3).

    >>> central_difference(torch.ones(3, 3))
    tensor([[ 1.,  1.,  1.],
            [ 1., -8.,  1.],
            [ 1.,  1.,  1.]])
    """
    centre = torch.zeros(3, 3, dtype=weight.dtype, device=weight.device)
    centre[1, 1] = 1
    return weight - weight.sum(dim=(-2, -1), keepdim=True) * centre         # ... 3 3


def angular_difference(weight: torch.Tensor) -> torch.Tensor:
    """The kernel minus itself turned clockwise by one step, 45 degrees: (..., 3, 3) to (..., 3, 3).

    >>> angular_difference(torch.arange(9.0).reshape(3, 3))
    tensor([[-3.,  1.,  1.],
            [-3.,  0.,  3.],
            [-1., -1.,  3.]])
    """
    came_from = [3, 0, 1, 6, 4, 2, 7, 8, 5]                                 # 0 1 2 / 3 4 5 / 6 7 8: the ring moves by one
    return weight - weight.flatten(-2)[..., came_from].unflatten(-1, (3, 3))        # ... 3 3


def horizontal_difference(column: torch.Tensor) -> torch.Tensor:
    """Left column minus right column, as in Sobel's and Prewitt's operators: (..., 3) to (..., 3, 3).

    >>> horizontal_difference(torch.tensor([1.0, 2.0, 1.0]))
    tensor([[ 1.,  0., -1.],
            [ 2.,  0., -2.],
            [ 1.,  0., -1.]])
    """
    return torch.stack([column, torch.zeros_like(column), -column], dim=-1)         # ... 3 3


def vertical_difference(row: torch.Tensor) -> torch.Tensor:
    """Upper row minus lower row: (..., 3) to (..., 3, 3).

    >>> vertical_difference(torch.tensor([1.0, 2.0, 1.0]))
    tensor([[ 1.,  2.,  1.],
            [ 0.,  0.,  0.],
            [-1., -2., -1.]])
    """
    return torch.stack([row, torch.zeros_like(row), -row], dim=-2)                  # ... 3 3


class DetailEnhancedConv(nn.Module):
    """DEConv in its training form: five kernels are learned, and their sum convolves once.

    Args:
        channels: in and out.

    >>> layer, x = DetailEnhancedConv(8), torch.randn(2, 8, 6, 6)
    >>> torch.allclose(layer(x), layer.fold()(x), atol=1e-6)
    True
    """

    def __init__(self, channels: int):
        super().__init__()
        check_integers("DetailEnhancedConv", channels=channels)
        self.channels = channels
        # the layers hold weights and biases; none of them is ever called
        self.vanilla = nn.Conv2d(channels, channels, 3)
        self.central = nn.Conv2d(channels, channels, 3)
        self.angular = nn.Conv2d(channels, channels, 3)
        self.horizontal = nn.Conv1d(channels, channels, 3)
        self.vertical = nn.Conv1d(channels, channels, 3)

    def kernels(self) -> dict[str, torch.Tensor]:
        """The five kernels by name, each (c, c, 3, 3)."""
        return {"vanilla": self.vanilla.weight,
                "central": central_difference(self.central.weight),
                "angular": angular_difference(self.angular.weight),
                "horizontal": horizontal_difference(self.horizontal.weight),
                "vertical": vertical_difference(self.vertical.weight)}

    def kernel(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The one kernel (c, c, 3, 3) and bias (c,) that the five come to."""
        layers = (self.vanilla, self.central, self.angular, self.horizontal, self.vertical)
        return sum(self.kernels().values()), sum(layer.bias for layer in layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c, h, w) to (b, c, h, w), zeros around the border; raises ValueError where the channels do not fit."""
        check_input("DetailEnhancedConv", x, "b c h w", c=self.channels, like=self)
        return F.conv2d(x, *self.kernel(), padding=1)                               # b c h w

    def fold(self) -> nn.Conv2d:
        """The inference form: an ordinary convolution that computes the same."""
        weight, bias = self.kernel()
        conv = nn.Conv2d(self.channels, self.channels, 3, padding=1, device=weight.device, dtype=weight.dtype)
        with torch.no_grad():
            conv.weight.copy_(weight)
            conv.bias.copy_(bias)
        return conv.train(self.training)


def fold(network: nn.Module) -> nn.Module:
    """A copy of any network with every :class:`DetailEnhancedConv` folded; the network itself stays as it is.

    >>> fold(nn.Sequential(DetailEnhancedConv(8), nn.ReLU()))
    Sequential(
      (0): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
    )
    """
    if isinstance(network, DetailEnhancedConv):
        return network.fold()
    folded = copy.deepcopy(network)
    for parent in list(folded.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DetailEnhancedConv):
                setattr(parent, name, child.fold())
    return folded
