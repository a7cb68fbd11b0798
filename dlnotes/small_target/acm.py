"""Asymmetric contextual modulation: two maps of one size gate each other, each in the way that suits it.

The deep map knows what there is, so its average over the whole picture says which channels of the shallow map matter
(top-down, one number per channel). The shallow map knows where it is, and a target of three pixels does not survive an
average over a picture: so it gates the deep map pixel by pixel (bottom-up). Hence asymmetric.

Source: Dai, Wu, Zhou and Barnard, "Asymmetric Contextual Modulation for Infrared Small Target Detection", WACV 2021; class
``AsymBiChaFuse`` of the authors' MXNet code (open-acm), whose names and biases this file follows.
Departures: none. BasicIRSTD's port carries MXNet's batch-norm momentum of 0.9 over as it stands. There it is the share of
the old statistics that stays; PyTorch counts the share of the new ones, and its default of 0.1 says the same.
"""

import torch
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers

__all__ = ["AsymmetricModulation"]


def bottleneck(channels: int, narrow: int) -> list[nn.Module]:
    """Point-wise layers c to c/r to c that end in a gate between 0 and 1."""
    return [nn.Conv2d(channels, narrow, kernel_size=1), nn.BatchNorm2d(narrow), nn.ReLU(),
            nn.Conv2d(narrow, channels, kernel_size=1), nn.BatchNorm2d(channels), nn.Sigmoid()]


class AsymmetricModulation(nn.Module):
    """Fuse two maps of one shape: post(2 · topdown(deep) · shallow + 2 · bottomup(shallow) · deep).

    The factor 2 keeps the scale: a fresh gate is near one half.

    Args:
        channels: of both maps, divisible by ``reduction``.
        reduction: both gates have a bottleneck of ``channels / reduction``.

    Raises:
        ValueError: if a size is not a positive integer, or does not divide.

    >>> fuse = AsymmetricModulation(16)
    >>> fuse(torch.zeros(2, 16, 8, 8), torch.zeros(2, 16, 8, 8)).shape, sum(p.numel() for p in fuse.parameters())
    (torch.Size([2, 16, 8, 8]), 2728)
    """

    def __init__(self, channels: int, reduction: int = 4):
        super().__init__()
        check_integers("AsymmetricModulation", channels=channels, reduction=reduction)
        check_divisible("AsymmetricModulation", "reduction", reduction, channels=channels)
        self.channels = channels
        narrow = channels // reduction
        self.topdown = nn.Sequential(nn.AdaptiveAvgPool2d(1), *bottleneck(channels, narrow))
        self.bottomup = nn.Sequential(*bottleneck(channels, narrow))
        self.post = nn.Sequential(nn.Conv2d(channels, channels, kernel_size=3, padding=1), nn.BatchNorm2d(channels),
                                  nn.ReLU())

    def forward(self, deep: torch.Tensor, shallow: torch.Tensor) -> torch.Tensor:
        """Fuse two maps.

        Args:
            deep: features from the decoder (b, channels, h, w), already upsampled. In training b is at least 2: after the
                average, batch norm has one value per sample and channel.
            shallow: features from the encoder, same shape.

        Returns:
            (b, channels, h, w).

        Raises:
            ValueError: if shapes do not fit, or in training b is 1.
            TypeError: if a dtype is not that of the weights.
        """
        for each in (deep, shallow):
            check_input("AsymmetricModulation", each, "b c h w", c=self.channels, like=self)
        if deep.shape != shallow.shape:
            raise ValueError(f"AsymmetricModulation: expected two maps of one shape, got {tuple(deep.shape)} and "
                             f"{tuple(shallow.shape)}; resize the deep one first, for example with F.interpolate")
        if self.training and len(deep) == 1:
            raise ValueError("AsymmetricModulation: expected a batch of at least 2 in training, got 1; batch norm after a "
                             "global average has nothing to compare it with: enlarge the batch, or call .eval() first")
        which = self.topdown(deep)                                          # b c 1 1
        where = self.bottomup(shallow)                                      # b c h w
        return self.post(2 * which * shallow + 2 * where * deep)            # b c h w
