"""All models by name: ``create("vit_b_16", num_classes=10)``. A model's file is imported when it is first asked for."""

from difflib import get_close_matches
from importlib import import_module

from torch import nn

__all__ = ["create", "list_models"]

# name -> module of this package; the module has a function of that name
_HOME = {
    "vit_b_16": "vit", "vit_b_32": "vit", "vit_l_16": "vit", "deit_tiny": "vit", "deit_small": "vit", "vit_digits": "vit",
}


def list_models() -> list[str]:
    """Names that :func:`create` knows, in alphabetical order.

    >>> "deit_tiny" in list_models()
    True
    """
    return sorted(_HOME)


def create(name: str, **config) -> nn.Module:
    """Build a model with fresh random weights.

    Args:
        name: one of :func:`list_models`.
        **config: replaces values of the canonical configuration, for example ``num_classes=10``; each model's own
            documentation lists them.

    Returns:
        The model, in training mode, on torch's default device.

    Raises:
        ValueError: if there is no such name; the message offers the nearest ones.
        TypeError: if the model has no such setting.

    >>> create("vit_digits").num_classes
    10
    """
    if name not in _HOME:
        near = get_close_matches(str(name), _HOME, n=3, cutoff=0.4)
        offer = f"did you mean {' or '.join(near)}" if near else f"the names are {', '.join(list_models())}"
        raise ValueError(f"create: expected the name of a model, got {name!r}; {offer}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)(**config)
