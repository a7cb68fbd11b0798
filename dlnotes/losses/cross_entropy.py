"""Cross-entropy: how surprised the network is by the truth, in nats per pixel. It takes logits, never probabilities.

Source: maximum likelihood; Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 6.2.2. For one channel the same
with a sigmoid. Passing probabilities instead of logits (the double softmax) still runs, and learns badly: the softmax of
numbers between 0 and 1 can never come near 0 or 1.
"""

import torch
import torch.nn.functional as F

from ._targets import check_target

__all__ = ["cross_entropy"]


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None,
                  ignore_index: int = -100) -> torch.Tensor:
    """Mean over the counted pixels of -log p(true class).

    Args:
        logits: (b, classes, h, w); with one channel, the logit of class 1 against class 0.
        target: (b, h, w) class numbers.
        weight: one factor for each class, (classes,); (2,) for one channel. The mean is the weighted one, as PyTorch's.
        ignore_index: pixels with this number do not count.

    Returns:
        A scalar; 0 if no pixel counts.

    Raises:
        ValueError, TypeError: if shape, dtype or class numbers do not fit.

    >>> logits = torch.zeros(1, 4, 2, 2)                        # no idea: log 4
    >>> round(cross_entropy(logits, torch.zeros(1, 2, 2, dtype=torch.long)).item(), 4)
    1.3863
    """
    check_target("cross_entropy", logits, target, ignore_index)
    classes = max(logits.shape[1], 2)
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"cross_entropy: expected one weight for each of {classes} classes, got shape {tuple(weight.shape)}; "
                         "pass a tensor of that length")
    if logits.shape[1] == 1:                                    # softmax of (0, z) is the sigmoid of z
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)           # b 2 h w
    if not (target != ignore_index).any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits, target.long(), weight=weight, ignore_index=ignore_index)
