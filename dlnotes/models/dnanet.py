"""DNA-Net: not one U-Net but a triangle of nodes, every depth of U-Net nested in it, so that a small target found at full
resolution is not lost in the deep layers: it comes back to them again and again.

Node (i, j) lies in row i, at 1/2^i of the resolution, and in column j. It sees all earlier nodes of its row, the node below
it in the column before, upsampled, and, which U-Net++ does not have, the node above it in its own column, downsampled. The
last nodes of all rows are fused for the output::

    picture → 0,0   0,1   0,2   0,3   0,4 →
              1,0   1,1   1,2   1,3     →
              2,0   2,1   2,2         →       fused
              3,0   3,1             →
              4,0                 →

Source: Li, Xiao, Wang, Wang, Lin, Li, An and Guo, "Dense Nested Attention Network for Infrared Small Target Detection",
IEEE TIP 32, 2023, section III; the authors' ``model_DNANet.py`` for widths and the order of concatenation.
Departure: with deep supervision the fused output comes first, so that ``model(x)[0]`` is the result; theirs comes last.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers
from dlnotes.small_target.csam import CSAMBlock

from ._build import build

__all__ = ["DNANet", "dnanet"]


class DNANet(nn.Module):
    """Dense nested attention network. The output is logits.

    Args:
        in_channels: channels of the picture.
        num_classes: channels of the output.
        width: channels of row 0, a multiple of 16; they double with every row.
        blocks: number of blocks in a node of row 1, 2, ...; a node of row 0 has one. ``(2, 2, 2, 2)`` is ResNet-18's form,
            ``(1, 1, 1, 1)`` ResNet-10's, ``(3, 4, 6, 3)`` ResNet-34's.
        residual: blocks with shortcuts; False with one block each is VGG-10's form.
        deep_supervision: return logits of the nodes (0, 1), (0, 2), ... too, for their own losses.

    Raises:
        ValueError: if a size is not a positive integer, or ``width`` no multiple of 16.

    >>> fused, *others = DNANet(width=16, blocks=(1, 1))(torch.zeros(2, 3, 16, 24))
    >>> fused.shape, len(others)
    (torch.Size([2, 1, 16, 24]), 1)
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 1, width: int = 16, blocks: tuple[int, ...] = (2, 2, 2, 2),
                 residual: bool = True, deep_supervision: bool = True):
        super().__init__()
        check_integers("DNANet", in_channels=in_channels, num_classes=num_classes, width=width)
        if not isinstance(blocks, (tuple, list)) or not blocks:
            raise ValueError(f"DNANet: expected blocks to be one number per row below the first, got {blocks!r}; "
                             "pass a tuple such as (2, 2, 2, 2)")
        check_integers("DNANet", **{f"blocks[{i}]": n for i, n in enumerate(blocks)})
        check_divisible("DNANet", "the channel gate's reduction", 16, width=width)
        self.in_channels, self.deep_supervision = in_channels, deep_supervision
        self.rows = 1 + len(blocks)
        widths = [width * 2**i for i in range(self.rows)]                   # 16 32 64 128 256

        def stack(c: int, d: int, n: int) -> nn.Sequential:
            return nn.Sequential(*(CSAMBlock(d if k else c, d, residual) for k in range(n)))

        self.nodes = nn.ModuleDict()
        for j in range(self.rows):
            for i in range(self.rows - j):
                if j == 0:
                    c = widths[i - 1] if i else in_channels                 # the node above, pooled, or the picture
                else:
                    c = j * widths[i] + widths[i + 1] + (widths[i - 1] if i else 0)
                self.nodes[f"{i}_{j}"] = stack(c, widths[i], blocks[i - 1] if i else 1)
        self.narrow = nn.ModuleList(nn.Conv2d(widths[i], width, kernel_size=1) for i in range(1, self.rows))
        self.fuse = stack(self.rows * width, width, 1)
        self.head = nn.Conv2d(width, num_classes, kernel_size=1)
        others = range(1, self.rows - 1) if deep_supervision else ()
        self.heads = nn.ModuleDict({f"0_{j}": nn.Conv2d(width, num_classes, kernel_size=1) for j in others})

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Logits of every pixel.

        Args:
            x: pictures (b, in_channels, h, w), h and w divisible by 2^rows below, that is 16.

        Returns:
            (b, num_classes, h, w); with deep supervision a tuple of that and the logits of (0, 1), (0, 2), ..., same shape.

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("DNANet", x, "b c h w", c=self.in_channels, multiple=2 ** (self.rows - 1), like=self)
        grid = [[] for _ in range(self.rows)]                               # grid[i][j]: output of node (i, j)
        for j in range(self.rows):
            for i in range(self.rows - j):
                if j == 0:
                    seen = F.max_pool2d(grid[i - 1][0], kernel_size=2) if i else x
                else:
                    parts = [*grid[i], resize(grid[i + 1][j - 1], 2)]       # its row so far, and from below
                    if i:
                        parts.append(resize(grid[i - 1][j], 0.5))           # from above
                    seen = torch.cat(parts, dim=1)                          # b c h/2^i w/2^i
                grid[i].append(self.nodes[f"{i}_{j}"](seen))                # b width·2^i h/2^i w/2^i

        ends = [resize(conv(row[-1]), 2**i) for i, (conv, row) in enumerate(zip(self.narrow, grid[1:]), 1)]
        fused = self.fuse(torch.cat([*reversed(ends), grid[0][-1]], dim=1))                 # b width h w
        logits = self.head(fused)                                           # b classes h w
        if not self.deep_supervision:
            return logits
        return logits, *(head(node) for head, node in zip(self.heads.values(), grid[0][1:]))


def resize(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Bilinear, corners kept on corners, up and down alike."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)


def dnanet(**config) -> DNANet:
    """DNA-Net in ResNet-18's form for three channels, with deep supervision: 4,696,888 parameters.

    Settings: those of :class:`DNANet`.
    """
    return build("dnanet", DNANet, {}, config)
