"""Edges: where does a picture change, how fast, and in which direction?

A derivative filter subtracts the pixel before from the pixel after along one axis and smooths along the other; the 3 by 3
kernel is the outer product of the two. Operators differ only in how they smooth: Prewitt (1, 1, 1), Sobel (1, 2, 1), Scharr
(3, 10, 3). The Laplacian adds the second derivatives of both axes: no direction, and ten times Sobel's answer to noise.

Sources: Prewitt, in Lipkin and Rosenfeld, "Picture Processing and Psychopictorics", 1970; Sobel and Feldman, talk at the
Stanford AI project, 1968; Scharr, dissertation, Heidelberg, 2000; Laplacian of a Gaussian: Marr and Hildreth, Proceedings of
the Royal Society B, 1980.

Conventions, all tested. x runs right along the columns, y down along the rows; filters are correlations, so brightness that
grows to the right has gx > 0. ``normalized=True`` gives derivatives: 1 on a ramp of one grey level a pixel. With
``normalized=False`` the weights are whole numbers, as in ``scipy.ndimage``: 8 (Sobel), 32 (Scharr) and 6 (Prewitt) times as
much. skimage smooths by weights that sum to one and does not halve the difference: its derivatives are 2 times ours; its
magnitude is the root of the mean square of both, √2 times ours, √(gx² + gy²). ``laplacian`` is positive where a pixel is
darker than its neighbours, as in ``scipy.ndimage``; skimage's has the other sign. Padding by one pixel in mode "replicate"
is what both libraries call "reflect"; what ``F.pad`` calls "reflect" is their "mirror".
"""

import math

import torch
import torch.nn.functional as F

from dlnotes._check import check_choice, check_input

__all__ = ["edge_kernels", "edge_mask", "gaussian_blur", "gradient_direction", "gradient_magnitude", "image_gradients",
           "laplacian", "laplacian_of_gaussian", "separable_filter"]

_SMOOTH = {"sobel": (1, 2, 1), "scharr": (3, 10, 3), "prewitt": (1, 1, 1)}
_PADDING = ("replicate", "reflect", "circular", "constant", "valid")


def edge_kernels(operator: str = "sobel", normalized: bool = True, *, dtype: torch.dtype = torch.float32,
                 device: torch.device | str | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The two one-dimensional kernels of an operator.

    Args:
        operator: ``"sobel"``, ``"scharr"`` or ``"prewitt"``.
        normalized: smoothing weights sum to one, and the derivative is half the difference; or whole numbers.
        dtype, device: of the kernels.

    Returns:
        smooth (3,) and derivative (3,); ``torch.outer(smooth, derivative)`` is the kernel of gx, its transpose that of gy.

    >>> torch.outer(*edge_kernels("sobel", normalized=False)).int()
    tensor([[-1,  0,  1],
            [-2,  0,  2],
            [-1,  0,  1]], dtype=torch.int32)
    """
    check_choice("edge_kernels", _SMOOTH, operator=operator)
    smooth = torch.tensor(_SMOOTH[operator], dtype=dtype, device=device)
    derivative = torch.tensor([-1, 0, 1], dtype=dtype, device=device)
    return (smooth / smooth.sum(), derivative / 2) if normalized else (smooth, derivative)


def image_gradients(x: torch.Tensor, operator: str = "sobel", padding: str = "replicate",
                    normalized: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The two partial derivatives of every channel.

    Args:
        x: (b, c, h, w).
        operator: ``"sobel"``, ``"scharr"`` or ``"prewitt"``.
        padding: ``"replicate"``, ``"reflect"``, ``"circular"``, ``"constant"`` (zeros: an edge around the picture), or
            ``"valid"``, none.
        normalized: per pixel, or with whole-number weights; see :func:`edge_kernels`.

    Returns:
        gx, along the columns, and gy, along the rows; each (b, c, h, w), with "valid" (b, c, h-2, w-2).

    Raises:
        TypeError, ValueError: if ``x`` is no floating (b, c, h, w) or too small for the padding, or a name is unknown.

    >>> ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    >>> gx, gy = image_gradients(ramp, padding="valid")
    >>> gx.flatten().tolist(), gy.abs().max().item()
    ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0.0)
    """
    check_input("image_gradients", x, "b c h w")
    smooth, derivative = edge_kernels(operator, normalized, dtype=x.dtype, device=x.device)
    gx = separable_filter(x, smooth, derivative, padding)           # b c h w: smooth down, differentiate across
    gy = separable_filter(x, derivative, smooth, padding)           # b c h w: differentiate down, smooth across
    return gx, gy


def gradient_magnitude(gx: torch.Tensor, gy: torch.Tensor) -> torch.Tensor:
    """√(gx² + gy²), with the shape of both: the slope of the steepest way up.

    Where both are zero, as in any flat area, the gradient of this root is taken as zero; that of a plain ``sqrt`` is NaN.
    """
    _check_pair("gradient_magnitude", gx, gy)
    return torch.linalg.vector_norm(torch.stack([gx, gy]), dim=0)


def gradient_direction(gx: torch.Tensor, gy: torch.Tensor) -> torch.Tensor:
    """Direction in which the picture brightens, in radians from -π to π, with the shape of both.

    0 is to the right, π/2 is down (rows are counted downwards), ±π to the left. The edge itself runs at right angles to it.
    It means nothing where the magnitude is near zero.

    >>> gradient_direction(torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0.0000, 1.5708, 3.1416])
    """
    _check_pair("gradient_direction", gx, gy)
    return torch.atan2(gy, gx)


def edge_mask(magnitude: torch.Tensor, threshold: float) -> torch.Tensor:
    """Boolean map of the pixels whose magnitude is above the threshold, in the units of the magnitude."""
    if not isinstance(magnitude, torch.Tensor) or not magnitude.is_floating_point():
        raise TypeError(f"edge_mask: expected a floating-point tensor, got {getattr(magnitude, 'dtype', type(magnitude))}; "
                        "pass the result of gradient_magnitude")
    if not threshold >= 0:
        raise ValueError(f"edge_mask: expected a threshold of at least 0, got {threshold!r}; magnitudes are not negative")
    return magnitude > threshold


def laplacian(x: torch.Tensor, neighbours: int = 4, padding: str = "replicate") -> torch.Tensor:
    """Sum of the neighbours minus as many times the pixel: the second derivatives of both axes, added.

    Args:
        x: (b, c, h, w).
        neighbours: 4, or 8 with the diagonal ones, which responds alike to more directions, and three times as strongly.
        padding: as in :func:`image_gradients`.

    Returns:
        (b, c, h, w), with "valid" (b, c, h-2, w-2).
    """
    check_choice("laplacian", (4, 8), neighbours=neighbours)
    check_input("laplacian", x, "b c h w")
    if neighbours == 8:                                             # all nine summed, by rows and columns, minus nine times
        ones = x.new_ones(3)
        return separable_filter(x, ones, ones, padding) - 9 * _inner(x, padding)
    keep, bend = x.new_tensor([0, 1, 0]), x.new_tensor([1, -2, 1])
    return separable_filter(x, bend, keep, padding) + separable_filter(x, keep, bend, padding)      # b c h w


def gaussian_blur(x: torch.Tensor, sigma: float, padding: str = "replicate", truncate: float = 4.0) -> torch.Tensor:
    """Blur by a sampled Gaussian whose weights sum to one, as ``scipy.ndimage.gaussian_filter`` does.

    Args:
        x: (b, c, h, w).
        sigma: standard deviation in pixels.
        padding: as in :func:`image_gradients`; SciPy's "nearest" is "replicate".
        truncate: the kernel ends this many standard deviations from its middle.

    Returns:
        (b, c, h, w), with "valid" smaller by twice the kernel's radius.
    """
    check_input("gaussian_blur", x, "b c h w")
    for name, value in (("sigma", sigma), ("truncate", truncate)):
        if not 0 < value < math.inf:
            raise ValueError(f"gaussian_blur: expected {name} above 0, got {value!r}; 1.0 is a usual start for sigma")
    radius = int(truncate * sigma + 0.5)
    i = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)           # k
    weights = torch.exp(-0.5 * (i / sigma) ** 2)                                    # k
    weights = weights / weights.sum()
    return separable_filter(x, weights, weights, padding)                           # b c h w


def laplacian_of_gaussian(x: torch.Tensor, sigma: float, padding: str = "replicate") -> torch.Tensor:
    """Blur, then :func:`laplacian` of four neighbours: edges of the size sigma, where the result changes its sign.

    Departure from ``scipy.ndimage.gaussian_laplace``, which samples the derivatives of the Gaussian: here the blurred
    picture is differenced. The two draw together as sigma grows.
    """
    return laplacian(gaussian_blur(x, sigma, padding), 4, padding)


def separable_filter(x: torch.Tensor, down: torch.Tensor, across: torch.Tensor, padding: str = "replicate") -> torch.Tensor:
    """Correlate every channel with ``torch.outer(down, across)``, one axis after the other: 2k products a pixel, not k².

    Args:
        x: (b, c, h, w).
        down: weights along the columns of pixels (axis h), of odd length.
        across: weights along the rows of pixels (axis w), of odd length.
        padding: as in :func:`image_gradients`.

    Returns:
        (b, c, h, w), with "valid" smaller by the lengths less one.
    """
    check_input("separable_filter", x, "b c h w", like=down)
    check_choice("separable_filter", _PADDING, padding=padding)
    for name, kernel in (("down", down), ("across", across)):
        if kernel.ndim != 1 or len(kernel) % 2 == 0:
            raise ValueError(f"separable_filter: expected {name} to be one axis of odd length, got shape "
                             f"{tuple(kernel.shape)}; an even kernel has no middle pixel")
    c, (rh, rw) = x.shape[1], (len(down) // 2, len(across) // 2)
    if padding != "valid":
        most = {"reflect": 1, "circular": 0}.get(padding)           # reflection leaves out the border pixel itself
        if most is not None and (rh > x.shape[-2] - most or rw > x.shape[-1] - most):
            raise ValueError(f"separable_filter: expected height and width of at least {rh + most} and {rw + most} for "
                             f"padding {padding!r}, got {tuple(x.shape[-2:])}; use 'replicate' or a shorter kernel")
        x = F.pad(x, (rw, rw, rh, rh), mode=padding)                # b c h+2rh w+2rw
    elif x.shape[-2] < len(down) or x.shape[-1] < len(across):
        raise ValueError(f"separable_filter: expected height and width of at least {len(down)} and {len(across)} without "
                         f"padding, got {tuple(x.shape[-2:])}; choose a padding")
    x = F.conv2d(x, down.expand(c, 1, -1)[..., None], groups=c)     # b c h w+2rw
    return F.conv2d(x, across.expand(c, 1, -1)[:, :, None], groups=c)               # b c h w


def _inner(x: torch.Tensor, padding: str) -> torch.Tensor:
    return x[..., 1:-1, 1:-1] if padding == "valid" else x


def _check_pair(owner: str, gx: torch.Tensor, gy: torch.Tensor) -> None:
    if not isinstance(gx, torch.Tensor) or not isinstance(gy, torch.Tensor) or gx.shape != gy.shape or gx.dtype != gy.dtype:
        raise ValueError(f"{owner}: expected gx and gy of one shape and dtype, got "
                         f"{' and '.join(str(getattr(g, 'shape', type(g).__name__)) for g in (gx, gy))}; "
                         "take both from image_gradients")
