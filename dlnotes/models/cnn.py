"""A small convolutional network of our own: look around, halve the map, double the channels, three times; then the mean.

The plan of every classifier since LeNet-5 and VGG (Simonyan and Zisserman, ICLR 2015) in its shortest form, with batch norm
(Ioffe and Szegedy, ICML 2015) and with the mean over the map in front of the head (Lin, Chen, Yan, "Network In Network",
ICLR 2014, section 3.2), which is why it reads pictures of any size. No published network: the figures are ours.
"""

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from dlnotes._check import check_input, check_integers, check_numbers
from dlnotes.capture import record

from ._build import build
from ._conv import check_batch

__all__ = ["SimpleCNN", "simple_cnn"]


class SimpleCNN(nn.Module):
    """Stages of convolution, batch norm, ReLU and pooling, a mean over the map, and one linear layer.

    Args:
        in_channels: channels of the picture.
        num_classes: width of the head.
        widths: channels of each stage; each stage halves the map.
        kernel_size: side of the kernels, odd.

    Raises:
        ValueError: if an argument is none of these.

    >>> model = SimpleCNN(widths=(8, 16))
    >>> model(torch.randn(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    >>> for name, shape in model.shapes(32, 32).items():
    ...     print(f"{name:14} {shape}")
    input          (1, 3, 32, 32)
    stages.0.conv  (1, 8, 32, 32)
    stages.0.norm  (1, 8, 32, 32)
    stages.0.act   (1, 8, 32, 32)
    stages.0.pool  (1, 8, 16, 16)
    stages.1.conv  (1, 16, 16, 16)
    stages.1.norm  (1, 16, 16, 16)
    stages.1.act   (1, 16, 16, 16)
    stages.1.pool  (1, 16, 8, 8)
    mean           (1, 16, 1, 1)
    flatten        (1, 16)
    head           (1, 10)
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 10, widths: Sequence[int] = (16, 32, 64),
                 kernel_size: int = 3):
        super().__init__()
        check_numbers("SimpleCNN", widths=widths)
        check_integers("SimpleCNN", in_channels=in_channels, num_classes=num_classes, kernel_size=kernel_size,
                       **{f"widths[{i}]": width for i, width in enumerate(widths)})
        if kernel_size % 2 == 0:
            raise ValueError(f"SimpleCNN: expected an odd kernel_size, got {kernel_size}; an even kernel has no centre")
        self.in_channels = in_channels
        self.stages = nn.Sequential(*(
            nn.Sequential(OrderedDict(
                conv=nn.Conv2d(c, width, kernel_size, padding=kernel_size // 2, bias=False),    # b width h w
                norm=nn.BatchNorm2d(width),
                act=nn.ReLU(),
                pool=nn.MaxPool2d(2, ceil_mode=True)))                  # b width ⌈h/2⌉ ⌈w/2⌉: an odd last row is kept
            for c, width in zip((in_channels, *widths), widths)))
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores.

        Args:
            x: pictures (b, in_channels, h, w) of any size.

        Returns:
            (b, num_classes).

        Raises:
            ValueError: if the shape does not fit, or one tiny picture is all that there is to train on.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("SimpleCNN", x, "b c h w", c=self.in_channels, like=self)
        check_batch(self, x, stride=2 ** (len(self.stages) - 1))
        x = self.stages(x)                                                      # b widths[-1] h/2ⁿ w/2ⁿ
        x = self.flatten(self.mean(x))                                          # b widths[-1]
        return self.head(x)                                                     # b classes

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """The shape after every layer for one picture, by the layer's name, computed without any numbers.

        A copy of the network runs on PyTorch's device ``"meta"``, where tensors have a shape and no content.
        """
        check_integers("SimpleCNN.shapes", height=height, width=width)
        twin = copy.deepcopy(self).to("meta").eval()
        x = torch.empty(1, self.in_channels, height, width, device="meta", dtype=self.head.weight.dtype)
        with torch.no_grad(), record(twin) as seen:
            twin(x)
        return {"input": tuple(x.shape), **{name: tuple(out.shape) for name, out in seen.activations.items()}}


def simple_cnn(**config) -> SimpleCNN:
    """24,346 parameters; 24,058 for grey pictures (``in_channels=1``). Settings: those of :class:`SimpleCNN`."""
    return build("simple_cnn", SimpleCNN, {}, config)
