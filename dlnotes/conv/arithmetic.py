"""How large the output is: the arithmetic of windows that slide, and of transposed convolutions that spread.

A window that covers ``span = dilation * (kernel - 1) + 1`` pixels fits at ``size + 2 padding - span + 1`` places, and every
``stride``-th is used; what is left at the end is dropped (the floor). Axes do not mix, so a size may be one number or one
per axis. Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285, 2016;
``ceil_mode``, ``output_padding`` and ``"same"`` as PyTorch's reference defines them.
"""

from collections.abc import Sequence

from dlnotes._check import check_integers

__all__ = ["adaptive_windows", "conv_size", "pool_size", "same_padding", "transposed_size"]

Size = int | Sequence[int]


def _axes(owner: str, size: Size, *values: Size) -> list[tuple[int, ...]]:
    """The numbers of each axis, one tuple an axis; empty if ``size`` and all values are single numbers."""
    if not any(isinstance(value, Sequence) for value in (size, *values)):
        return []
    if not isinstance(size, Sequence) or any(isinstance(value, Sequence) and len(value) != len(size) for value in values):
        raise ValueError(f"{owner}: expected one number for all axes or one for each axis of size, got size={size} and "
                         f"{', '.join(map(str, values))}; write size=(h, w) beside kernel_size=(kh, kw)")
    return list(zip(*(value if isinstance(value, Sequence) else [value] * len(size) for value in (size, *values))))


def conv_size(size: Size, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1) -> Size:
    """Output size of a convolution: ``floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1``.

    Args:
        size: of the input, one number, or one per axis such as (h, w).
        kernel_size, stride, padding, dilation: as in ``nn.Conv2d``, one number or one per axis of ``size``.

    Returns:
        An integer for an integer ``size``, otherwise a tuple.

    Raises:
        ValueError: if a value is out of range, or the kernel is larger than the padded input.

    >>> conv_size(572, 3), conv_size((224, 160), 7, stride=2, padding=3)
    (570, (112, 80))
    """
    if axes := _axes("conv_size", size, kernel_size, stride, padding, dilation):
        return tuple(conv_size(*axis) for axis in axes)
    check_integers("conv_size", size=size, kernel_size=kernel_size, stride=stride, dilation=dilation)
    check_integers("conv_size", at_least=0, padding=padding)
    span = dilation * (kernel_size - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(f"conv_size: expected a kernel no larger than the padded input, got a kernel that spans {span} of "
                         f"{size + 2 * padding} pixels; pad more or use a smaller kernel")
    return (size + 2 * padding - span) // stride + 1


def pool_size(size: Size, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
              ceil_mode: bool = False) -> Size:
    """Output size of max or average pooling; the stride is the kernel unless given.

    With ``ceil_mode`` a last window may hang over the end, but it must start inside the input or its left padding.

    Args:
        size: one number, or one per axis.
        kernel_size, stride, padding, dilation, ceil_mode: as in ``nn.MaxPool2d``; padding at most half the kernel.

    Returns:
        An integer for an integer ``size``, otherwise a tuple.

    Raises:
        ValueError: as :func:`conv_size`, and for padding above half the kernel.

    >>> pool_size(5, 2), pool_size(5, 2, ceil_mode=True)
    (2, 3)
    """
    stride = kernel_size if stride is None else stride
    if axes := _axes("pool_size", size, kernel_size, stride, padding, dilation):
        return tuple(pool_size(*axis, ceil_mode) for axis in axes)
    check_integers("pool_size", kernel_size=kernel_size)
    check_integers("pool_size", at_least=0, padding=padding)
    if padding > kernel_size // 2:
        raise ValueError(f"pool_size: expected padding of at most half the kernel, got padding={padding} and "
                         f"kernel_size={kernel_size}; a window with nothing but padding in it has no maximum")
    floor = conv_size(size, kernel_size, stride, padding, dilation)
    left_over = size + 2 * padding - dilation * (kernel_size - 1) - 1 - (floor - 1) * stride
    starts_inside = floor * stride < size + padding
    return floor + 1 if ceil_mode and left_over and starts_inside else floor


def transposed_size(size: Size, kernel_size: Size, stride: Size = 1, padding: Size = 0, output_padding: Size = 0,
                    dilation: Size = 1) -> Size:
    """Output size of a transposed convolution.

    ``(size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1``. It undoes :func:`conv_size` with the same
    numbers. Up to ``stride`` input sizes share one output size (the floor); ``output_padding`` says which of them to return
    to.

    Args:
        size: one number, or one per axis.
        kernel_size, stride, padding, output_padding, dilation: as in ``nn.ConvTranspose2d``.

    Returns:
        An integer for an integer ``size``, otherwise a tuple.

    Raises:
        ValueError: if a value is out of range, ``output_padding`` is not below the stride or the dilation, or nothing is
            left.

    >>> transposed_size(28, 2, stride=2), transposed_size(7, 3, stride=2, padding=1, output_padding=1)
    (56, 14)
    """
    if axes := _axes("transposed_size", size, kernel_size, stride, padding, output_padding, dilation):
        return tuple(transposed_size(*axis) for axis in axes)
    check_integers("transposed_size", size=size, kernel_size=kernel_size, stride=stride, dilation=dilation)
    check_integers("transposed_size", at_least=0, padding=padding, output_padding=output_padding)
    if output_padding >= max(stride, dilation):
        raise ValueError(f"transposed_size: expected output_padding below the stride or the dilation, got output_padding="
                         f"{output_padding}, stride={stride}, dilation={dilation}; it tells apart sizes that a stride hides")
    result = (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1
    if result < 1:
        raise ValueError(f"transposed_size: expected at least one pixel to be left, got {result} from size={size} and "
                         f"padding={padding}; padding crops here, so use less of it")
    return result


def same_padding(kernel_size: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros (before, after) that keep the size at stride 1. An even kernel needs one more after than before.

    >>> same_padding(3), same_padding(4), same_padding(3, dilation=2)
    ((1, 1), (1, 2), (2, 2))
    """
    check_integers("same_padding", kernel_size=kernel_size, dilation=dilation)
    total = dilation * (kernel_size - 1)
    return total // 2, total - total // 2


def adaptive_windows(size: int, output_size: int) -> list[tuple[int, int]]:
    """Pixels (first, last + 1) that each output of adaptive pooling reads; windows may differ in length and overlap.

    >>> adaptive_windows(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    check_integers("adaptive_windows", size=size, output_size=output_size)
    return [(i * size // output_size, -(-(i + 1) * size // output_size)) for i in range(output_size)]
