"""What the small convolutional networks share: convolution, batch norm, activation; a batch that can be normalised."""

from collections import OrderedDict

import torch
from torch import nn

__all__ = ["check_batch", "conv_norm_act", "fast_layout"]


def conv_norm_act(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1,
                  act: type[nn.Module] | None = None, eps: float = 1e-5) -> nn.Sequential:
    """Convolution (no bias: the norm has one), batch norm, and ``act()`` where there is one, called so.

    With an odd kernel (b, in_channels, h, w) -> (b, out_channels, ⌈h/stride⌉, ⌈w/stride⌉).
    """
    layers = OrderedDict(conv=nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2,
                                        groups=groups, bias=False),
                         norm=nn.BatchNorm2d(out_channels, eps=eps))
    if act is not None:
        layers["act"] = act()
    return nn.Sequential(layers)


def fast_layout(x: torch.Tensor) -> torch.Tensor:
    """The same picture (b, c, h, w), in memory with the channels last if that is faster: in float32 on the CPU.

    Depth-wise and 1×1 convolutions gain from it and pass the order on. In float64 PyTorch has other kernels, which lose. On
    a GPU it depends, and is left to the caller: ``x.contiguous(memory_format=torch.channels_last)``.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" and x.dtype == torch.float32 else x


def check_batch(model: nn.Module, x: torch.Tensor, stride: int) -> None:
    """In training a batch norm needs two values for each channel: from two samples, or from a map larger than one place.

    Args:
        model: it names itself and says whether it trains.
        x: pictures (b, c, h, w).
        stride: pixels for each place of the smallest map that is normalised.

    Raises:
        ValueError: if there is one value only.
    """
    if model.training and len(x) == 1 and max(x.shape[-2:]) <= stride:
        raise ValueError(f"{type(model).__name__}: expected a batch of at least 2 in training for pictures of up to "
                         f"{stride} pixels, got {tuple(x.shape)}, whose last map is one place, so that a batch norm has "
                         "nothing to compare it with; add samples, enlarge the picture, or call .eval()")
