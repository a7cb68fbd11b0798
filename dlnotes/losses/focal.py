"""Focal loss: cross-entropy in which pixels that are already right hardly count, so that many easy ones cannot drown a few
hard.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, section 3, equations 4 and 5:
-α (1 - p)^γ log p, p the probability of the true class. Their γ is 2 and their α 0.25 for the foreground.
"""

import torch
import torch.nn.functional as F

from ._targets import check_target

__all__ = ["focal_loss"]


def focal_loss(logits: torch.Tensor, target: torch.Tensor, *, gamma: float = 2.0, alpha: torch.Tensor | float | None = None,
               ignore_index: int = -100) -> torch.Tensor:
    """Mean over the counted pixels of -α (1 - p)^γ log p.

    Args:
        logits: (b, classes, h, w); with one channel, the logit of class 1 against class 0.
        target: (b, h, w) class numbers.
        gamma: 0 gives the cross-entropy; more forgets easy pixels faster.
        alpha: a factor for each class (classes,), or for one channel the factor of class 1 (class 0 gets 1 - alpha); None
            for 1 everywhere. Unlike the weights of ``cross_entropy`` it does not enter the mean's denominator.
        ignore_index: pixels with this number do not count.

    Returns:
        A scalar; 0 if no pixel counts.

    Raises:
        ValueError, TypeError: if shape, dtype, class numbers or factors do not fit.

    >>> logits, target = torch.full((1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, dtype=torch.long)       # p = 0.88: easy
    >>> [round(focal_loss(logits, target, gamma=g).item(), 4) for g in (0.0, 2.0)]
    [0.1269, 0.0018]
    """
    check_target("focal_loss", logits, target, ignore_index)
    if not gamma >= 0:
        raise ValueError(f"focal_loss: expected gamma of at least 0, got {gamma!r}; 0 is the cross-entropy")
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)           # b 2 h w
        alpha = torch.tensor([1 - alpha, alpha]) if isinstance(alpha, (int, float)) else alpha
    classes = logits.shape[1]
    if alpha is not None and (not isinstance(alpha, torch.Tensor) or tuple(alpha.shape) != (classes,)):
        raise ValueError(f"focal_loss: expected alpha as one factor for each of {classes} classes, got {alpha!r}; pass a "
                         "tensor of that length, or a number with logits of one channel")
    valid = target != ignore_index                                              # b h w
    known = target.where(valid, 0).long()                                       # b h w
    log_p = F.log_softmax(logits, dim=1).gather(1, known.unsqueeze(1))[:, 0]    # b h w, of the true class
    wrong = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)      # 1 - p; 0 ** (γ - 1) would be infinite
    loss = -wrong**gamma * log_p if gamma else -log_p
    if alpha is not None:
        loss = loss * alpha.to(loss)[known]
    return (loss * valid).sum() / valid.sum().clamp(min=1)
