"""Random numbers that are the same everywhere: who asks is named, and every number is one number or a range to draw from."""

import numpy as np

__all__ = ["SPLITS", "between", "check_index", "check_range", "check_split", "numbers_of"]

SPLITS = ("train", "held-out")


def check_split(owner: str, split: str, choices: tuple[str, ...] = SPLITS) -> int:
    """The number of a split among the choices; raises ValueError."""
    if split not in choices:
        raise ValueError(f"{owner}: expected split {' or '.join(map(repr, choices))}, got {split!r}; choose one")
    return choices.index(split)


def check_range(owner: str, name: str, value: float | tuple[float, float], low: float = -np.inf, high: float = np.inf,
                whole: bool = False) -> tuple[float, float]:
    """One number, or (least, most), as (least, most) within [low, high]; raises ValueError."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    fits = len(pair) == 2 and all(isinstance(v, kinds) and not isinstance(v, bool) for v in pair)
    if not fits or not low <= pair[0] <= pair[1] <= high:
        kind = "whole number" if whole else "number"
        bounds = f" of at least {low:g}" if high == np.inf else f" from {low:g} to {high:g}" if low > -np.inf else ""
        raise ValueError(f"{owner}: expected {name} to be a {kind}{bounds}, or a pair (least, most) of them, got {value!r}; "
                         "pass one number to fix it, two to draw from between them")
    return pair


def check_index(owner: str, index: int, size: int) -> int:
    """An index from 0 to size - 1, also of a tensor or an array; raises IndexError."""
    if not 0 <= int(index) < size:
        raise IndexError(f"{owner}: expected an index from 0 to {size - 1}, got {index}")
    return int(index)


def numbers_of(*key: int) -> np.random.Generator:
    """The random numbers that belong to a key, such as (seed, split, index): the same on every platform and in every order.

    >>> round(float(numbers_of(0, 1, 7).random()), 6)
    0.46951
    """
    return np.random.default_rng([int(k) for k in key])


def between(rng: np.random.Generator, pair: tuple[float, float]) -> float:
    """A number drawn evenly from between the two; a whole one, both ends included, if both are whole."""
    low, high = pair
    if isinstance(low, (int, np.integer)) and isinstance(high, (int, np.integer)):
        return int(low + int(rng.random() * (high - low + 1)))
    return low + (high - low) * float(rng.random())
