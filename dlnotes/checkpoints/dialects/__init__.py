"""Dialects by the class of the model, one file per family; a file is imported when a model of its family is loaded.

Each file has ``DIALECTS = {"ClassName": (Dialect(...), ...)}``.
"""

from importlib import import_module
from pkgutil import iter_modules

from .._dialect import Dialect

__all__ = ["known_dialects"]


def known_dialects(model_class: type) -> tuple[Dialect, ...]:
    """Dialects for a class of model or, where it has none, for the class that it extends; always with our own names."""
    native = Dialect("dlnotes")
    tables = [import_module(f"{__name__}.{module.name}").DIALECTS for module in iter_modules(__path__)]
    for cls in model_class.__mro__:
        found = tuple(dialect for table in tables for dialect in table.get(cls.__name__, ()))
        if found:
            return (native, *found)
    return (native,)
