"""Batch, layer, instance and group normalisation: one formula, forward and backward, over different axes.

Subtract a mean, divide by a standard deviation, scale and shift. The five differ only in *which numbers share a mean*: the
table :data:`SHARED`. Backward is one formula, too: a gradient through the normalisation loses its mean, and its part along
the normalised values. Sources: Ioffe & Szegedy, ICML 2015, algorithm 1 and the gradients of section 3; Ba, Kiros, Hinton,
arXiv 1607.06450, 2016; Ulyanov, Vedaldi, Lempitsky, arXiv 1607.08022, 2016; Wu & He, ECCV 2018, equation 1 and figure 2.
All use the biased variance. Equal to PyTorch's ``F.batch_norm``, ``F.layer_norm``, ``F.instance_norm``, ``F.group_norm``.
"""

from dataclasses import dataclass

import torch  # noqa: F401  (the doctests use it)
from einops import rearrange
from torch import Tensor

from dlnotes._check import check_choice, check_divisible, check_input, check_integers

__all__ = ["SHARED", "Saved", "norm_backward", "norm_forward", "statistics"]

# Which axes of (b, groups, c/groups, h, w) share one mean and one variance. Axes that are not named keep their own.
SHARED = {
    "batch": "b h w",               # one mean per channel, over the batch: depends on the neighbours in the batch
    "layer": "g c h w",             # one per sample: LayerNorm as CNN papers mean it, F.layer_norm(x, x.shape[1:])
    "pixel": "g c",                 # one per pixel (token): LayerNorm as in ViT, Swin and ConvNeXt
    "instance": "h w",              # one per sample and channel (with groups=1, g is nothing)
    "group": "c h w",               # one per sample and group of channels
}
_AXES = "b g c h w".split()


@dataclass(frozen=True)
class Saved:
    """What backward needs of forward."""

    normalised: Tensor              # b g c/g h w
    inverse_std: Tensor             # 1 where the axis is shared
    gamma: Tensor
    axes: tuple[int, ...]


def statistics(x: Tensor, kind: str, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, with size 1 where an axis is shared.

    Args:
        x: (b, c, h, w).
        kind: a key of :data:`SHARED`.
        groups: of channels, for ``"group"``; 1 for all others.

    Returns:
        Mean and variance, both of shape (b, groups, c // groups, h, w) with 1 for each axis of ``SHARED[kind]``.

    Raises:
        ValueError: for another number of axes or an unknown kind, if ``groups`` does not divide the channels or does not
            belong to ``kind``. TypeError: for an integer tensor.

    >>> x = torch.randn(4, 6, 5, 5)
    >>> for kind in SHARED:
    ...     mean, variance = statistics(x, kind, groups=2 if kind == "group" else 1)
    ...     print(f"{kind:8} {mean.numel():3} means, each over {x.numel() // mean.numel():3} numbers")
    batch      6 means, each over 100 numbers
    layer      4 means, each over 150 numbers
    pixel    100 means, each over   6 numbers
    instance  24 means, each over  25 numbers
    group      8 means, each over  75 numbers
    """
    return _moments(*_grouped("statistics", x, kind, groups))


def norm_forward(x: Tensor, gamma: Tensor, beta: Tensor, kind: str, groups: int = 1,
                 eps: float = 1e-5) -> tuple[Tensor, Saved]:
    """Normalise, scale and shift.

    Args:
        x: (b, c, h, w).
        gamma, beta: (c,); for ``"layer"`` (c, h, w), as ``nn.LayerNorm`` has it.
        kind: a key of :data:`SHARED`.
        groups: of channels, for ``"group"``; 1 for all others.
        eps: added to the variance.

    Returns:
        (b, c, h, w), and what :func:`norm_backward` needs.

    Raises:
        ValueError, TypeError: as :func:`statistics`, and if ``gamma`` or ``beta`` do not fit ``x``.
    """
    grouped, axes = _grouped("norm_forward", x, kind, groups)                   # b g c/g h w
    wanted = tuple(x.shape[1:]) if kind == "layer" else (x.shape[1],)
    for name, scale in (("gamma", gamma), ("beta", beta)):
        came = tuple(scale.shape) if isinstance(scale, Tensor) else repr(scale)
        if came != wanted:
            raise ValueError(f"norm_forward: expected {name} of shape {wanted} for kind={kind!r}, got {came}; "
                             "one number for each channel, or for 'layer' for each number of a sample")
        check_input("norm_forward", x, "b c h w", like=scale)
    if not eps >= 0:
        raise ValueError(f"norm_forward: expected eps of at least 0, got {eps!r}; the usual value is 1e-5")
    mean, variance = _moments(grouped, axes)
    inverse_std = (variance + eps).rsqrt()
    normalised = (grouped - mean) * inverse_std                                 # b g c/g h w
    out = _per_pixel(gamma) * rearrange(normalised, "b g c h w -> b (g c) h w") + _per_pixel(beta)      # b c h w
    return out, Saved(normalised, inverse_std, gamma, axes)


def norm_backward(gradient: Tensor, saved: Saved) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to x, gamma and beta, by hand.

    With n = (x - mean) / std and u the gradient that reaches n, means over the shared axes:
    ``dx = (u - mean(u) - n * mean(u * n)) / std``. Moving all x together, or stretching them, changes nothing that comes
    out; so those two directions carry no gradient.

    Args:
        gradient: (b, c, h, w), of the output of :func:`norm_forward`.
        saved: from the same call.

    Returns:
        dx (b, c, h, w); dgamma and dbeta, shaped as gamma.

    Raises:
        ValueError: if ``gradient`` has not the shape of the output.
    """
    b, g, c, h, w = saved.normalised.shape
    check_input("norm_backward", gradient, "b c h w", b=b, c=g * c, h=h, w=w, like=saved.gamma)
    n = saved.normalised                                                        # b g c/g h w
    u = rearrange(_per_pixel(saved.gamma) * gradient, "b (g c) h w -> b g c h w", g=g)                  # b g c/g h w
    mean_u, mean_un = (part.mean(saved.axes, keepdim=True) for part in (u, u * n))
    dx = (u - mean_u - n * mean_un) * saved.inverse_std                         # b g c/g h w

    axes = (0, 2, 3) if saved.gamma.ndim == 1 else (0,)                         # wherever one gamma serves many pixels
    dgamma = (gradient * rearrange(n, "b g c h w -> b (g c) h w")).sum(axes)    # c, or c h w
    return rearrange(dx, "b g c h w -> b (g c) h w"), dgamma, gradient.sum(axes)


def _grouped(owner: str, x: Tensor, kind: str, groups: int) -> tuple[Tensor, tuple[int, ...]]:
    """x as (b, g, c/g, h, w), and the numbers of the shared axes."""
    check_input(owner, x, "b c h w")
    check_choice(owner, SHARED, kind=kind)
    check_integers(owner, groups=groups)
    if groups != 1 and kind != "group":
        raise ValueError(f"{owner}: expected groups=1 with kind={kind!r}, got groups={groups}; only 'group' has groups")
    check_divisible(owner, "groups", groups, channels=x.shape[1])
    axes = tuple(_AXES.index(name) for name in SHARED[kind].split())
    return rearrange(x, "b (g c) h w -> b g c h w", g=groups), axes


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean, and biased variance: the mean square distance from it, divided by the count and not by one less."""
    mean = x.mean(axes, keepdim=True)
    return mean, (x - mean).square().mean(axes, keepdim=True)


def _per_pixel(scale: Tensor) -> Tensor:
    return scale[:, None, None] if scale.ndim == 1 else scale                   # c 1 1, or c h w
