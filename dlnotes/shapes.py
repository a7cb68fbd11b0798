"""Moving elements between layouts, by name: tokens, patches, windows, shuffles, padding.

A layout says which element is whose neighbour. Every function here moves elements and changes none; each is one line of
einops (Rogozhnikov, "Einops", ICLR 2022) behind one check. Axes: ``b`` batch, ``c`` channels, ``h w`` space, ``n`` tokens.
Feature maps are ``b c h w``, except where Swin's code (Liu et al., ICCV 2021) is channels-last; then the docstring says so.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .strides import Description, describe, memory_order, shares_storage, why_not_view

__all__ = [
    "Description", "center_crop", "channel_shuffle", "crop_to", "describe", "memory_order", "merge_permutation",
    "pad_to_multiple", "patch_merging", "patchify", "pixel_shuffle", "pixel_unshuffle", "shares_storage", "to_map",
    "to_tokens", "unpatchify", "why_not_view", "window_coordinates", "window_partition", "window_reverse",
]


def _axes(name: str, x, axes: str) -> dict[str, int]:
    """Sizes of ``x`` by axis name, or one clear error."""
    names = axes.split()
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor ({', '.join(names)}), got {type(x).__name__}; use torch.as_tensor first")
    if x.ndim != len(names):
        raise ValueError(f"{name}: expected {len(names)} axes ({', '.join(names)}), got shape {tuple(x.shape)}; "
                         "add a missing batch axis with x.unsqueeze(0)")
    return dict(zip(names, x.shape))


def _positive(name: str, **values: int) -> None:
    for key, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: expected {key} to be an integer of at least 1, got {value!r}; pass a whole number")


def _divisible(name: str, size: dict[str, int], by: int, called: str, channels_last: bool) -> None:
    if size["h"] % by or size["w"] % by:
        padded = (-(-size["h"] // by) * by, -(-size["w"] // by) * by)
        raise ValueError(f"{name}: expected height and width divisible by {called}, got "
                         f"({', '.join(f'{k}={v}' for k, v in size.items())}); pad to {padded} with "
                         f"dlnotes.shapes.pad_to_multiple(x, {by}{', channels_last=True' if channels_last else ''}) first")


# ---- feature map and tokens ----------------------------------------------------------------------------------------

def to_tokens(x: Tensor) -> Tensor:
    """Feature map (b, c, h, w) to tokens (b, h*w, c): one token per position, rows first.

    >>> to_tokens(torch.zeros(2, 64, 7, 5)).shape
    torch.Size([2, 35, 64])
    """
    _axes("to_tokens", x, "b c h w")
    return rearrange(x, "b c h w -> b (h w) c")  # b n c


def to_map(tokens: Tensor, h: int, w: int) -> Tensor:
    """Tokens (b, h*w, c) to a feature map (b, c, h, w). Carry ``h`` and ``w`` along: n alone does not hold them.

    Raises:
        ValueError: if ``h * w`` is not the number of tokens.
    """
    n = _axes("to_map", tokens, "b n c")["n"]
    _positive("to_map", h=h, w=w)
    if h * w != n:
        raise ValueError(f"to_map: expected n = h * w tokens, got n={n} and h={h}, w={w} (h * w = {h * w}); "
                         "H and W cannot be recovered from N: carry them from the map, and drop a class token first")
    return rearrange(tokens, "b (h w) c -> b c h w", h=h, w=w)  # b c h w


# ---- patches -------------------------------------------------------------------------------------------------------

def patchify(x: Tensor, p: int) -> Tensor:
    """Cut (b, c, h, w) into patches of p by p pixels: (b, n, c*p*p), n = (h/p)*(w/p), rows first.

    Inside a patch the order is (c, row, column): the order of ``F.unfold`` and of a flattened ``Conv2d`` weight.

    >>> patchify(torch.zeros(1, 3, 224, 224), 16).shape
    torch.Size([1, 196, 768])
    """
    _positive("patchify", p=p)
    _divisible("patchify", _axes("patchify", x, "b c h w"), p, f"p={p}", channels_last=False)
    return rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=p, q=p)  # b n (c p q)


def unpatchify(tokens: Tensor, p: int, h: int, w: int) -> Tensor:
    """Inverse of :func:`patchify`. ``h`` and ``w`` are the height and width of the picture in pixels: (b, c, h, w)."""
    size = _axes("unpatchify", tokens, "b n d")
    _positive("unpatchify", p=p, h=h, w=w)
    if h % p or w % p or (h // p) * (w // p) != size["n"] or size["d"] % (p * p):
        raise ValueError(f"unpatchify: expected n = (h/p)*(w/p) tokens of width c*p*p, got {tuple(tokens.shape)} with "
                         f"p={p}, h={h}, w={w}; pass the height and width in pixels of the picture that was cut")
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=h // p, w=w // p, p=p, q=p)  # b c h w


def patch_merging(x: Tensor) -> Tensor:
    """Swin's patch merging before its Linear: channels-last (b, h, w, c) to (b, h/2, w/2, 4c).

    Four strided slices, concatenated in the order of the authors' code: (row, column) parities 00, 10, 01, 11.
    The paper then maps 4c to 2c with a Linear; that layer lives with the model.

    >>> patch_merging(torch.zeros(2, 56, 48, 96)).shape
    torch.Size([2, 28, 24, 384])
    """
    _divisible("patch_merging", _axes("patch_merging", x, "b h w c"), 2, "2", channels_last=True)
    return torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)  # b h/2 w/2 4c


def merge_permutation(c: int) -> Tensor:
    """Which channel of ``pixel_unshuffle(x, 2)`` each of the 4c channels of :func:`patch_merging` is: (4c,), int64.

    >>> merge_permutation(2).tolist()
    [0, 4, 2, 6, 1, 5, 3, 7]
    """
    _positive("merge_permutation", c=c)
    return rearrange(torch.arange(4 * c), "(c p q) -> (q p c)", c=c, p=2, q=2)  # 4c


# ---- windows -------------------------------------------------------------------------------------------------------

def window_partition(x: Tensor, window_size: int) -> Tensor:
    """Channels-last (b, h, w, c) to windows (b*nh*nw, window_size, window_size, c), rows first (Swin, sec. 3.2)."""
    _positive("window_partition", window_size=window_size)
    _divisible("window_partition", _axes("window_partition", x, "b h w c"), window_size, f"window_size={window_size}",
               channels_last=True)
    return rearrange(x, "b (nh i) (nw j) c -> (b nh nw) i j c", i=window_size, j=window_size)  # (b nh nw) i j c


def window_reverse(windows: Tensor, window_size: int, h: int, w: int) -> Tensor:
    """Inverse of :func:`window_partition`: windows (b*nh*nw, ws, ws, c) to (b, h, w, c)."""
    size = _axes("window_reverse", windows, "windows i j c")
    _positive("window_reverse", window_size=window_size, h=h, w=w)
    if (size["i"], size["j"]) != (window_size, window_size):
        raise ValueError(f"window_reverse: expected windows of {window_size} by {window_size}, got {tuple(windows.shape)}; "
                         "pass the window_size that cut them, channels last")
    if h % window_size or w % window_size or size["windows"] % (h * w // window_size**2):
        raise ValueError(f"window_reverse: expected h and w divisible by window_size={window_size} and "
                         f"b * (h/ws) * (w/ws) windows, got {size['windows']} windows with h={h}, w={w}; "
                         "pass the height and width of the padded map")
    nh, nw = h // window_size, w // window_size
    return rearrange(windows, "(b nh nw) i j c -> b (nh i) (nw j) c", nh=nh, nw=nw)  # b h w c


def window_coordinates(h: int, w: int, window: int, *, device=None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Position inside its window of every pixel, from -1 to 1: (2, h, w), row first, then column ("ij").

    The position code of CAMixerSR (Wang et al., CVPR 2024), which tiles one window's ``linspace`` grid over the map.
    """
    _positive("window_coordinates", h=h, w=w, window=window)
    if h % window or w % window:
        raise ValueError(f"window_coordinates: expected h and w divisible by window={window}, got h={h}, w={w}; "
                         "take them from the padded map (dlnotes.shapes.pad_to_multiple)")
    line = torch.linspace(-1, 1, window, device=device, dtype=dtype)  # window
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"))  # 2 window window
    return grid.repeat(1, h // window, w // window)  # 2 h w


# ---- shuffles ------------------------------------------------------------------------------------------------------

def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave groups of channels of (b, c, h, w), as ShuffleNet (Zhang et al., CVPR 2018). Undone by ``c // groups``."""
    size = _axes("channel_shuffle", x, "b c h w")
    _positive("channel_shuffle", groups=groups)
    if size["c"] % groups:
        raise ValueError(f"channel_shuffle: expected channels divisible by groups, got {size['c']} channels and "
                         f"groups={groups}; choose a divisor of the channel count")
    return rearrange(x, "b (g c) h w -> b (c g) h w", g=groups)  # b (c g) h w


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """Channels to pixels (Shi et al., CVPR 2016): (b, c*factor**2, h, w) to (b, c, h*factor, w*factor)."""
    size = _axes("pixel_shuffle", x, "b c h w")
    _positive("pixel_shuffle", factor=factor)
    if size["c"] % factor**2:
        raise ValueError(f"pixel_shuffle: expected channels divisible by factor**2 = {factor**2}, got shape "
                         f"{tuple(x.shape)}; give the layer before it c * factor**2 output channels")
    return rearrange(x, "b (c p q) h w -> b c (h p) (w q)", p=factor, q=factor)  # b c (h p) (w q)


def pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    """Pixels to channels: (b, c, h, w) to (b, c*factor**2, h/factor, w/factor). Inverse of :func:`pixel_shuffle`."""
    _positive("pixel_unshuffle", factor=factor)
    _divisible("pixel_unshuffle", _axes("pixel_unshuffle", x, "b c h w"), factor, f"factor={factor}",
               channels_last=False)
    return rearrange(x, "b c (h p) (w q) -> b (c p q) h w", p=factor, q=factor)  # b (c p q) h w


# ---- padding and cropping ------------------------------------------------------------------------------------------

def pad_to_multiple(x: Tensor, multiple: int, *, channels_last: bool = False,
                    mode: str = "constant") -> tuple[Tensor, tuple[int, int]]:
    """Pad bottom and right until height and width are multiples: the padded tensor, and ``(bottom, right)`` in pixels.

    Args:
        x: (b, c, h, w), or (b, h, w, c) with ``channels_last=True``. The layout is never guessed.
        multiple: at least 1.
        mode: as ``F.pad``: "constant" (zeros), "reflect", "replicate", "circular". Undo with :func:`crop_to`.

    >>> pad_to_multiple(torch.zeros(2, 30, 28, 96), 7, channels_last=True)[0].shape
    torch.Size([2, 35, 28, 96])
    """
    size = _axes("pad_to_multiple", x, "b h w c" if channels_last else "b c h w")
    _positive("pad_to_multiple", multiple=multiple)
    modes = ("constant", "reflect", "replicate", "circular")
    if mode not in modes:
        raise ValueError(f"pad_to_multiple: expected mode to be one of {', '.join(modes)}, got {mode!r}; choose one")
    bottom, right = -size["h"] % multiple, -size["w"] % multiple
    if (bottom or right) and (mode == "reflect" and (bottom >= size["h"] or right >= size["w"])
                              or mode == "circular" and (bottom > size["h"] or right > size["w"])):
        raise ValueError(f"pad_to_multiple: expected no more padding than mode={mode!r} can draw from the picture, got "
                         f"h={size['h']}, w={size['w']} and padding ({bottom}, {right}); use mode='constant' or 'replicate'")
    if not (bottom or right):
        return x, (0, 0)
    first = x.movedim(-1, 1) if channels_last else x  # b c h w
    padded = F.pad(first, (0, right, 0, bottom), mode=mode)  # b c h+bottom w+right
    return (padded.movedim(1, -1) if channels_last else padded), (bottom, right)


def crop_to(x: Tensor, h: int, w: int, *, channels_last: bool = False) -> Tensor:
    """Keep the top left h by w pixels: undoes :func:`pad_to_multiple`. A view of (b, c, h, w), or (b, h, w, c)."""
    return _crop("crop_to", x, h, w, channels_last, center=False)


def center_crop(x: Tensor, h: int, w: int, *, channels_last: bool = False) -> Tensor:
    """Keep the middle h by w pixels, as the "copy and crop" of U-Net does (Ronneberger et al., MICCAI 2015). A view."""
    return _crop("center_crop", x, h, w, channels_last, center=True)


def _crop(name: str, x: Tensor, h: int, w: int, channels_last: bool, center: bool) -> Tensor:
    size = _axes(name, x, "b h w c" if channels_last else "b c h w")
    _positive(name, h=h, w=w)
    if h > size["h"] or w > size["w"]:
        raise ValueError(f"{name}: expected h and w of at most {size['h']} and {size['w']}, got h={h}, w={w}; "
                         "a crop cannot grow a picture, pad it instead")
    top, left = ((size["h"] - h) // 2, (size["w"] - w) // 2) if center else (0, 0)
    rows, columns = slice(top, top + h), slice(left, left + w)
    return x[:, rows, columns] if channels_last else x[:, :, rows, columns]
