"""What every convolution of this package asks of its arguments, resolved to one number per axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dlnotes._check import check_choice, check_divisible, check_input, check_integers

from .arithmetic import same_padding

LAYOUTS = {1: "b c n", 2: "b c h w", 3: "b c d h w"}


@dataclass(frozen=True)
class Plan:
    """A checked convolution: one number per axis; padding as (before, after); ``size`` of the output."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    span: tuple[int, ...]
    size: tuple[int, ...]


def per_axis(owner: str, axes: int, at_least: int = 1, **values: int | Sequence[int]) -> tuple[int, ...]:
    """The one named value as a tuple with a whole number for each axis."""
    (name, value), = values.items()
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(numbers) != axes:
        raise ValueError(f"{owner}: expected {name} to be one number or {axes}, got {value!r}; give one for each axis")
    check_integers(owner, at_least=at_least, **{name if axes == 1 else f"{name}[{i}]": n for i, n in enumerate(numbers)})
    return numbers


def check_bias(owner: str, bias: torch.Tensor | None, channels: int, weight: torch.Tensor) -> None:
    if bias is not None and (not isinstance(bias, torch.Tensor) or tuple(bias.shape) != (channels,)):
        came = tuple(bias.shape) if isinstance(bias, torch.Tensor) else repr(bias)
        raise ValueError(f"{owner}: expected bias of shape ({channels},), got {came}; one number for each output channel")
    if bias is not None and bias.dtype != weight.dtype:
        raise TypeError(f"{owner}: expected a bias of {weight.dtype}, the dtype of the weight, got {bias.dtype}; "
                        f"convert with bias.to({weight.dtype})")


def plan(owner: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride, padding, dilation,
         groups: int, axes: int) -> Plan:
    """Check all arguments of a convolution with that many spatial axes."""
    check_input(owner, x, LAYOUTS[axes])
    if not isinstance(weight, torch.Tensor) or weight.ndim != axes + 2:
        raise ValueError(f"{owner}: expected a weight with {axes + 2} axes (out, in / groups, kernel), got "
                         f"{tuple(weight.shape) if isinstance(weight, torch.Tensor) else type(weight).__name__}; "
                         "a single kernel is weight[None, None]")
    check_input(owner, x, LAYOUTS[axes], like=weight)
    check_integers(owner, groups=groups)
    check_divisible(owner, "groups", groups, in_channels=x.shape[1], out_channels=weight.shape[0])
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(f"{owner}: expected x with {weight.shape[1]} * groups={groups} channels for weight "
                         f"{tuple(weight.shape)}, got x of shape {tuple(x.shape)}; each output sees in_channels / groups")
    check_bias(owner, bias, weight.shape[0], weight)
    kernel = tuple(weight.shape[2:])
    stride = per_axis(owner, axes, stride=stride)
    dilation = per_axis(owner, axes, dilation=dilation)
    if isinstance(padding, str):
        check_choice(owner, ("valid", "same"), padding=padding)
        if padding == "same" and set(stride) != {1}:
            raise ValueError(f"{owner}: expected stride 1 with padding='same', got stride={stride}; give padding in pixels")
        sides = tuple(same_padding(k, d) if padding == "same" else (0, 0) for k, d in zip(kernel, dilation))
    else:
        sides = tuple((p, p) for p in per_axis(owner, axes, at_least=0, padding=padding))
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    padded = tuple(size + sum(side) for size, side in zip(x.shape[2:], sides))
    if any(s > size for s, size in zip(span, padded)):
        raise ValueError(f"{owner}: expected a kernel no larger than the padded input, got a kernel that spans {span} of "
                         f"{padded} pixels; pad more or use a smaller kernel")
    size = tuple((whole - one) // step + 1 for whole, one, step in zip(padded, span, stride))
    return Plan(kernel, stride, sides, dilation, span, size)


def pad(x: torch.Tensor, padding: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """One value around the last axes of x, (before, after) for each; ``F.pad`` counts from the last axis backwards."""
    return F.pad(x, [side for axis in reversed(padding) for side in axis], value=value)
