"""Gradient checkpointing by name: chosen blocks keep their input only, and compute the rest once more in the backward pass.

Source: Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", arXiv 1604.06174, 2016, section 4;
the work is ``torch.utils.checkpoint``'s. A step costs one more forward pass through these blocks. Gradients are the same,
dropout included; batch norm, however, updates its running statistics twice a step.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

__all__ = ["checkpoint_blocks"]


class _Checkpointed:
    """A forward pass under ``torch.utils.checkpoint``; an object, no closure, so that a copied model runs its own blocks."""

    def __init__(self, forward):
        self.forward = forward

    def __call__(self, *args, **kwargs):
        if not torch.is_grad_enabled():
            return self.forward(*args, **kwargs)
        return checkpoint(self.forward, *args, use_reentrant=False, **kwargs)


def checkpoint_blocks(model: nn.Module, names: str | Sequence[str]) -> list[str]:
    """Checkpoint these blocks of a model from now on. ``del block.forward`` undoes it.

    Args:
        model: any network. It is changed: the blocks get a ``forward`` of their own.
        names: as in ``model.named_modules()``, ``*`` allowed: ``"layer*"``, ``"blocks.*"``. Modules inside a block that is
            meant too are left alone: checkpointing them again would save nothing.

    Returns:
        Names of the blocks.

    Raises:
        TypeError: if ``model`` is no module, or a name is no text.
        ValueError: if no module has such a name, it is a list without a forward pass, or a block is checkpointed already.

    >>> model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 1))
    >>> checkpoint_blocks(model, "0*")
    ['0']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"checkpoint_blocks: expected an nn.Module, got {type(model).__name__}; "
                        "dlnotes.models.create makes one")
    names = [names] if isinstance(names, str) or not isinstance(names, Sequence) else list(names)
    known, chosen = [name for name, _ in model.named_modules() if name], []
    for pattern in names:
        if not isinstance(pattern, str):
            raise TypeError(f"checkpoint_blocks: expected names of modules, got {type(pattern).__name__}; "
                            "see model.named_modules()")
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ValueError(f"checkpoint_blocks: expected names of modules inside {type(model).__name__}, got {pattern!r}; "
                             f"its parts are {', '.join(name for name, _ in model.named_children())}")
    for name in known:                                          # parents come before their children
        if any(fnmatchcase(name, pattern) for pattern in names) and not any(name.startswith(f"{c}.") for c in chosen):
            chosen.append(name)
    for name in chosen:
        if isinstance(vars(model.get_submodule(name)).get("forward"), _Checkpointed):
            raise ValueError(f"checkpoint_blocks: expected blocks without checkpointing, got {name!r} a second time; "
                             "del block.forward undoes the first")
        if isinstance(model.get_submodule(name), nn.ModuleList | nn.ModuleDict):
            raise ValueError(f"checkpoint_blocks: expected blocks with a forward pass, got the list {name!r}; "
                             f"name its members with '{name}.*'")
    for name in chosen:
        block = model.get_submodule(name)
        block.forward = _Checkpointed(block.forward)
    return chosen
