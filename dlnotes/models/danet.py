"""DANet's head: attention over positions and attention over channels read one map side by side, and their results are added.

It reads the last map of a dilated ResNet (2048 channels at an eighth of the picture's size) and gives class scores at that
size; each branch gives scores of its own too, for a loss on each.
Source: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019, section 3.1, figure 2, and the authors' code.
Departures: the head alone, without the ResNet and without the enlargement to the picture. The two branches and the three
classifiers have names here; the authors number them conv5a to conv8.
"""

import torch
from torch import nn

from dlnotes._check import check_input, check_integers, check_probability
from dlnotes.attention.dual import ChannelAffinity, PositionAttention

from ._build import build

__all__ = ["DANetHead", "danet_head"]


class ConvBNReLU(nn.Sequential):
    """A 3 by 3 convolution that keeps height and width, normalised and rectified."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
                         nn.BatchNorm2d(out_channels), nn.ReLU())


class Classifier(nn.Sequential):
    """Scores for each position; in training, whole channels are dropped first."""

    def __init__(self, channels: int, num_classes: int, dropout: float):
        super().__init__(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, kernel_size=1))


class DANetHead(nn.Module):
    """From the last feature map to three maps of class scores.

    Args:
        in_channels: of the backbone's map.
        num_classes: number of classes.
        channels: width of the two branches; divisible by 8, as the position attention asks.
        dropout: probability of dropping a channel before a classifier.

    Raises:
        ValueError: if a size is not a positive integer, or ``channels`` not divisible by 8.

    >>> head = DANetHead(in_channels=64, num_classes=5, channels=16)
    >>> [scores.shape for scores in head(torch.randn(2, 64, 9, 12))]
    [torch.Size([2, 5, 9, 12]), torch.Size([2, 5, 9, 12]), torch.Size([2, 5, 9, 12])]
    """

    def __init__(self, in_channels: int = 2048, num_classes: int = 19, channels: int = 512, dropout: float = 0.1):
        super().__init__()
        check_integers("DANetHead", in_channels=in_channels, num_classes=num_classes, channels=channels)
        check_probability("DANetHead", dropout=dropout)
        self.in_channels = in_channels
        self.position_in = ConvBNReLU(in_channels, channels)
        self.position = PositionAttention(channels)
        self.position_out = ConvBNReLU(channels, channels)
        self.channel_in = ConvBNReLU(in_channels, channels)
        self.channel = ChannelAffinity()
        self.channel_out = ConvBNReLU(channels, channels)
        self.classify_sum = Classifier(channels, num_classes, dropout)
        self.classify_position = Classifier(channels, num_classes, dropout)
        self.classify_channel = Classifier(channels, num_classes, dropout)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores from both branches together, from the positions' branch, and from the channels'.

        Args:
            x: (b, in_channels, h, w).

        Returns:
            Three tensors (b, num_classes, h, w). The first is the prediction; training adds up the losses of all three.

        Raises:
            ValueError: if a size does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("DANetHead", x, "b c h w", c=self.in_channels, like=self)
        position = self.position_out(self.position(self.position_in(x)))                # b channels h w
        channel = self.channel_out(self.channel(self.channel_in(x)))                    # b channels h w
        return self.classify_sum(position + channel), self.classify_position(position), self.classify_channel(channel)


def danet_head(**config) -> DANetHead:
    """The head for a ResNet-50 or -101 and 19 classes (Cityscapes): 23,954,619 parameters. Settings: :class:`DANetHead`."""
    return build("danet_head", DANetHead, {}, config)
