"""Attention rollout: how attention passes through a stack of layers, as a product of matrices.

Source: Abnar & Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, section 3: heads are averaged, the residual
connection enters as half the identity, rows are normalised again, and the layers are multiplied, the first one rightmost.
It sees neither the values nor the MLPs, so it says where attention could have carried something, not what did matter.
"""

from collections.abc import Sequence

import torch

__all__ = ["attention_rollout"]


def attention_rollout(attentions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rollout of the attention of all layers.

    Args:
        attentions: one tensor of weights per layer, first layer first: (b, heads, n, n), or (heads, n, n) for one picture.

    Returns:
        (b, n, n), or (n, n): row i says how the output token i draws on the input tokens. Rows sum to one.

    Raises:
        ValueError: if there is no layer, or shapes differ or are not square.

    >>> uniform = torch.full((2, 4, 4), 0.25)               # two heads, four tokens
    >>> attention_rollout([uniform, uniform])[0]
    tensor([0.4375, 0.1875, 0.1875, 0.1875])
    """
    attentions = list(attentions)
    shapes = [tuple(getattr(a, "shape", ())) for a in attentions]
    tokens = {(*s[:-3], *s[-2:]) for s in shapes}
    if not attentions or len(tokens) != 1 or any(len(s) not in (3, 4) or s[-1] != s[-2] for s in shapes):
        raise ValueError("attention_rollout: expected one tensor (b, heads, n, n) or (heads, n, n) per layer, with the same "
                         f"b and n in all, got {shapes}; models with windows or pooling between layers have no rollout")
    result = None
    for weights in attentions:
        step = weights.mean(dim=-3)                                                 # (b, n, n)
        step = 0.5 * step + 0.5 * torch.eye(step.shape[-1], dtype=step.dtype, device=step.device)
        step = step / step.sum(dim=-1, keepdim=True)                                # (b, n, n)
        result = step if result is None else step @ result                          # (b, n, n)
    return result
