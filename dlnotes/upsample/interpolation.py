"""Nearest, bilinear and bicubic resizing as what they are: one matrix for the rows, one for the columns, ``A x Bᵀ``.

Every output pixel is placed on the input's axis, and takes a weighted sum of the pixels around that place. Row i of the
matrix holds the weights of output i. Bilinear weighs two pixels by a tent, bicubic four by a cubic spline with a = -0.75;
both directions are treated alike, one after the other. Sources: Keys, IEEE Trans. ASSP 29, 1981, equation 15 (the cubic; his
a is -0.5); conventions of ``F.interpolate``, to which everything here is equal.
Departures: "nearest" to a size is computed in whole numbers; PyTorch rounds the place in float32, so that where it lies
exactly between two pixels, its kernels disagree even among themselves. An antialiased result that is one pixel wide is
right here and a repeated first pixel in PyTorch 2.13 on the CPU.
"""

from collections.abc import Callable, Sequence
from math import floor

import torch
from torch import Tensor

from dlnotes._check import check_choice, check_input, check_integers

__all__ = ["cubic", "interpolate", "interpolation_matrix", "source_places", "tent"]

MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


def tent(distance: Tensor) -> Tensor:
    """1 at distance 0, falling linearly to 0 at distance 1: the weights of linear interpolation."""
    return (1 - distance.abs()).clamp(min=0)


def cubic(distance: Tensor, a: float = -0.75) -> Tensor:
    """Keys's cubic: 1 at distance 0, 0 at 1 and 2, slope ``a`` at 1; it overshoots, for the weights beyond 1 are negative.

    With a = -1/2 it reproduces parabolas exactly, with PyTorch's -3/4 not even a straight line: doubling a ramp is off by up
    to 3/64 of a step. What -3/4 buys is a sharper look.

    >>> cubic(torch.tensor([0., 0.5, 1., 1.5, 2.])).tolist()
    [1.0, 0.59375, 0.0, -0.09375, 0.0]
    """
    t = distance.abs()
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return torch.where(t <= 1, near, torch.where(t < 2, far, torch.zeros_like(t)))


def source_places(size_in: int, size_out: int, align_corners: bool = False, scale: float | None = None) -> Tensor:
    """Where the centre of every output pixel lies on the input's axis, whose pixel centres are 0, 1, 2, ...

    ``align_corners=True``: the centres of the first and last pixels fall onto each other, so the spacing is
    ``(in - 1) / (out - 1)``. ``False``: the outer *edges* of the pictures do; half a pixel is added, scaled and taken off
    again.

    Args:
        size_in, size_out: pixels.
        align_corners: which of the two.
        scale: factor of enlargement to use in place of ``size_out / size_in``; without meaning for ``align_corners=True``.

    Returns:
        (size_out,) float64; may lie outside of [0, size_in - 1].

    Raises:
        ValueError: if a size is not a positive integer or the scale not positive.

    >>> source_places(2, 4, align_corners=True).tolist(), source_places(2, 4).tolist()
    ([0.0, 0.3333333333333333, 0.6666666666666666, 1.0], [-0.25, 0.25, 0.75, 1.25])
    """
    _check_sizes("source_places", size_in, size_out, scale)
    i = torch.arange(size_out, dtype=torch.float64)                             # out
    if align_corners:
        return i * ((size_in - 1) / (size_out - 1) if size_out > 1 else 0.0)
    return (i + 0.5) * (size_in / size_out if scale is None else 1 / scale) - 0.5


def interpolation_matrix(size_in: int, size_out: int, mode: str = "bilinear", align_corners: bool = False,
                         scale: float | None = None, antialias: bool = False, *, dtype: torch.dtype = torch.float32,
                         device: torch.device | str | None = None) -> Tensor:
    """The matrix that resizes one axis: ``interpolation_matrix(h, H) @ column``. Every row sums to 1.

    Args:
        size_in, size_out: pixels before and after.
        mode: ``"nearest"``, ``"nearest-exact"`` (which looks from the centre of the pixel, not from its edge),
            ``"bilinear"`` or ``"bicubic"``.
        align_corners, scale: as :func:`source_places`. Without meaning for the two nearest ones, which refuse
            ``align_corners``.
        antialias: when shrinking, stretch the kernel by the factor, so that every input pixel is heard (bicubic then has
            a = -0.5, as in Pillow). Pixels beyond the border are left out; otherwise the border's pixel is repeated.
        dtype, device: of the result; it is computed in float64.

    Returns:
        (size_out, size_in).

    Raises:
        ValueError: for an unknown mode, sizes that are not positive integers, or options that do not go together.

    >>> interpolation_matrix(2, 4)
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500],
            [0.2500, 0.7500],
            [0.0000, 1.0000]])
    >>> interpolation_matrix(4, 2, "nearest").int().tolist()
    [[1, 0, 0, 0], [0, 0, 1, 0]]
    """
    owner = "interpolation_matrix"
    _check_sizes(owner, size_in, size_out, scale)
    _check_options(owner, mode, align_corners, antialias)
    kept = size_in == size_out and (antialias or mode in ("nearest", "bilinear"))
    if kept or (size_out == 2 * size_in and mode == "nearest"):
        scale = None                                                            # PyTorch goes by the sizes alone here
    if mode.startswith("nearest"):
        pixel = _nearest(size_in, size_out, centred=mode == "nearest-exact", scale=scale)                       # out
        matrix = torch.eye(size_in, dtype=torch.float64)[pixel]                                                 # out in
    elif antialias:
        kernel, _ = _kernel(mode, a=-0.5)
        places = source_places(size_in, size_out, scale=scale)
        stretch = max(1.0, size_in / size_out if scale is None else 1 / scale)
        matrix = kernel((places[:, None] - torch.arange(size_in)) / stretch)                                    # out in
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
    else:
        kernel, reach = _kernel(mode, a=-0.75)
        places = source_places(size_in, size_out, align_corners, scale)
        pixels = places.floor()[:, None] + torch.arange(1 - reach, 1 + reach)                                   # out taps
        weights = kernel(places[:, None] - pixels)                                                              # out taps
        pixels = pixels.long().clamp(0, size_in - 1)                            # beyond the border: its last pixel again
        matrix = torch.zeros(size_out, size_in, dtype=torch.float64).scatter_add(1, pixels, weights)            # out in
    return matrix.to(dtype=dtype, device=device)


def interpolate(x: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None,
                mode: str = "nearest", align_corners: bool = False, recompute_scale_factor: bool = False,
                antialias: bool = False) -> Tensor:
    """``F.interpolate`` of feature maps: ``A x Bᵀ``, with one :func:`interpolation_matrix` for rows and one for columns.

    ``size`` and ``scale_factor`` agree wherever the factor gives a whole number of pixels. Elsewhere the size is rounded
    down, and the places are computed with the factor as given; ``recompute_scale_factor=True`` uses the factor of the sizes,
    as ``size`` does.

    Args:
        x: (b, c, h, w).
        size: (H, W), or one number for both.
        scale_factor: of enlargement, one or (rows, columns); exactly one of ``size`` and ``scale_factor``.
        mode, align_corners, antialias: as :func:`interpolation_matrix`.
        recompute_scale_factor: only with ``scale_factor``.

    Returns:
        (b, c, H, W).

    Raises:
        ValueError: for other axes, options that do not go together, or an empty result. TypeError: for an integer tensor.

    >>> interpolate(torch.tensor([[[[0., 1.]]]]), size=(1, 5), mode="bilinear", align_corners=True).flatten().tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    owner = "interpolate"
    check_input(owner, x, "b c h w")
    _check_options(owner, mode, align_corners, antialias)
    if (size is None) == (scale_factor is None) or (recompute_scale_factor and scale_factor is None):
        raise ValueError(f"{owner}: expected either size or scale_factor, got size={size}, scale_factor={scale_factor}, "
                         f"recompute_scale_factor={recompute_scale_factor}; the last goes with scale_factor only")
    scales = (None, None)
    if size is None:
        scales = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * 2
        if len(scales) != 2 or any(not factor > 0 for factor in scales):
            raise ValueError(f"{owner}: expected one positive scale_factor or two, got {scale_factor!r}; (rows, columns)")
        size = tuple(floor(side * factor) for side, factor in zip(x.shape[2:], scales))
        scales = (None, None) if recompute_scale_factor else scales
    size = tuple(size) if isinstance(size, Sequence) else (size,) * 2
    if len(size) != 2:
        raise ValueError(f"{owner}: expected size to be one number or (height, width), got {size}; leave out b and c")
    rows, columns = (interpolation_matrix(n, m, mode, align_corners, scale, antialias, dtype=x.dtype, device=x.device)
                     for n, m, scale in zip(x.shape[2:], size, scales))         # H h, W w
    return rows @ x @ columns.mT                                                # b c H W


def _kernel(mode: str, a: float) -> tuple[Callable[[Tensor], Tensor], int]:
    """Weight by distance, and how many pixels it reaches to each side."""
    return (tent, 1) if mode == "bilinear" else (lambda distance: cubic(distance, a), 2)


def _nearest(size_in: int, size_out: int, centred: bool, scale: float | None) -> Tensor:
    """Which input pixel each output pixel copies: (out,) int64."""
    i = torch.arange(size_out)
    if scale is None:
        return (2 * i + 1) * size_in // (2 * size_out) if centred else i * size_in // size_out
    places = (i.float() + (0.5 if centred else 0.0)) * torch.tensor(1 / scale).float()      # rounded as PyTorch's
    return places.floor().long().clamp(max=size_in - 1)


def _check_sizes(owner: str, size_in: int, size_out: int, scale: float | None) -> None:
    check_integers(owner, size_in=size_in, size_out=size_out)
    if scale is not None and not scale > 0:
        raise ValueError(f"{owner}: expected scale to be positive, got {scale!r}; 2.0 doubles the size")


def _check_options(owner: str, mode: str, align_corners: bool, antialias: bool) -> None:
    check_choice(owner, MODES, mode=mode)
    if mode.startswith("nearest") and (align_corners or antialias):
        raise ValueError(f"{owner}: expected align_corners and antialias only with 'bilinear' or 'bicubic', got {mode!r}; "
                         "nearest copies whole pixels")
    if align_corners and antialias:
        raise ValueError(f"{owner}: expected align_corners or antialias, got both; choose one")
