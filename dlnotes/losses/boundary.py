"""Boundary loss: probability costs as much as it lies far outside the true region, and earns as much as it lies deep inside.

The loss is a mean of the probabilities weighed by the signed distance to the true boundary. It speaks about places where
overlap speaks about areas; the paper adds it to Dice with a weight that grows during training.
Source: Kervadec et al., "Boundary loss for highly unbalanced segmentation", MIDL 2019, equation 5.
Departure: a picture in which the class is absent (or is everything) has no boundary; its distances are taken as 0, so it
does not speak. The distance runs from pixel centre to pixel centre of the other region.
"""

import torch

from ._targets import probabilities

__all__ = ["boundary_loss", "signed_distance"]


def signed_distance(region: torch.Tensor) -> torch.Tensor:
    """Distance in pixels to the other side of a region's boundary: negative inside, positive outside.

    Args:
        region: (..., h, w), boolean or 0 and 1.

    Returns:
        float32, same shape: minus the distance to the nearest pixel outside, for pixels inside; the distance to the nearest
        pixel inside, for pixels outside; 0 everywhere where there is no boundary.

    Raises:
        ValueError: if there are fewer than two axes.

    >>> signed_distance(torch.tensor([[0, 0, 1, 1, 1, 0]]))
    tensor([[ 2.,  1., -1., -2., -1.,  1.]])
    """
    from scipy.ndimage import distance_transform_edt

    if region.ndim < 2:
        raise ValueError(f"signed_distance: expected a region (..., h, w), got shape {tuple(region.shape)}; add an axis")
    inside = region.detach().cpu().bool()
    flat = inside.reshape(-1, *inside.shape[-2:])                               # n h w
    out = torch.zeros(flat.shape, dtype=torch.float32)
    for i, one in enumerate(flat.numpy()):
        if one.any() and not one.all():
            out[i] = torch.from_numpy(distance_transform_edt(~one) - distance_transform_edt(one))
    return out.reshape(inside.shape).to(region.device)


def boundary_loss(logits: torch.Tensor, target: torch.Tensor, *, ignore_index: int = -100) -> torch.Tensor:
    """Mean over classes and counted pixels of probability times signed distance in pixels.

    Args:
        logits: (b, classes, h, w); one channel means the class 1 alone.
        target: (b, h, w) class numbers. Ignored pixels count as outside when distances are measured.
        ignore_index: pixels with this number do not count.

    Returns:
        A scalar; negative when the probability lies inside.

    Raises:
        ValueError, TypeError: if shape, dtype or class numbers do not fit.

    >>> target = torch.tensor([[[0, 0, 1, 1]]])
    >>> far, near = (torch.tensor([[[x]]]) * 50.0 for x in ([1.0, -1, 1, 1], [-1.0, 1, 1, 1]))
    >>> boundary_loss(far, target) > boundary_loss(near, target)                # the error that lies further off costs more
    tensor(True)
    """
    p, g, valid = probabilities("boundary_loss", logits, target, ignore_index)
    distance = signed_distance(g).to(p.dtype)                                   # b classes h w
    return (p * distance).sum() / (valid.sum() * p.shape[1]).clamp(min=1)
