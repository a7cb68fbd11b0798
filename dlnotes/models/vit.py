"""Vision Transformer: cut a picture into patches, treat each as a token, and let a plain Transformer encoder read them.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.1, equations 1 to 4. The DeiT sizes
without distillation (Touvron et al., ICML 2021, table 1) are the same network, narrower.
Departures: the head is one linear layer, as used for fine-tuning, without the hidden layer of pre-training. Parameters carry
the names of timm's ViT, so that its published weights load as they are.
"""

import copy
import json
from pathlib import Path

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_input
from dlnotes.attention.scaled_dot_product import fused_attention
from dlnotes.checkpoints.resize import resize_pos_embed

from ._build import build

__all__ = ["VisionTransformer", "deit_small", "deit_tiny", "load_vit_digits", "resize_positions", "vit_b_16", "vit_b_32",
           "vit_digits", "vit_l_16"]

_WEIGHTS = Path(__file__).parent.parent / "weights" / "vit_digits.safetensors"


class PatchEmbed(nn.Module):
    """Patches to tokens: a convolution whose stride is its kernel, that is, one linear map for each patch."""

    def __init__(self, in_channels: int, dim: int, patch_size: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rearrange(self.proj(x), "b d h w -> b (h w) d")


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three heads d) -> three b heads n d", three=3, heads=self.heads)
        out = fused_attention(q, k, v)                                      # b heads n d, scores over √d
        return self.drop(self.proj(rearrange(out, "b heads n d -> b n (heads d)")))


class MLP(nn.Module):
    """Two linear layers with a GELU (the exact one) between them; every token by itself."""

    def __init__(self, dim: int, hidden: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop2 = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(x)))))      # b n d


class Block(nn.Module):
    """Pre-norm encoder block: the sum that runs through all blocks is never normalised itself."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, int(dim * mlp_ratio), dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))                                    # b n d
        return x + self.mlp(self.norm2(x))                                  # b n d


class VisionTransformer(nn.Module):
    """ViT of any size.

    Args:
        image_size: pixels, one number or (height, width); divisible by ``patch_size``.
        patch_size: side of a patch in pixels.
        in_channels: channels of the picture.
        num_classes: width of the head; 0 leaves it out and returns features (b, dim).
        dim: token width, divisible by ``heads``.
        depth: number of blocks.
        heads: attention heads in a block.
        mlp_ratio: hidden width of the MLP over ``dim``.
        dropout: after the positions, the attention's output map and in the MLP.
        pool: what the head reads: ``"cls"``, the class token, or ``"mean"``, the mean of the patch tokens.

    Raises:
        ValueError: if a size is not positive, does not divide as it must, or ``pool`` is neither of the two.

    >>> model = VisionTransformer(image_size=64, patch_size=8, dim=48, depth=2, heads=4, num_classes=10)
    >>> model(torch.randn(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    """

    def __init__(self, image_size: int | tuple[int, int] = 224, patch_size: int = 16, in_channels: int = 3,
                 num_classes: int = 1000, dim: int = 768, depth: int = 12, heads: int = 12, mlp_ratio: float = 4.0,
                 dropout: float = 0.0, pool: str = "cls"):
        super().__init__()
        self.image_size = _pair(image_size)
        sizes = {"patch_size": patch_size, "in_channels": in_channels, "dim": dim, "depth": depth, "heads": heads}
        for key, value in sizes.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"VisionTransformer: expected {key} to be an integer of at least 1, got {value!r}; "
                                 "pass a whole number")
        if not isinstance(num_classes, int) or num_classes < 0:
            raise ValueError(f"VisionTransformer: expected num_classes to be an integer of at least 0, got "
                             f"{num_classes!r}; 0 leaves the head out")
        if any(side % patch_size for side in self.image_size):
            raise ValueError("VisionTransformer: expected image_size divisible by patch_size, "
                             f"got {self.image_size} and {patch_size}; resize or pad the pictures to whole patches")
        if dim % heads:
            raise ValueError(f"VisionTransformer: expected dim divisible by heads, got dim={dim}, heads={heads}; "
                             f"choose dim as a multiple of {heads}")
        if not 0.0 <= dropout < 1.0 or not mlp_ratio > 0:
            raise ValueError("VisionTransformer: expected dropout in [0, 1) and mlp_ratio above 0, "
                             f"got dropout={dropout}, mlp_ratio={mlp_ratio}; the paper has 0.1 or 0.0, and 4")
        if pool not in ("cls", "mean"):
            raise ValueError(f"VisionTransformer: expected pool 'cls' or 'mean', got {pool!r}; choose one")
        self.patch_size, self.in_channels, self.num_classes, self.pool = patch_size, in_channels, num_classes, pool
        self.grid = (self.image_size[0] // patch_size, self.image_size[1] // patch_size)
        tokens = self.grid[0] * self.grid[1]

        self.patch_embed = PatchEmbed(in_channels, dim, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + tokens, dim))          # the class token has a place too
        self.pos_drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(dim, heads, mlp_ratio, dropout) for _ in range(depth)))
        # timm normalises the mean, not the tokens, when it pools; we follow it, names included
        self.norm = nn.LayerNorm(dim, eps=1e-6) if pool == "cls" else nn.Identity()
        self.fc_norm = nn.LayerNorm(dim, eps=1e-6) if pool == "mean" else nn.Identity()
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens after the last block.

        Args:
            x: pictures (b, in_channels, h, w) of exactly ``image_size``.

        Returns:
            (b, 1 + patches, dim), the class token first.

        Raises:
            ValueError: if the pictures have another shape.
            TypeError: if their dtype is not that of the weights.
        """
        expected = (self.in_channels, *self.image_size)
        if isinstance(x, torch.Tensor) and (x.ndim != 4 or tuple(x.shape[1:]) != expected):
            raise ValueError(f"VisionTransformer: expected pictures of shape (b, {', '.join(map(str, expected))}), "
                             f"got {tuple(x.shape)}; resize the pictures, or the model with resize_positions(model, (h, w))")
        check_input("VisionTransformer", x, "b c h w", like=self)
        x = self.patch_embed(x)                                                 # b n d
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)        # b 1+n d
        x = self.pos_drop(x + self.pos_embed)                                   # b 1+n d
        return self.norm(self.blocks(x))                                        # b 1+n d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores (b, num_classes) of pictures (b, in_channels, h, w); raises as :meth:`forward_features`."""
        x = self.forward_features(x)                                            # b 1+n d
        x = x[:, 0] if self.pool == "cls" else x[:, 1:].mean(dim=1)             # b d
        return self.head(self.fc_norm(x))                                       # b classes


def resize_positions(model: VisionTransformer, image_size: int | tuple[int, int]) -> VisionTransformer:
    """A copy of the model for pictures of another size: the map of position embeddings is interpolated (bicubic).

    Dosovitskiy et al. 2021, section 3.2. The class token keeps its own. All other weights stay as they are.

    Args:
        model: any :class:`VisionTransformer`; it is not changed.
        image_size: new size in pixels, one number or (height, width); divisible by the patch size.

    Raises:
        TypeError: if ``model`` is something else.
        ValueError: if ``image_size`` is not divisible by the patch size.

    >>> model = resize_positions(vit_digits(), (64, 96))
    >>> model.grid, model(torch.zeros(1, 1, 64, 96)).shape
    ((8, 12), torch.Size([1, 10]))
    """
    if not isinstance(model, VisionTransformer):
        raise TypeError(f"resize_positions: expected a VisionTransformer, got {type(model).__name__}; "
                        "other networks take any size, or say what they take")
    size = _pair(image_size)
    if any(side % model.patch_size for side in size):
        raise ValueError(f"resize_positions: expected image_size divisible by patch_size={model.patch_size}, got {size}; "
                         "the new size needs whole patches too")
    resized = copy.deepcopy(model)
    resized.image_size, resized.grid = size, (size[0] // model.patch_size, size[1] // model.patch_size)
    if resized.grid != model.grid:
        positions = resize_pos_embed(model.pos_embed.detach(), resized.grid, model.grid)        # 1 1+n' d
        resized.pos_embed = nn.Parameter(positions, requires_grad=model.pos_embed.requires_grad)
    return resized


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or any(not isinstance(side, int) or side < 1 for side in pair):
        raise ValueError(f"VisionTransformer: expected image_size to be a number of pixels or (height, width), got "
                         f"{size!r}; pass one or two positive integers")
    return pair


def vit_b_16(**config) -> VisionTransformer:
    """ViT-B/16: 86,567,656 parameters. Settings: those of :class:`VisionTransformer`."""
    return build("vit_b_16", VisionTransformer, {"patch_size": 16, "dim": 768, "depth": 12, "heads": 12}, config)


def vit_b_32(**config) -> VisionTransformer:
    """ViT-B/32: 88,224,232 parameters, a quarter of the tokens of ViT-B/16."""
    return build("vit_b_32", VisionTransformer, {"patch_size": 32, "dim": 768, "depth": 12, "heads": 12}, config)


def vit_l_16(**config) -> VisionTransformer:
    """ViT-L/16: 304,326,632 parameters."""
    return build("vit_l_16", VisionTransformer, {"patch_size": 16, "dim": 1024, "depth": 24, "heads": 16}, config)


def deit_tiny(**config) -> VisionTransformer:
    """DeiT-Ti without distillation: 5,717,416 parameters."""
    return build("deit_tiny", VisionTransformer, {"patch_size": 16, "dim": 192, "depth": 12, "heads": 3}, config)


def deit_small(**config) -> VisionTransformer:
    """DeiT-S without distillation: 22,050,664 parameters."""
    return build("deit_small", VisionTransformer, {"patch_size": 16, "dim": 384, "depth": 12, "heads": 6}, config)


def vit_digits(**config) -> VisionTransformer:
    """The small ViT of the widgets, for grey 64 × 64 digits on textures; :func:`load_vit_digits` has it trained."""
    canonical = {"image_size": 64, "patch_size": 8, "in_channels": 1, "num_classes": 10, "dim": 96, "depth": 4, "heads": 4,
                 "mlp_ratio": 3.0}
    return build("vit_digits", VisionTransformer, canonical, config)


def load_vit_digits(path: str | Path | None = None) -> VisionTransformer:
    """The trained :func:`vit_digits`, in evaluation mode on the CPU. ``weights/vit_digits.json`` says how it was made.

    Args:
        path: a safetensors file; the one that ships with dlnotes when None.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged or holds other tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _WEIGHTS if path is None else Path(path)
    remedy = "train it again with tools/train_digits_vit.py, or reinstall dlnotes"
    if not path.is_file():
        raise FileNotFoundError(f"load_vit_digits: expected the weights at {path}, found no file; {remedy}")
    with torch.device("cpu"):
        model = vit_digits()
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"load_vit_digits: expected the weights of vit_digits in {path}, got a damaged or different file "
                         f"({reason}); {remedy}") from error
    return model.eval()


def vit_digits_card() -> dict:
    """How the shipped weights were made: command, seed, data, scores."""
    return json.loads(_WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
