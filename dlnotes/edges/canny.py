"""Canny's edge detector: blur, differentiate, keep the crests, and follow strong edges into weak ones.

Source: Canny, "A Computational Approach to Edge Detection", IEEE TPAMI 8(6), 1986. Departures: Sobel's filter on the blurred
picture is the derivative; the paper's several scales and its estimate of the noise are left out. Equal, pixel for pixel on
photographs, to ``skimage.feature.canny`` with ``mode="nearest"``; skimage's thresholds count Sobel with whole-number weights
and are therefore 8 times ours.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dlnotes._check import check_input

from .operators import gaussian_blur, gradient_magnitude, image_gradients

__all__ = ["CannySteps", "canny", "hysteresis", "non_maximum_suppression"]


@dataclass(frozen=True)
class CannySteps:
    """What each step of :func:`canny` made, all (b, c, h, w): blurred picture, magnitude, crests, and edges as booleans."""

    blurred: torch.Tensor
    magnitude: torch.Tensor
    crests: torch.Tensor
    edges: torch.Tensor


def canny(x: torch.Tensor, sigma: float = 1.0, low: float = 0.0125, high: float = 0.025) -> CannySteps:
    """Thin, connected edges of every channel.

    Args:
        x: (b, c, h, w); the thresholds suit pictures from 0 to 1.
        sigma: of the blur, in pixels: what is finer is noise.
        low, high: slopes in grey levels per pixel: an edge must reach ``high`` somewhere, and goes on while above ``low``.

    Raises:
        TypeError, ValueError: if ``x`` is no floating (b, c, h, w), or not ``0 < low <= high``.

    >>> step = torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]).expand(1, 1, 6, 7)
    >>> canny(step).edges[0, 0].sum(0).tolist()             # one column; the border of the picture is never an edge
    [0, 0, 0, 4, 0, 0, 0]
    """
    check_input("canny", x, "b c h w", at_least=3)
    blurred = gaussian_blur(x, sigma)                               # b c h w
    gx, gy = image_gradients(blurred, "sobel")                      # b c h w each
    magnitude = gradient_magnitude(gx, gy)                          # b c h w
    crests = non_maximum_suppression(gx, gy)                        # b c h w
    return CannySteps(blurred, magnitude, crests, hysteresis(crests, low, high))


def non_maximum_suppression(gx: torch.Tensor, gy: torch.Tensor) -> torch.Tensor:
    """The magnitude where it is no smaller than one step up and one step down the gradient; elsewhere zero.

    A step ends on the square of the eight neighbours, between a straight and a diagonal one; the magnitude there is
    interpolated between the two. The border has not all its neighbours and is zero.

    Args:
        gx, gy: derivatives (b, c, h, w) of :func:`~dlnotes.edges.image_gradients`.

    Returns:
        (b, c, h, w).
    """
    magnitude = gradient_magnitude(gx, gy)                                              # b c h w
    check_input("non_maximum_suppression", magnitude, "b c h w", at_least=3)
    w = magnitude.shape[-1]
    steep = gy.abs() >= gx.abs()                                                        # rather up and down
    share = torch.minimum(gx.abs(), gy.abs()) / torch.maximum(gx.abs(), gy.abs()).clamp(min=torch.finfo(gx.dtype).tiny)
    down, right = gy.sign().long() * w, gx.sign().long()                                # offsets in the flattened picture
    straight, diagonal = torch.where(steep, down, right), down + right
    here = torch.arange(magnitude[0, 0].numel(), device=gx.device).reshape(magnitude.shape[-2:])
    inner = F.pad(torch.ones_like(magnitude[..., 1:-1, 1:-1], dtype=torch.bool), [1] * 4)

    def at(offset: torch.Tensor) -> torch.Tensor:
        index = torch.where(inner, here + offset, 0).flatten(-2)                        # b c (h w)
        return magnitude.flatten(-2).gather(-1, index).unflatten(-1, magnitude.shape[-2:])

    ahead = share * at(diagonal) + (1 - share) * at(straight)                           # b c h w
    behind = share * at(-diagonal) + (1 - share) * at(-straight)                        # b c h w
    return torch.where(inner & (magnitude >= ahead) & (magnitude >= behind), magnitude, 0.0)


def hysteresis(crests: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Pixels of at least ``low`` that a chain of such pixels (eight neighbours) links to one of at least ``high``.

    Args:
        crests: (b, c, h, w), not negative.
        low, high: thresholds, ``0 < low <= high``.

    Returns:
        (b, c, h, w) boolean.

    Raises:
        TypeError, ValueError: if ``crests`` is no such map, or the thresholds are in another order.
    """
    check_input("hysteresis", crests, "b c h w")
    if not 0 < low <= high:
        raise ValueError(f"hysteresis: expected 0 < low <= high, got low={low!r}, high={high!r}; "
                         "an edge starts at high and ends at low")
    weak, edges = crests >= low, crests >= high
    while True:
        grown = weak & (F.max_pool2d(edges.to(crests.dtype), 3, stride=1, padding=1) > 0)
        if torch.equal(grown, edges):
            return edges
        edges = grown
