"""Splits that do not leak, and weights for classes that are rare.

Pictures of one patient, one video, one flight resemble each other more than the next patient's. A split that separates
pictures but not patients measures memory, so whole groups go to one side. Folds are filled largest group first, each into
the emptiest.
"""

import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["class_weights", "pixel_counts", "sample_weights", "split_names", "write_names"]


def split_names(names: Sequence[str], *, folds: int | None = None, parts: Mapping[str, float] | None = None,
                groups: Mapping[str, object] | Callable[[str], object] | Sequence[object] | None = None,
                seed: int = 0) -> dict[str, list[str]] | list[tuple[list[str], list[str]]]:
    """Divide names at random, groups kept whole; give ``folds`` or ``parts``.

    Args:
        names: names of samples, each once.
        folds: number of folds of a cross-validation.
        parts: share of each part, such as ``{"train": 0.8, "val": 0.1, "test": 0.1}``; shares are brought to a sum of one.
        groups: what must not be divided: group by name, a function of the name, or one group for each name. None: every
            name for itself.
        seed: another seed, another division.

    Returns:
        With ``parts`` a dict of lists; with ``folds`` one (train, held out) pair per fold. Names keep their order.

    Raises:
        ValueError: if names repeat, there are fewer groups than parts, or an argument is none of these.

    >>> names = ["ann_1", "ann_2", "bob_1", "bob_2", "eve_1", "eve_2"]
    >>> for train, held_out in split_names(names, folds=3, groups=lambda name: name.split("_")[0]):
    ...     print(len(train), held_out)
    4 ['ann_1', 'ann_2']
    4 ['eve_1', 'eve_2']
    4 ['bob_1', 'bob_2']
    """
    names = list(names)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"split_names: expected every name once, got {twice!r} more than once; a picture in two splits "
                         "is a leak")
    if (folds is None) == (parts is None):
        raise ValueError(f"split_names: expected either folds or parts, got folds={folds!r} and parts={parts!r}; give one")
    if folds is not None and (not isinstance(folds, int) or isinstance(folds, bool) or folds < 2):
        raise ValueError(f"split_names: expected folds to be an integer of at least 2, got {folds!r}; pass a whole number")
    if parts is not None and (len(parts) < 2 or min(parts.values()) <= 0):
        raise ValueError(f"split_names: expected parts as two or more shares above 0, got {parts!r}; "
                         "for example {'train': 0.8, 'test': 0.2}")
    shares = [1 / folds] * folds if folds else [share / sum(parts.values()) for share in parts.values()]
    members = _members(names, groups)
    if len(members) < len(shares):
        raise ValueError(f"split_names: expected at least {len(shares)} groups for {len(shares)} parts, got {len(members)}; "
                         "a group cannot be divided: ask for fewer parts, or collect more groups")

    order = sorted(members, key=str)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))                      # stable: equal groups stay shuffled
    filled, owner = [0] * len(shares), {}
    for i, group in enumerate(order):
        left = [j for j in range(len(shares)) if not filled[j]]
        if len(order) - i <= len(left):                                     # no part stays empty
            part = left[0]
        else:
            part = max(range(len(shares)), key=lambda j: shares[j] * len(names) - filled[j])    # furthest below its share
        filled[part] += len(members[group])
        owner.update(dict.fromkeys(members[group], part))
    split = [[name for name in names if owner[name] == part] for part in range(len(shares))]
    if parts:
        return dict(zip(parts, split))
    return [([name for name in names if owner[name] != part], split[part]) for part in range(folds)]


def _members(names: list[str], groups) -> dict[object, list[str]]:
    """Names by group."""
    if groups is None:
        of = {name: name for name in names}
    elif isinstance(groups, Mapping):
        missing = [name for name in names if name not in groups]
        if missing:
            raise ValueError(f"split_names: expected a group for every name, got none for {len(missing)}, first "
                             f"{missing[0]!r}; add it to groups")
        of = groups
    elif callable(groups):
        of = {name: groups(name) for name in names}
    else:
        if len(groups) != len(names):
            raise ValueError(f"split_names: expected one group for each of {len(names)} names, got {len(groups)}; "
                             "pass as many")
        of = dict(zip(names, groups))
    members: dict[object, list[str]] = {}
    for name in names:
        members.setdefault(of[name], []).append(name)
    return members


def write_names(path: str | os.PathLike, names: Iterable[str]) -> Path:
    """Write a split file, one name a line. An existing file is never replaced.

    Raises:
        FileExistsError: if the file exists.
    """
    path = Path(path)
    try:
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{name}\n" for name in names)
    except FileExistsError:
        raise FileExistsError(f"write_names: expected a new file, got {path}, which exists; choose another name") from None
    return path


# ---- imbalance -----------------------------------------------------------------------------------------------------

def pixel_counts(dataset: Iterable[dict], classes: int) -> Tensor:
    """Pixels of each class in all masks of a data set: (classes,) int64. Ignored pixels (below 0) are left out.

    Raises:
        ValueError: if a mask holds a class beyond ``classes``.
    """
    counts = torch.zeros(classes, dtype=torch.int64)
    for i in range(len(dataset)):
        mask = dataset[i]["mask"]
        seen = torch.bincount(mask[mask >= 0].flatten(), minlength=classes)
        if len(seen) > classes:
            raise ValueError(f"pixel_counts: expected classes from 0 to {classes - 1}, got {len(seen) - 1} in sample {i} "
                             f"({dataset[i].get('name', 'no name')}); pass the right number of classes")
        counts += seen
    return counts


def class_weights(counts: Tensor, power: float = 1.0) -> Tensor:
    """Weights (classes,) that rise as a class gets rarer: (1 / share) ** power, with mean 1 over the classes that occur.

    Args:
        counts: (classes,) pixels or pictures of each class.
        power: 1 gives every class the same say in the loss, 0.5 is half way (on a logarithmic scale), 0 weighs all alike.
            With extreme counts 1 makes training jumpy.

    Returns:
        Float weights for ``cross_entropy(weight=...)``. A class that never occurs gets 0.

    Raises:
        ValueError: if no class occurs, or a count is negative.

    >>> class_weights(torch.tensor([900, 100]))
    tensor([0.2000, 1.8000])
    """
    counts = torch.as_tensor(counts)
    if counts.ndim != 1 or (counts < 0).any() or not (counts > 0).any():
        raise ValueError(f"class_weights: expected counts (classes,) of at least 0 that are not all 0, got "
                         f"{counts.tolist()}; pixel_counts counts them")
    there = counts > 0
    share = counts.double() / counts.sum()
    weights = torch.where(there, share.clamp(min=1e-300) ** -power, 0.0)
    return (weights / weights[there].mean()).float()


def sample_weights(labels: Sequence[int], power: float = 1.0) -> Tensor:
    """Weight (n,) of each sample by the rarity of its label: for ``torch.utils.data.WeightedRandomSampler``.

    >>> sample_weights([0, 0, 0, 1])
    tensor([0.5000, 0.5000, 0.5000, 1.5000])
    """
    labels = torch.as_tensor(labels)
    return class_weights(torch.bincount(labels), power)[labels]
