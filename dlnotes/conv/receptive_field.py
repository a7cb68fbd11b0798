"""What an output sees: the receptive field by arithmetic, and the effective one by gradients.

Walking from the input to the output, each layer widens the field by ``dilation * (kernel - 1)`` steps of the layers before
it, and a stride makes all later steps longer. That is the part of the picture that *can* matter. How much each pixel *does*
matter is the gradient, and it falls off towards the rim like a Gaussian. Sources: Araujo, Norris, Sim, "Computing Receptive
Fields of Convolutional Neural Networks", Distill 2019 (they walk backwards, with the same result); Luo, Li, Urtasun, Zemel,
NeurIPS 2016, sections 2 and 3. Departure from Luo et al.: the output's channels are summed, or one chosen, as their analysis
has a single channel.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from dlnotes._check import check_input, check_integers

from .arithmetic import same_padding

__all__ = ["Layer", "ReceptiveField", "effective_receptive_field", "effective_size", "receptive_field", "receptive_fields"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
POINTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.Tanh,
             nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
             nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)                    # in evaluation mode: one scale per channel


@dataclass(frozen=True)
class Layer:
    """The numbers of a convolution or a pooling that decide what it sees, along one axis."""

    kernel_size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def __post_init__(self):
        check_integers("Layer", kernel_size=self.kernel_size, stride=self.stride, dilation=self.dilation)
        check_integers("Layer", at_least=0, padding=self.padding)


@dataclass(frozen=True)
class ReceptiveField:
    """What the outputs of a chain of layers see, along one axis, in input pixels.

    Attributes:
        size: pixels that one output sees, from the first to the last.
        jump: distance between the fields of two neighbouring outputs: the product of all strides.
        start: first pixel that output 0 sees; negative where that is padding.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    def pixels(self, i: int) -> range:
        """Input pixels that output number ``i`` sees; those below 0 or beyond the picture are padding."""
        first = self.start + i * self.jump
        return range(first, first + self.size)


def receptive_fields(layers: Layer | nn.Module | Iterable[Layer | nn.Module], axis: int = -1) -> list[ReceptiveField]:
    """The receptive field after each layer of a chain.

    Args:
        layers: :class:`Layer` objects or modules, one or several, first to last: convolutions, max and average pooling,
            ``nn.Sequential``, and modules that work on each pixel alone. With branches, take the widest path.
        axis: which spatial axis, for modules whose rows and columns differ: -1 columns, -2 rows.

    Returns:
        One :class:`ReceptiveField` for each convolution and pooling.

    Raises:
        TypeError: for any other module. ValueError: for numbers out of range.

    >>> for field in receptive_fields([Layer(3), Layer(3), Layer(2, stride=2), Layer(3)]):
    ...     print(field)
    ReceptiveField(size=3, jump=1, start=0)
    ReceptiveField(size=5, jump=1, start=0)
    ReceptiveField(size=6, jump=2, start=0)
    ReceptiveField(size=10, jump=2, start=0)
    """
    fields, field = [], ReceptiveField()
    for layer in _flat([layers] if isinstance(layers, (Layer, nn.Module)) else layers, axis):
        field = ReceptiveField(size=field.size + layer.dilation * (layer.kernel_size - 1) * field.jump,
                               jump=field.jump * layer.stride,
                               start=field.start - layer.padding * field.jump)
        fields.append(field)
    return fields


def receptive_field(layers: Layer | nn.Module | Iterable[Layer | nn.Module], axis: int = -1) -> ReceptiveField:
    """The receptive field of a whole chain; arguments and errors as :func:`receptive_fields`.

    >>> receptive_field([nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)])
    ReceptiveField(size=11, jump=4, start=-5)
    """
    return ([ReceptiveField()] + receptive_fields(layers, axis))[-1]


def _flat(layers: Iterable[Layer | nn.Module], axis: int) -> Iterable[Layer]:
    for layer in layers:
        if isinstance(layer, Layer):
            yield layer
        elif isinstance(layer, nn.Sequential):
            yield from _flat(layer, axis)
        elif isinstance(layer, CONVOLUTIONS + POOLS):
            names = ("kernel_size", "stride", "padding", "dilation")
            numbers = {name: _along(getattr(layer, name, 1), axis) for name in names}   # average pooling has no dilation
            if isinstance(numbers["padding"], str):
                same = numbers["padding"] == "same"
                numbers["padding"] = same_padding(numbers["kernel_size"], numbers["dilation"])[0] if same else 0
            yield Layer(**numbers)
        elif not isinstance(layer, POINTWISE):
            raise TypeError("receptive_field: expected convolutions, pooling or modules that work on each pixel alone, got "
                            f"{type(layer).__name__}; describe it with Layer(kernel_size, stride, padding, dilation)")


def _along(value, axis: int):
    return value[axis] if isinstance(value, tuple) else value


def effective_receptive_field(model: nn.Module, x: torch.Tensor, position: tuple[int, int] | None = None,
                              channel: int | None = None) -> torch.Tensor:
    """How strongly one output pixel depends on each input pixel: the mean size of its gradient.

    Put the model in evaluation mode first, and give a batch of typical (or random) pictures. Nothing of the model changes.

    Args:
        model: any module from (b, c, h, w) to (b, o, h', w').
        x: (b, c, h, w).
        position: (row, column) of the output pixel; the middle one when None.
        channel: one output channel; the sum of all when None.

    Returns:
        (h, w): absolute gradient, summed over input channels and averaged over the batch.

    Raises:
        TypeError: if ``x`` is no floating-point tensor. ValueError: if the model gives no map, the output has no such pixel,
            or it does not depend on ``x`` at all.

    >>> field = effective_receptive_field(nn.Conv2d(1, 1, 3, padding=2, dilation=2), torch.zeros(1, 1, 7, 7))
    >>> (field > 0).int()[3].tolist()                                           # holes where the dilation skips pixels
    [0, 1, 0, 1, 0, 1, 0]
    """
    check_input("effective_receptive_field", x, "b c h w")
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        out = model(x)                                                          # b o h' w'
        if not isinstance(out, torch.Tensor) or out.ndim != 4:
            raise ValueError("effective_receptive_field: expected a model that gives (b, o, h, w), got "
                             f"{tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__}; "
                             "pass the part of the model before its head")
        row, column = (out.shape[2] // 2, out.shape[3] // 2) if position is None else position
        wanted = (0 if channel is None else channel, row, column)
        if not all(0 <= at < side for at, side in zip(wanted, out.shape[1:])):
            raise ValueError("effective_receptive_field: expected a position and channel inside the output "
                             f"{tuple(out.shape)}, got position={position}, channel={channel}; count from 0")
        outputs = out[:, :, row, column] if channel is None else out[:, channel, row, column]
        gradient = torch.autograd.grad(outputs.sum(), x, allow_unused=True)[0] if out.requires_grad else None  # b c h w
    if gradient is None:
        raise ValueError("effective_receptive_field: expected an output that depends on x, got one without a gradient; "
                         "the model must not detach its input or run under no_grad")
    return gradient.abs().sum(dim=1).mean(dim=0)                                # h w


def effective_size(field: torch.Tensor, threshold: float = 0.0455) -> float:
    """Side of the effective field: the root of the number of pixels above ``threshold`` times the largest value.

    Luo et al., section 3. Their threshold, the default, is 1 - 95.45 %: what lies beyond two standard deviations of a
    Gaussian.

    Args:
        field: (h, w), from :func:`effective_receptive_field`.
        threshold: fraction of the largest value, in (0, 1).

    Raises:
        ValueError: if ``field`` is not (h, w), or ``threshold`` not in (0, 1).
    """
    check_input("effective_size", field, "h w")
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"effective_size: expected threshold in (0, 1), got {threshold}; the usual value is 0.0455")
    return (field > threshold * field.max()).sum().item() ** 0.5
