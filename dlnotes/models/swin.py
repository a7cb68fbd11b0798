"""Swin Transformer: a pyramid of maps, as in a ResNet, made by blocks that attend within windows, shifted in every second.

From stage to stage height and width are halved and the tokens' width doubled, so that the maps serve detection and
segmentation. Attention stays inside windows of 7 by 7 tokens, and the cost grows with the number of pixels.
Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, sections 3.1 and
3.3, figure 3; equation 3 is two consecutive blocks. The windows are in ``dlnotes.attention.window``.
Departures: the map stays a map, channels last, where the authors' code passes tokens, and the masks follow from its size,
which is not fixed. A picture that does not divide into windows in every stage is refused; torchvision pads each map with
zeros, to which tokens then attend. Patch merging opens a stage, as in the paper and in timm; in the authors' code and in
torchvision it closes the one before. Parameters carry timm's names, but for the head.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from dlnotes._check import check_divisible, check_input, check_integers, check_numbers, check_probability
from dlnotes.attention.window import WindowAttention

from ._build import build
from ._drop_path import DropPath

__all__ = ["PatchMerging", "SwinTransformer", "swin_b", "swin_s", "swin_t"]


class PatchEmbed(nn.Module):
    """Patches to a map of tokens, channels last: one linear map for each patch, and a norm."""

    def __init__(self, in_channels: int, dim: int, patch_size: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(rearrange(self.proj(x), "b c h w -> b h w c"))                 # b h/p w/p dim


class PatchMerging(nn.Module):
    """Four neighbours become one token: their 4c numbers are normalised and mapped to 2c. Half the height, half the width.

    Without the norm it is a convolution of kernel and stride 2; ``dlnotes.shapes.patch_merging`` shows the order.

    Args:
        dim: width c of a token.

    Raises:
        ValueError: if ``dim`` is not a positive integer.

    >>> PatchMerging(96)(torch.randn(2, 56, 48, 96)).shape
    torch.Size([2, 28, 24, 192])
    """

    def __init__(self, dim: int):
        super().__init__()
        check_integers("PatchMerging", dim=dim)
        self.dim = dim
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Merge a map (b, h, w, dim) of even height and width: (b, h/2, w/2, 2 dim). Raises where a size does not fit."""
        check_input("PatchMerging", x, "b h w c", c=self.dim, multiple=2, like=self)
        x = rearrange(x, "b (h p) (w q) c -> b h w (q p c)", p=2, q=2)                  # b h/2 w/2 4c, rows fastest
        return self.reduction(self.norm(x))                                             # b h/2 w/2 2c


class MLP(nn.Module):
    """Two linear layers with a GELU between them; every token by itself."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))                                            # b h w c


class Block(nn.Module):
    """Pre-norm block: attention within windows, then the MLP. ``drop_path`` leaves out either for a whole sample."""

    def __init__(self, dim: int, heads: int, window_size: int, shift: int, mlp_ratio: float, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window_size, shift)
        self.drop_path1 = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio))
        self.drop_path2 = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path1(self.attn(self.norm1(x)))                               # b h w c
        return x + self.drop_path2(self.mlp(self.norm2(x)))                             # b h w c


class Stage(nn.Module):
    """Merge patches (not in the first stage), then blocks: windows in place and moved by half, in turn."""

    def __init__(self, dim: int, heads: int, window_size: int, mlp_ratio: float, drop_paths: list[float], merge: bool):
        super().__init__()
        self.downsample = PatchMerging(dim // 2) if merge else nn.Identity()
        self.blocks = nn.Sequential(*(
            Block(dim, heads, window_size, window_size // 2 if i % 2 else 0, mlp_ratio, drop_path)
            for i, drop_path in enumerate(drop_paths)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.downsample(x))                                          # b h w c


class SwinTransformer(nn.Module):
    """Swin of any size.

    Args:
        patch_size: side of a patch in pixels.
        in_channels: channels of the picture.
        num_classes: width of the head.
        dim: token width of the first stage (the paper's C); each later stage has twice that of the one before.
        depths: number of blocks in each stage.
        heads: attention heads in each stage; they divide its width.
        window_size: side of a window in tokens (the paper's M).
        mlp_ratio: hidden width of the MLP over the token width.
        drop_path: stochastic depth in training: the probability of leaving out a branch of the last block; it rises
            linearly from 0 in the first.

    Raises:
        ValueError: if a size is not positive, does not divide as it must, or ``depths`` and ``heads`` differ in length.

    >>> model = SwinTransformer(dim=24, depths=(2, 2), heads=(2, 4), window_size=4, num_classes=10)
    >>> model(torch.randn(2, 3, 64, 96)).shape
    torch.Size([2, 10])
    """

    def __init__(self, patch_size: int = 4, in_channels: int = 3, num_classes: int = 1000, dim: int = 96,
                 depths: tuple[int, ...] = (2, 2, 6, 2), heads: tuple[int, ...] = (3, 6, 12, 24), window_size: int = 7,
                 mlp_ratio: float = 4.0, drop_path: float = 0.2):
        super().__init__()
        owner = "SwinTransformer"
        check_numbers(owner, depths=depths, heads=heads)
        stages = len(depths)
        check_integers(owner, patch_size=patch_size, in_channels=in_channels, num_classes=num_classes, dim=dim)
        check_probability(owner, drop_path=drop_path)
        if len(heads) != stages:
            raise ValueError(f"{owner}: expected one number of heads for each stage, got depths={depths}, heads={heads}; "
                             "give both the same length")
        for i in range(stages):
            check_integers(owner, **{f"depths[{i}]": depths[i], f"heads[{i}]": heads[i]})
            check_divisible(owner, f"heads[{i}]", heads[i], **{f"dim*{2**i}": dim * 2**i})
        if int(dim * mlp_ratio) < 1:
            raise ValueError(f"{owner}: expected dim * mlp_ratio of at least 1, got {dim} * {mlp_ratio}; the paper has 4")
        self.in_channels, self.num_classes = in_channels, num_classes
        self.multiple = patch_size * 2 ** (stages - 1) * window_size        # whole windows still in the last stage

        rates = torch.linspace(0, drop_path, sum(depths), device="cpu").split(list(depths))
        self.patch_embed = PatchEmbed(in_channels, dim, patch_size)
        self.layers = nn.Sequential(*(
            Stage(dim * 2**i, heads[i], window_size, mlp_ratio, rates[i].tolist(), merge=i > 0) for i in range(stages)))
        self.norm = nn.LayerNorm(dim * 2 ** (stages - 1))
        self.head = nn.Linear(dim * 2 ** (stages - 1), num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """The map after the last stage.

        Args:
            x: pictures (b, in_channels, h, w); height and width divisible by patch · 2^(stages - 1) · window: 224 for
                :func:`swin_t`.

        Returns:
            (b, h/32, w/32, 8 dim) with four stages and patches of 4: channels last.

        Raises:
            ValueError: if a size does not fit.
            TypeError: if the dtype is not that of the weights.
        """
        check_input("SwinTransformer", x, "b c h w", c=self.in_channels, multiple=self.multiple,
                    like=self)
        x = self.patch_embed(x)                                                         # b h/4 w/4 dim
        return self.norm(self.layers(x))                                                # b h/32 w/32 8dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores (b, num_classes) of pictures (b, in_channels, h, w); raises as :meth:`forward_features`."""
        return self.head(self.forward_features(x).mean(dim=(1, 2)))                     # b classes


def swin_t(**config) -> SwinTransformer:
    """Swin-T: 28,288,354 parameters. Settings: those of :class:`SwinTransformer`."""
    return build("swin_t", SwinTransformer, {"drop_path": 0.2}, config)


def swin_s(**config) -> SwinTransformer:
    """Swin-S: 49,606,258 parameters, with a third stage of 18 blocks."""
    return build("swin_s", SwinTransformer, {"depths": (2, 2, 18, 2), "drop_path": 0.3}, config)


def swin_b(**config) -> SwinTransformer:
    """Swin-B: 87,768,224 parameters, wider than Swin-S by a third."""
    return build("swin_b", SwinTransformer, {"dim": 128, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32), "drop_path": 0.5},
                 config)
