"""What all segmentation losses begin with: probabilities beside the truth, and which pixels count."""

import torch
import torch.nn.functional as F

from dlnotes._check import check_input

__all__ = ["check_target", "probabilities"]


def check_target(owner: str, logits: torch.Tensor, target: torch.Tensor, ignore_index: int) -> None:
    """Logits (b, classes, h, w) and a target (b, h, w) of class numbers, or one clear error."""
    check_input(owner, logits, "b classes h w")
    b, classes, h, w = logits.shape
    if not isinstance(target, torch.Tensor):
        raise TypeError(f"{owner}: expected the target to be a tensor of class numbers, got {type(target).__name__}; "
                        "use torch.as_tensor first")
    if tuple(target.shape) != (b, h, w):
        raise ValueError(f"{owner}: expected a target of shape (b, h, w) = {(b, h, w)}, got {tuple(target.shape)}; "
                         "target.squeeze(1) drops a channel axis, one_hot.argmax(1) undoes a one-hot coding")
    if target.is_floating_point() or target.is_complex():
        raise TypeError(f"{owner}: expected a target of class numbers, got {target.dtype}; convert with target.long()")
    counted = target[target != ignore_index]
    top = max(classes, 2) - 1
    if counted.numel() and (counted.min() < 0 or counted.max() > top):
        raise ValueError(f"{owner}: expected class numbers from 0 to {top}, got {int(counted.min())} to {int(counted.max())}; "
                         f"divide a mask of 0 and 255 by 255, or pass its border value as ignore_index")


def probabilities(owner: str, logits: torch.Tensor, target: torch.Tensor,
                  ignore_index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities, truth and weight of every pixel, all three zero where the target says to ignore it.

    Args:
        owner: the loss that asks, for its error messages.
        logits: (b, classes, h, w). One channel means two classes, of which it is the second.
        target: (b, h, w) integers, class numbers or ``ignore_index``.
        ignore_index: the number that marks pixels without truth.

    Returns:
        p (b, classes, h, w), softmax over the classes or sigmoid of the one channel; g, same shape, the truth as 0 and 1;
        valid (b, 1, h, w), 1 where the pixel counts.

    Raises:
        ValueError, TypeError: if shape, dtype or class numbers do not fit.
    """
    check_target(owner, logits, target, ignore_index)
    valid = (target != ignore_index).unsqueeze(1)                               # b 1 h w
    known = target.where(valid[:, 0], 0).long()                                 # b h w
    if logits.shape[1] == 1:
        p, g = logits.sigmoid(), known.unsqueeze(1)                             # b 1 h w
    else:
        p, g = logits.softmax(dim=1), F.one_hot(known, logits.shape[1]).movedim(-1, 1)      # b classes h w
    valid = valid.to(p.dtype)
    return p * valid, g.to(p.dtype) * valid, valid
