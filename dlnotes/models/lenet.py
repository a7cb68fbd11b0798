"""LeNet-5, twice: as everybody builds it today, and as it was published in 1998.

Convolutions find local patterns, pooling forgets exactly where they were, and two more layers put them together: the plan
has not changed since. ``LeNet5`` keeps the sizes of layers and the tanh, and takes today's parts. ``LeNet5Original`` has
what they replaced: pooling with a coefficient and a bias to learn, a table of which maps a map of C3 sees, a scaled tanh,
and an output that measures the distance to a drawing of each digit.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE
86(11), 1998, section II-B, figure 2, table I, and for the output equation 7.
Departures of ``LeNet5Original``: the drawings of the ten digits are ours, 7 × 12 pixels like the paper's, where they are
samples of a stylised font in figure 3.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers

from ._build import build

__all__ = ["LeNet5", "LeNet5Original", "lenet5"]

_SIDE = 32                      # 28 × 28 digits with a border, so that the ends of strokes can be in the centre of a kernel


class LeNet5(nn.Module):
    """LeNet-5 with dense convolutions, plain average pooling and a linear output; layers have the paper's names.

    Args:
        in_channels: channels of the picture.
        num_classes: width of the output.

    Raises:
        ValueError: if a size is not a positive integer.

    >>> model = LeNet5()
    >>> model(torch.randn(2, 1, 32, 32)).shape, sum(p.numel() for p in model.parameters())
    (torch.Size([2, 10]), 61706)
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10):
        super().__init__()
        check_integers("LeNet5", in_channels=in_channels, num_classes=num_classes)
        self.in_channels = in_channels
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)                             # as large as its input: a linear layer
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores.

        Args:
            x: pictures (b, in_channels, 32, 32).

        Returns:
            (b, num_classes).

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("LeNet5", x, "b c h w", c=self.in_channels, h=_SIDE, w=_SIDE, like=self)
        x = self.s2(torch.tanh(self.c1(x)))                                     # b 6 28 28, then b 6 14 14
        x = self.s4(torch.tanh(self.c3(x)))                                     # b 16 10 10, then b 16 5 5
        x = torch.tanh(self.c5(x)).flatten(1)                                   # b 120 1 1, then b 120
        x = torch.tanh(self.f6(x))                                              # b 84
        return self.output(x)                                                   # b classes


def lenet5(**config) -> LeNet5:
    """LeNet-5 of today: 61,706 parameters. Settings: those of :class:`LeNet5`."""
    return build("lenet5", LeNet5, {}, config)


# ---- 1998 ----------------------------------------------------------------------------------------------------------

# Table I: the maps of S2 that each of the 16 maps of C3 sees. No two see the same, so they cannot learn the same.
_C3_SEES = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),                               # 3 in a row
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),             # 4 in a row
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),                                                       # 2 and 2
    (0, 1, 2, 3, 4, 5),
)

# Ten drawings side by side, 7 × 12 pixels each: 84 numbers, as many as F6 has units.
_DRAWINGS = """
..###..  ...#...  .#####.  .#####.  .....#.  #######  ..####.  #######  ..###..  ..###..
.#...#.  ..##...  #.....#  #.....#  ....##.  #......  .#....#  ......#  .#...#.  .#...#.
#.....#  .#.#...  #.....#  ......#  ...#.#.  #......  #......  ......#  #.....#  #.....#
#.....#  ...#...  ......#  ......#  ..#..#.  #......  #......  .....#.  #.....#  #.....#
#.....#  ...#...  .....#.  .....#.  .#...#.  #.####.  #.####.  .....#.  .#...#.  #.....#
#.....#  ...#...  ....#..  ..###..  #....#.  ##....#  ##....#  ....#..  ..###..  #.....#
#.....#  ...#...  ...#...  .....#.  #....#.  ......#  #.....#  ....#..  .#...#.  #....##
#.....#  ...#...  ..#....  ......#  #######  ......#  #.....#  ...#...  #.....#  .####.#
#.....#  ...#...  .#.....  ......#  .....#.  ......#  #.....#  ...#...  #.....#  ......#
#.....#  ...#...  #......  ......#  .....#.  ......#  #.....#  ..#....  #.....#  ......#
.#...#.  ...#...  #......  #.....#  .....#.  #.....#  .#...#.  ..#....  .#...#.  #....#.
..###..  .#####.  #######  .#####.  .....#.  .#####.  ..###..  ..#....  ..###..  .####..
"""


class ScaledTanh(nn.Module):
    """A tanh(S a), A = 1.7159, S = 2/3: it maps ±1 to ±1 and bends most there, so these are good targets (appendix A)."""

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(a * (2 / 3))


class Subsampling(nn.Module):
    """S2 and S4: the sum of four neighbours times a coefficient plus a bias, both learned, one of each for every map."""

    def __init__(self, channels: int):
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        of_four = 4 * F.avg_pool2d(x, 2)                                        # b c h/2 w/2
        return self.coefficient * of_four + self.bias


class SparseConv(nn.Module):
    """C3: sixty 5 × 5 kernels between the pairs of maps in table I, and none between the others."""

    def __init__(self, sees: tuple[tuple[int, ...], ...], in_channels: int):
        super().__init__()
        pairs = torch.tensor([(i, j) for i, inputs in enumerate(sees) for j in inputs])
        self.register_buffer("pairs", pairs, persistent=False)                  # 60 2: a map of C3 and one that it sees
        self.kernels = nn.Parameter(torch.empty(len(pairs), 5, 5))
        self.bias = nn.Parameter(torch.empty(len(sees)))
        self.in_channels = in_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dense = self.kernels.new_zeros(len(self.bias), self.in_channels, 5, 5)
        dense = dense.index_put(tuple(self.pairs.T), self.kernels)              # 16 6 5 5, with 36 kernels of zeros
        return F.conv2d(x, dense, self.bias)                                    # b 16 h-4 w-4


class DistanceToDrawings(nn.Module):
    """The output, equation 7: y_i = Σ_j (x_j - w_ij)², the squared distance of F6 to the drawing of each class."""

    def __init__(self):
        super().__init__()
        lines = [line.split() for line in _DRAWINGS.split("\n") if line]         # 12 rows of 10 pieces of 7
        digits = ["".join(line[digit] for line in lines) for digit in range(10)]
        drawings = torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits])
        self.register_buffer("drawings", drawings)                              # 10 84, black is 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, None] - self.drawings).square().sum(dim=-1)                # b 10


class LeNet5Original(nn.Module):
    """LeNet-5 of 1998: 60,000 trainable parameters and 340,908 connections.

    What comes out are penalties, not scores: the smallest names the digit. ``F.cross_entropy(-penalties, labels)`` is
    equation 9 of the paper without its constant for "none of these".

    >>> model = LeNet5Original()
    >>> model(torch.randn(2, 1, 32, 32)).shape, sum(p.numel() for p in model.parameters())
    (torch.Size([2, 10]), 60000)
    """

    def __init__(self):
        super().__init__()
        self.c1, self.squash1 = nn.Conv2d(1, 6, kernel_size=5), ScaledTanh()
        self.s2, self.squash2 = Subsampling(6), ScaledTanh()
        self.c3, self.squash3 = SparseConv(_C3_SEES, in_channels=6), ScaledTanh()
        self.s4, self.squash4 = Subsampling(16), ScaledTanh()
        self.c5, self.squash5 = nn.Conv2d(16, 120, kernel_size=5), ScaledTanh()
        self.f6, self.squash6 = nn.Linear(120, 84), ScaledTanh()
        self.output = DistanceToDrawings()
        self._initialise()

    def _initialise(self) -> None:
        """Uniform within ±2.4 over the inputs of a unit, so that sums stay where the tanh is not yet flat (appendix A)."""
        inputs = {"c1": 25, "s2": 4, "c3": 25 * 4, "s4": 4, "c5": 25 * 16, "f6": 120}       # C3 sees 3 to 6 maps: say 4
        for layer, fan_in in inputs.items():
            for p in getattr(self, layer).parameters():
                nn.init.uniform_(p, -2.4 / fan_in, 2.4 / fan_in)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Penalties.

        Args:
            x: pictures (b, 1, 32, 32).

        Returns:
            (b, 10), at least 0.

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("LeNet5Original", x, "b c h w", c=1, h=_SIDE, w=_SIDE, like=self)
        x = self.squash1(self.c1(x))                                            # b 6 28 28
        x = self.squash2(self.s2(x))                                            # b 6 14 14
        x = self.squash3(self.c3(x))                                            # b 16 10 10
        x = self.squash4(self.s4(x))                                            # b 16 5 5
        x = self.squash5(self.c5(x)).flatten(1)                                 # b 120
        x = self.squash6(self.f6(x))                                            # b 84
        return self.output(x)                                                   # b 10
