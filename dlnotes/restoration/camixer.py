"""Content-aware mixer: windows full of detail attend, the others get by with a convolution, and a small network decides.

The predictor looks at every window and gives four things: which windows are hard, by how many pixels the keys are shifted,
and two weights for the convolution. Hard windows get attention inside the window; the rest keep their values, weighed by
place. Everything then passes through one light convolution, so that no border between the two kinds remains.

Source: Wang, Liu, Zhao, Li, Zhang, "CAMixerSR: Only Details Need More Attention", CVPR 2024, section 3.
Departures: (1) In training, the released code feeds probabilities to the Gumbel softmax, which expects logits: a window that
the predictor is certain about would still change sides in more than a quarter of the draws, 1 / (1 + e). We feed logits.
(2) The released code draws at random in evaluation too, and takes the number of hard windows from the whole batch. Here
evaluation is deterministic, and every sample counts its own.
One graph by torch.compile, or torch.export, is not possible in evaluation: how many windows attend is known only once the
numbers are. Computing both branches everywhere would compile and export, and would save nothing.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from dlnotes._check import check_input, check_integers
from dlnotes.attention import attention
from dlnotes.shapes import window_coordinates

from .channel_norm import ChannelNorm

__all__ = ["CAMixer", "Predictor", "Routing", "hard_windows", "ratio_loss", "warp"]


class Routing(NamedTuple):
    """What :class:`Predictor` says; n windows, rows first."""

    logits: torch.Tensor        # b n 2: hard, simple
    offsets: torch.Tensor       # b 2 h w: columns, then rows, in pixels
    channel: torch.Tensor       # b c 1 1, between 0 and 1
    spatial: torch.Tensor       # b 1 h w, between 0 and 1


def warp(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Each pixel fetches its value from ``offsets`` away, between pixels by bilinear interpolation.

    Args:
        x: (b, c, h, w).
        offsets: (b, 2, h, w) in pixels: to the right, then downwards. What lies outside is the nearest border pixel.

    Returns:
        (b, c, h, w).

    >>> x = torch.arange(4.0).reshape(1, 1, 1, 4)
    >>> to_the_right = torch.stack([torch.full((1, 1, 4), 1.5), torch.zeros(1, 1, 4)], dim=1)
    >>> warp(x, to_the_right)
    tensor([[[[1.5000, 2.5000, 3.0000, 3.0000]]]])
    """
    h, w = x.shape[-2:]
    columns = torch.arange(w, dtype=x.dtype, device=x.device) + offsets[:, 0]                       # b h w
    rows = torch.arange(h, dtype=x.dtype, device=x.device)[:, None] + offsets[:, 1]                 # b h w
    # grid_sample counts from -1, the first pixel's centre, to 1, the last one's
    grid = torch.stack([2 * columns / max(w - 1, 1) - 1, 2 * rows / max(h - 1, 1) - 1], dim=-1)     # b h w 2
    return F.grid_sample(x, grid, padding_mode="border", align_corners=True)                        # b c h w


def hard_windows(probability: torch.Tensor, ratio: float = 0.5) -> torch.Tensor:
    """Which windows attend in evaluation: of every sample the K with the highest probability of being hard.

    K is 2 ``ratio`` times the number of windows that are hard by arg-max, at most all; with ``ratio=1`` all, whatever the
    predictor says. The ratio of training, 0.5, leaves the choice to the arg-max, and another trades quality for time.

    Args:
        probability: (b, n) of being hard.
        ratio: from 0 to 1.

    Returns:
        (b, n), boolean.

    >>> hard_windows(torch.tensor([[0.9, 0.1, 0.6], [0.2, 0.3, 0.1]]))
    tensor([[ True, False,  True],
            [False, False, False]])
    >>> hard_windows(torch.tensor([[0.9, 0.1, 0.6]]), ratio=0.25)
    tensor([[ True, False, False]])
    """
    if ratio == 1:
        return torch.ones_like(probability, dtype=torch.bool)
    keep = (2 * ratio * (probability >= 0.5).sum(dim=1, keepdim=True)).floor()              # b 1
    rank = probability.argsort(dim=1, descending=True, stable=True).argsort(dim=1)          # b n, 0 is the hardest
    return rank < keep                                                                      # b n


def ratio_loss(shares: torch.Tensor, ratio: float = 0.5) -> torch.Tensor:
    """Keeps half of the windows hard in training: 2 ``ratio`` (mean share - 0.5)², to be added to the loss of the picture.

    Without it attention everywhere is the best that the predictor can do. The factor is that of the released code.

    Args:
        shares: share of hard windows, any shape, from 0 to 1.
        ratio: that of the mixer.

    Returns:
        A number, ().

    >>> ratio_loss(torch.tensor([0.5, 1.0]))
    tensor(0.0625)
    """
    return 2 * ratio * (shares.mean() - 0.5).square()


class Router(nn.Module):
    """The mask (b, n) of hard windows, 1 or 0: drawn in training, chosen by :func:`hard_windows` in evaluation.

    The draw (Gumbel softmax, Jang et al., ICLR 2017) is 1 or 0 on the way forward; on the way back it has the gradient of
    the softmax (straight-through).
    """

    def __init__(self, ratio: float):
        super().__init__()
        self.ratio = ratio

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        if self.training:
            return F.gumbel_softmax(logits, hard=True, dim=-1)[..., 0]                      # b n
        return hard_windows(logits.softmax(dim=-1)[..., 0], self.ratio).to(logits.dtype)    # b n

    def extra_repr(self) -> str:
        return f"ratio={self.ratio}"


class Predictor(nn.Module):
    """Reads the values, a hint of the whole picture and the place in the window, and says how to treat each window.

    Args:
        channels: of the mixer. It reads 4 more: 2 of the hint and 2 of the place.
        window_size: side of a window in pixels.

    >>> Predictor(12, window_size=4)(torch.zeros(2, 16, 8, 8)).logits.shape
    torch.Size([2, 4, 2])
    """

    def __init__(self, channels: int, window_size: int = 16):
        super().__init__()
        check_integers("Predictor", window_size=window_size)
        check_integers("Predictor", at_least=4, channels=channels)
        self.window_size, self.condition = window_size, channels + 4
        hidden = self.condition // 4
        self.reduce = nn.Conv2d(self.condition, hidden, 1)
        self.norm = ChannelNorm(hidden, eps=1e-6)
        self.offset1 = nn.Conv2d(hidden, self.condition // 8, 1)
        self.offset2 = nn.Conv2d(self.condition // 8, 2, 1)
        self.score1 = nn.Linear(window_size**2, window_size)
        self.score2 = nn.Linear(window_size, 2)
        self.channel = nn.Conv2d(hidden, channels, 1)
        self.spatial = nn.Conv2d(hidden, 1, 3, padding=1)

    def forward(self, condition: torch.Tensor) -> Routing:
        """What to do with each window.

        Args:
            condition: (b, channels + 4, h, w), h and w divisible by ``window_size``.

        Returns:
            A :class:`Routing`.

        Raises:
            ValueError: if the shape does not fit.
        """
        check_input("Predictor", condition, "b c h w", c=self.condition, multiple=self.window_size, like=self)
        f = F.leaky_relu(self.norm(self.reduce(condition)), 0.1)                            # b hidden h w
        offsets = 8 * self.offset2(F.leaky_relu(self.offset1(f), 0.1)).tanh()               # b 2 h w, at most 8 pixels
        windows = rearrange(f.mean(dim=1), "b (h i) (w j) -> b (h w) (i j)", i=self.window_size, j=self.window_size)
        logits = self.score2(F.leaky_relu(self.score1(windows), 0.1))                       # b n 2
        channel = self.channel(f.mean(dim=(2, 3), keepdim=True)).sigmoid()                  # b c 1 1
        return Routing(logits, offsets, channel, self.spatial(f).sigmoid())


class CAMixer(nn.Module):
    """Attention in hard windows, weighed values in the others, then one light convolution over all.

    The attention has one head and, as in the released code, does not divide its scores by the root of the width. The bias
    of the keys is there for the count only: it shifts all scores of a query alike, which the softmax takes away.

    Args:
        channels: in and out, at least 4.
        window_size: side of a window in pixels.
        ratio: from 0 (no window attends) to 1 (all attend); see :func:`hard_windows`. It acts in evaluation.

    Raises:
        ValueError: if a size is not a positive integer, or ``ratio`` not in [0, 1].

    >>> mixer = CAMixer(12, window_size=4).eval()
    >>> out, hard = mixer(torch.randn(2, 12, 8, 12), torch.zeros(2, 2, 8, 12))
    >>> out.shape, hard.shape
    (torch.Size([2, 12, 8, 12]), torch.Size([2, 6]))
    """

    def __init__(self, channels: int = 60, window_size: int = 16, ratio: float = 0.5):
        super().__init__()
        check_integers("CAMixer", window_size=window_size)
        check_integers("CAMixer", at_least=4, channels=channels)
        if not 0 <= ratio <= 1:
            raise ValueError(f"CAMixer: expected ratio in [0, 1], got {ratio!r}; 0.5 is that of training")
        self.channels, self.window_size = channels, window_size
        self.value = nn.Conv2d(channels, channels, 1)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.predictor = Predictor(channels, window_size)
        self.router = Router(ratio)
        self.near = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.far = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=channels)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, hint: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix neighbours, at a cost that depends on the picture.

        Args:
            x: features (b, c, h, w), h and w divisible by ``window_size``.
            hint: two channels about the whole picture (b, 2, h, w).

        Returns:
            (b, c, h, w), and the mask (b, n) of hard windows, rows first.

        Raises:
            ValueError: if shapes do not fit.
        """
        check_input("CAMixer", x, "b c h w", c=self.channels, multiple=self.window_size, like=self)
        check_input("CAMixer", hint, "b c h w", b=len(x), c=2, h=x.shape[2], w=x.shape[3], like=self)
        v = self.value(x)                                                                   # b c h w
        place = window_coordinates(*x.shape[2:], self.window_size, device=x.device, dtype=v.dtype)      # 2 h w
        condition = torch.cat([v, hint, place.expand(len(x), -1, -1, -1)], dim=1)                       # b c+4 h w
        routing = self.predictor(condition)
        hard = self.router(routing.logits)                                                  # b n
        shifted = x + warp(x, routing.offsets)                                              # b c h w

        cut = [self._windows(each) for each in (x, shifted, v, v * routing.spatial)]        # four of (b n) (i j) c
        mixed = self._all(*cut, hard) if self.training else self._chosen(*cut, hard)        # (b n) (i j) c
        out = rearrange(mixed, "(b h w) (i j) c -> b c (h i) (w j)", b=len(x), h=x.shape[2] // self.window_size,
                        i=self.window_size)
        out = out + routing.channel * F.gelu(self.far(self.near(out)))                      # b c h w
        return self.project(out), hard

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        return rearrange(x, "b c (h i) (w j) -> (b h w) (i j) c", i=self.window_size, j=self.window_size)

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return attention(self.query(q), self.key(k), v, scale=1.0)                          # windows (i j) c

    def _all(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, simple: torch.Tensor,
             hard: torch.Tensor) -> torch.Tensor:
        """Training: both branches for every window, so that the mask between them gets a gradient."""
        m = hard.flatten()[:, None, None]                                                   # (b n) 1 1
        return self._attend(q * m, k * m, v * m) + simple * (1 - m)                         # (b n) (i j) c

    def _chosen(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, simple: torch.Tensor,
                hard: torch.Tensor) -> torch.Tensor:
        """Evaluation: only hard windows are projected and attend."""
        index = hard.flatten().nonzero().flatten()                                          # hard windows
        return simple.index_copy(0, index, self._attend(q[index], k[index], v[index]))      # (b n) (i j) c
