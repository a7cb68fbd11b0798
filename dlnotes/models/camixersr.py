"""CAMixerSR: super-resolution that spends attention where the picture has details, and convolutions where it has none.

Groups of residual blocks as in SwinIR, with CAMixer in the place of window attention. Two channels computed once from the
shallow features tell every block what to expect. Enlarging comes last: all work is done at the small size.

Source: Wang, Liu, Zhao, Li, Zhang, "CAMixerSR: Only Details Need More Attention", CVPR 2024, sections 3 and 4.
Departures: those of dlnotes.restoration.camixer, so evaluation is deterministic here. Processing in tiles is left out.
One graph by torch.compile, or torch.export, is not possible in evaluation: how many windows attend depends on the picture.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers
from dlnotes.restoration.camixer import CAMixer
from dlnotes.restoration.channel_norm import ChannelNorm
from dlnotes.shapes import crop_to, pad_to_multiple

from ._build import build

__all__ = ["CAMixerSR", "camixersr"]


class GatedFFN(nn.Module):
    """Two depth-wise views of every pixel's surroundings, one the gate of the other; no biases."""

    def __init__(self, channels: int):
        super().__init__()
        self.project_in = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, value = self.depthwise(self.project_in(x)).chunk(2, dim=1)    # b c h w, twice
        return self.project_out(F.gelu(gate) * value)                       # b c h w


class Block(nn.Module):
    """Mixer and FFN, each normalised together with its shortcut (post-norm)."""

    def __init__(self, channels: int, window_size: int, ratio: float):
        super().__init__()
        self.mixer = CAMixer(channels, window_size, ratio)
        self.norm1 = ChannelNorm(channels, eps=1e-6)
        self.ffn = GatedFFN(channels)
        self.norm2 = ChannelNorm(channels, eps=1e-6)

    def forward(self, x: torch.Tensor, hint: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed, hard = self.mixer(x, hint)
        x = self.norm1(x + mixed)                                           # b c h w
        return self.norm2(x + self.ffn(x)), hard.mean(dim=1)                # b c h w, b


class Group(nn.Module):
    """Blocks and a 1 × 1 convolution beside the identity."""

    def __init__(self, channels: int, depth: int, window_size: int, ratio: float):
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, window_size, ratio) for _ in range(depth))
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, hint: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        shortcut, shares = x, []
        for block in self.blocks:
            x, share = block(x, hint)                                       # b c h w, b
            shares.append(share)
        return shortcut + self.conv(x), shares


class CAMixerSR(nn.Module):
    """CAMixerSR of any size.

    The multiply-adds depend on the picture. At 64 × 64 and the canonical sizes they are 2.0674 G where no window attends and
    5.1738 G where all do.

    Args:
        in_channels: channels of the picture.
        width: channels inside.
        depths: blocks of each group.
        scale: how many times higher and wider the picture becomes.
        window_size: side of a window in pixels. Other sizes of picture are padded inside the network, by reflection at the
            bottom and the right up to the next multiple, and the enlarged padding is cut off again.
        ratio: share of windows that attend, relative to training's 0.5; acts in evaluation. See
            :func:`~dlnotes.restoration.camixer.hard_windows`.

    Raises:
        ValueError: if a setting is not a positive integer, or ``ratio`` not in [0, 1].

    >>> model = CAMixerSR(width=12, depths=(1, 2), scale=2, window_size=8).eval()
    >>> picture, shares = model(torch.rand(1, 3, 20, 24), routing=True)
    >>> picture.shape, shares.shape
    (torch.Size([1, 3, 40, 48]), torch.Size([1, 3]))
    """

    def __init__(self, in_channels: int = 3, width: int = 60, depths: tuple[int, ...] = (4, 4, 6, 6), scale: int = 4,
                 window_size: int = 16, ratio: float = 0.5):
        super().__init__()
        check_integers("CAMixerSR", in_channels=in_channels, scale=scale, window_size=window_size)
        check_integers("CAMixerSR", at_least=4, width=width)
        if not isinstance(depths, (tuple, list)) or not depths:
            raise ValueError(f"CAMixerSR: expected the depths of one or more groups, got {depths!r}; (4, 4, 6, 6) is usual")
        check_integers("CAMixerSR", **{f"depths[{i}]": depth for i, depth in enumerate(depths)})
        self.in_channels, self.scale, self.window_size = in_channels, scale, window_size
        self.head = nn.Conv2d(in_channels, width, 3, padding=1)
        self.hint = nn.Sequential(nn.Conv2d(width, 8, 1), nn.LeakyReLU(0.1),
                                  nn.Conv2d(8, 2, 3, padding=1), nn.LeakyReLU(0.1))
        self.groups = nn.ModuleList(Group(width, depth, window_size, ratio) for depth in depths)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, in_channels * scale**2, 3, padding=1)

    def forward(self, x: torch.Tensor, routing: bool = False) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Enlarge pictures.

        Args:
            x: (b, in_channels, h, w); h and w more than half of ``window_size``, so that they can be reflected.
            routing: also say how many windows were hard. Training needs it: add
                :func:`~dlnotes.restoration.camixer.ratio_loss` of it to the loss.

        Returns:
            (b, in_channels, scale h, scale w); with ``routing`` also the share of hard windows (b, blocks).

        Raises:
            ValueError: if the pictures have another shape.
        """
        check_input("CAMixerSR", x, "b c h w", c=self.in_channels, at_least=self.window_size // 2 + 1, like=self)
        h, w = x.shape[2:]
        padded, _ = pad_to_multiple(x, self.window_size, mode="reflect")                    # b in_channels h' w'
        shallow = self.head(padded)                                                         # b c h' w'
        hint, deep, shares = self.hint(shallow), shallow, []                                # b 2 h' w'
        for group in self.groups:
            deep, of_group = group(deep, hint)                                              # b c h' w'
            shares += of_group
        out = F.pixel_shuffle(self.tail(shallow + self.conv(deep)), self.scale)             # b in_channels sh' sw'
        out = crop_to(out, h * self.scale, w * self.scale)                                  # b in_channels sh sw
        return (out, torch.stack(shares, dim=1)) if routing else out


def camixersr(**config) -> CAMixerSR:
    """CAMixerSR, scale 4: 765,322 parameters; scale 3: 753,961; scale 2: 745,846. Settings: those of :class:`CAMixerSR`."""
    return build("camixersr", CAMixerSR, {}, config)
