"""HybridSN: three 3-D convolutions read a hyperspectral cube along its spectrum, then a 2-D one reads it as a picture.

Each sample is the neighbourhood of one pixel, after PCA has cut the spectrum down to a few bands, and the answer is the
class of the pixel in its centre. In 3-D the kernel also slides along the bands, so that one small kernel serves all of them;
in 2-D the bands are channels, and mixing all of them at once is what costs.

Source: Roy, Krishna, Dubey, Chaudhuri, "HybridSN: Exploring 3-D-2-D CNN Feature Hierarchy for Hyperspectral Image
Classification", IEEE Geoscience and Remote Sensing Letters 17(2), 2020, table I, and the authors' Keras notebooks.
Departures: scores come without the softmax, which the loss applies. The authors' arrays are (b, h, w, bands, 1); ours are
(b, 1, bands, h, w), as PyTorch's 3-D convolutions want them. Where axes are merged, the order is theirs, so that their
weights fit once the axes are permuted.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from dlnotes._check import check_input, check_integers, check_probability

from ._build import build

__all__ = ["HybridSN", "hybridsn"]


class HybridSN(nn.Module):
    """HybridSN for windows of any size and any number of bands.

    Args:
        bands: of the cube, after PCA; at least 13.
        num_classes: width of the head.
        window: side of the neighbourhood in pixels, at least 9; an odd one has a centre.
        dropout: after both hidden linear layers.

    Raises:
        ValueError: if an argument is none of these.

    >>> model = HybridSN(bands=15, num_classes=9, window=11)
    >>> model(torch.randn(2, 1, 15, 11, 11)).shape
    torch.Size([2, 9])
    """

    def __init__(self, bands: int = 30, num_classes: int = 16, window: int = 25, dropout: float = 0.4):
        super().__init__()
        check_integers("HybridSN", num_classes=num_classes)
        check_integers("HybridSN", at_least=13, bands=bands)                    # 7, 5 and 3 take 6 + 4 + 2 bands
        check_integers("HybridSN", at_least=9, window=window)                   # four kernels of 3 take 4 · 2 pixels
        check_probability("HybridSN", dropout=dropout)
        self.bands, self.window = bands, window
        self.conv1 = nn.Conv3d(1, 8, kernel_size=(7, 3, 3))
        self.conv2 = nn.Conv3d(8, 16, kernel_size=(5, 3, 3))
        self.conv3 = nn.Conv3d(16, 32, kernel_size=(3, 3, 3))
        self.conv4 = nn.Conv2d(32 * (bands - 12), 64, kernel_size=3)
        self.fc1 = nn.Linear(64 * (window - 8) ** 2, 256)
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(256, 128)
        self.drop2 = nn.Dropout(dropout)
        self.fc3 = nn.Linear(128, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores of the central pixels.

        Args:
            x: cubes (b, 1, bands, window, window).

        Returns:
            (b, num_classes).

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("HybridSN", x, "b c l h w", c=1, l=self.bands, h=self.window, w=self.window, like=self)
        x = F.relu(self.conv1(x))                                               # b 8 l-6 h-2 w-2      of 30 25 25: 24 23 23
        x = F.relu(self.conv2(x))                                               # b 16 l-10 h-4 w-4    20 21 21
        x = F.relu(self.conv3(x))                                               # b 32 l-12 h-6 w-6    18 19 19
        x = rearrange(x, "b c l h w -> b (l c) h w")                            # 576 channels
        x = F.relu(self.conv4(x))                                               # b 64 h-8 w-8         17 17
        x = rearrange(x, "b c h w -> b (h w c)")                                # 18,496
        x = self.drop1(F.relu(self.fc1(x)))                                     # b 256
        x = self.drop2(F.relu(self.fc2(x)))                                     # b 128
        return self.fc3(x)                                                      # b classes


def hybridsn(**config) -> HybridSN:
    """HybridSN for Indian Pines, 25 × 25 × 30 and 16 classes: 5,122,176 parameters.

    The paper's other data have 15 bands: University of Pavia (``bands=15, num_classes=9``: 4,844,793) and Salinas
    (``bands=15``: 4,845,696).
    """
    return build("hybridsn", HybridSN, {}, config)
