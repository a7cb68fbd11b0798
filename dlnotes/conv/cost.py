"""What a layer or a model costs: parameters, and multiply-adds of one forward pass.

A convolution uses each weight once for every output pixel: ``multiply-adds = out * in / groups * kernel * output pixels``.
For whole models PyTorch's ``FlopCounterMode`` watches one pass; it counts two operations for each multiply-add, so the
figure here is half of its own. It counts convolutions, linear layers and matrix products, and no norm, activation, pooling,
FFT or interpolation. Attention is counted as its two products: fused kernels, which the counter may not see, are switched
off for the pass. What papers print as "FLOPs" is mostly this figure (He et al., CVPR 2016, table 1, count multiply-adds). A
speed is FLOPS; this is a count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dlnotes._check import check_divisible, check_integers

__all__ = ["ConvCost", "conv_cost", "count_parameters", "multiply_adds"]


@dataclass(frozen=True)
class ConvCost:
    """Parameters, and multiply-adds for one sample, of one convolution."""

    parameters: int
    multiply_adds: int


def conv_cost(in_channels: int, out_channels: int, kernel_size: Sequence[int], output_size: Sequence[int], groups: int = 1,
              bias: bool = True) -> ConvCost:
    """Cost of a convolution with any number of axes, from its numbers alone.

    Args:
        in_channels, out_channels, groups, bias: as in ``nn.Conv2d``. Adding the bias is not counted, as is usual.
        kernel_size: one number for each axis: (kh, kw).
        output_size: one number for each axis: (h', w'). For a transposed convolution pass the size of its *input*.

    Raises:
        ValueError: if a number is not positive, the axes differ in number, or groups do not divide the channels.

    >>> conv_cost(64, 128, (3, 3), (56, 56))
    ConvCost(parameters=73856, multiply_adds=231211008)
    >>> conv_cost(128, 128, (3, 3), (56, 56), groups=128, bias=False)                   # depthwise
    ConvCost(parameters=1152, multiply_adds=3612672)
    """
    check_integers("conv_cost", in_channels=in_channels, out_channels=out_channels, groups=groups)
    check_divisible("conv_cost", "groups", groups, in_channels=in_channels, out_channels=out_channels)
    if isinstance(kernel_size, int) or isinstance(output_size, int) or len(kernel_size) != len(output_size):
        raise ValueError("conv_cost: expected kernel_size and output_size with one number for each axis, got "
                         f"{kernel_size!r} and {output_size!r}; write (3, 3) and (56, 56)")
    for name, sizes in (("kernel_size", kernel_size), ("output_size", output_size)):
        check_integers("conv_cost", **{f"{name}[{i}]": size for i, size in enumerate(sizes)})
    weights = out_channels * (in_channels // groups) * prod(kernel_size)
    return ConvCost(weights + (out_channels if bias else 0), weights * prod(output_size))


def count_parameters(model: nn.Module, trainable: bool = False) -> int:
    """Numbers that the model learns, shared ones once; buffers such as running statistics are none.

    Args:
        model: any module, on any device (``meta`` included).
        trainable: only those with ``requires_grad``.

    Raises:
        TypeError: if ``model`` is no module.

    >>> count_parameters(nn.Linear(3, 4))
    16
    """
    _check_module("count_parameters", model)
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)


def multiply_adds(model: nn.Module, *inputs) -> int:
    """Multiply-adds of one forward pass in evaluation mode; for figures as printed in tables, with a batch of one.

    On the ``meta`` device nothing is computed and no memory is needed. The model is left as it was: mode of every module,
    parameters, statistics; so is the switch of PyTorch's fast path for attention.

    Args:
        model: any module, ours or not.
        *inputs: what its ``forward`` takes; tensors on the device of the model.

    Returns:
        Half of what ``FlopCounterMode`` counts.

    Raises:
        TypeError: if ``model`` is no module. ValueError: if a tensor lies on another device than the model.

    >>> with torch.device("meta"):
    ...     conv, x = nn.Conv2d(3, 64, 3, padding=1), torch.empty(1, 3, 224, 224)
    >>> multiply_adds(conv, x) == 64 * 3 * 9 * 224**2
    True
    """
    _check_module("multiply_adds", model)
    home = next((p.device for p in model.parameters()), None)
    for x in inputs:
        if home is not None and isinstance(x, torch.Tensor) and x.device != home:
            raise ValueError(f"multiply_adds: expected inputs on the model's device {home}, got one on {x.device}; "
                             f"move it with x.to('{home}')")
    modes = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        model.eval()
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, training in modes.items():
            module.training = training
    return counter.get_total_flops() // 2


def _check_module(owner: str, model) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"{owner}: expected an nn.Module, got {type(model).__name__}; wrap a function in a module")
