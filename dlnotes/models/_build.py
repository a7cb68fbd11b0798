"""A named model is a class with canonical settings, some of them replaced by the caller."""

import inspect

__all__ = ["build"]


def build(name: str, cls: type, canonical: dict, config: dict):
    """``cls(**canonical, **config)``; a setting that the class does not know is refused by name.

    Raises:
        TypeError: for unknown settings; the message lists those that exist.
    """
    known = inspect.signature(cls).parameters
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise TypeError(f"{name}: expected settings among {', '.join(known)}, got {', '.join(unknown)}; correct the name")
    return cls(**(canonical | config))
