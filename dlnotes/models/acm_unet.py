"""ACM U-Net: a small residual U-Net for infrared targets of a few pixels; its skips are joined by asymmetric modulation.

With the tiny stem even the deepest map keeps a quarter of the picture's height and width: in a coarser one the target would
be gone. Half a million parameters do.

Source: Dai, Wu, Zhou and Barnard, "Asymmetric Contextual Modulation for Infrared Small Target Detection", WACV 2021; class
``ASKCResUNet`` of the authors' MXNet code (open-acm), whose names the parameters carry. Residual blocks: He et al., CVPR
2016, as in GluonCV's CIFAR ResNet.
Departures: none from the authors' code. The PyTorch ports resize the strided form's output without ``align_corners``, where
MXNet's operator keeps corners on corners; that of BasicIRSTD returns the sigmoid of it.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_choice, check_divisible, check_input, check_integers, check_probability
from dlnotes.small_target.acm import AsymmetricModulation

from ._build import build

__all__ = ["ACMUNet", "acm_unet"]


class Residual(nn.Module):
    """Two 3×3 convolutions with batch norm, around which the input is added; ReLU after the sum."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )
        self.downsample = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.downsample(x))                    # b c h/stride w/stride


def stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Residual blocks, the first of which may change the number of channels and the resolution."""
    return nn.Sequential(Residual(in_channels, channels, stride),
                         *(Residual(channels, channels, stride=1) for _ in range(blocks - 1)))


def conv_norm(in_channels: int, channels: int, stride: int = 1) -> list[nn.Module]:
    """3×3 convolution without bias, batch norm, ReLU."""
    return [nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU()]


class ACMUNet(nn.Module):
    """Residual U-Net with asymmetric contextual modulation. The output is logits.

    The picture is normalised by a batch norm whose scale and shift are frozen at 1 and 0: parameters, because the authors
    count and save them, but without a gradient.

    Args:
        in_channels: channels of the picture.
        num_classes: channels of the output.
        width: channels of the first stage, divisible by 4; 2 and 4 times as many in the second and third.
        blocks: residual blocks in each of the five stages.
        stem: ``"tiny"``: one convolution at full resolution; ``"strided"``: three of them and a pooling, to a quarter; the
            output is resized to the picture.
        dropout: before the last convolution, in training.

    Raises:
        ValueError: if a size is not a positive integer, ``width`` not divisible by 4, ``stem`` neither of the two, or
            ``dropout`` not in [0, 1).

    >>> ACMUNet(blocks=1)(torch.zeros(2, 3, 24, 32)).shape
    torch.Size([2, 1, 24, 32])
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 1, width: int = 16, blocks: int = 4, stem: str = "tiny",
                 dropout: float = 0.1):
        super().__init__()
        check_integers("ACMUNet", in_channels=in_channels, num_classes=num_classes, width=width, blocks=blocks)
        check_divisible("ACMUNet", "4", 4, width=width)
        check_choice("ACMUNet", ("tiny", "strided"), stem=stem)
        check_probability("ACMUNet", dropout=dropout)
        self.in_channels = in_channels
        normalise = nn.BatchNorm2d(in_channels).requires_grad_(False)
        if stem == "tiny":
            self.multiple = 4
            self.stem = nn.Sequential(normalise, *conv_norm(in_channels, width))                    # b c h w
        else:
            self.multiple = 16
            half = width // 2
            self.stem = nn.Sequential(
                normalise, *conv_norm(in_channels, half, stride=2),                                 # b c/2 h/2 w/2
                *conv_norm(half, half), *conv_norm(half, width), nn.MaxPool2d(3, 2, padding=1))     # b c h/4 w/4
        self.layer1 = stage(width, width, blocks, stride=1)
        self.layer2 = stage(width, 2 * width, blocks, stride=2)
        self.layer3 = stage(2 * width, 4 * width, blocks, stride=2)
        self.deconv2 = nn.ConvTranspose2d(4 * width, 2 * width, kernel_size=4, stride=2, padding=1)
        self.fuse2 = AsymmetricModulation(2 * width)
        self.uplayer2 = stage(2 * width, 2 * width, blocks, stride=1)
        self.deconv1 = nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1)
        self.fuse1 = AsymmetricModulation(width)
        self.uplayer1 = stage(width, width, blocks, stride=1)
        self.head = nn.Sequential(*conv_norm(width, width // 4), nn.Dropout(dropout),
                                  nn.Conv2d(width // 4, num_classes, kernel_size=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel.

        Args:
            x: pictures (b, in_channels, h, w), h and w divisible by 4 (strided stem: by 16). In training b is at least 2,
                see :class:`~dlnotes.small_target.acm.AsymmetricModulation`.

        Returns:
            (b, num_classes, h, w).

        Raises:
            ValueError: if the shape does not fit, or in training b is 1.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("ACMUNet", x, "b c h w", c=self.in_channels, multiple=self.multiple, like=self)
        size = x.shape[2:]
        c1 = self.layer1(self.stem(x))                                      # b c h w, with the strided stem h/4 w/4
        c2 = self.layer2(c1)                                                # b 2c h/2 w/2
        c3 = self.layer3(c2)                                                # b 4c h/4 w/4
        up2 = self.uplayer2(self.fuse2(self.deconv2(c3), c2))               # b 2c h/2 w/2
        up1 = self.uplayer1(self.fuse1(self.deconv1(up2), c1))              # b c h w
        logits = self.head(up1)                                             # b classes h w
        if logits.shape[2:] == size:
            return logits
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)        # b classes 4h 4w


def acm_unet(**config) -> ACMUNet:
    """ACM U-Net as the authors' checkpoint has it, for three channels: 516,875 parameters, 6 of them frozen.

    ``stem="strided", blocks=3, in_channels=1`` is the form of the BasicIRSTD benchmark, 397,823. Settings: those of
    :class:`ACMUNet`.
    """
    return build("acm_unet", ACMUNet, {}, config)
