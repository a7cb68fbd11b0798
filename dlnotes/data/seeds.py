"""Random numbers that belong to a sample and not to the process that happens to make it.

A loader with four workers draws other random numbers than a loader with none, unless every sample brings its own seed, made
of (seed, epoch, index). Then an augmented picture is the same with any number of workers, and a resumed run continues with
the very pictures that it would have seen.
"""

import contextlib
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import Dataset

__all__ = ["Augmented", "EpochSeeds", "seed_worker", "seeded"]


@contextlib.contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Inside, the generators of torch (CPU), NumPy and Python start from ``key``; outside, they go on as if nothing was.

    Args:
        *key: integers of at least 0, such as (seed, epoch, index). Different keys give independent numbers.

    >>> with seeded(0, 3, 14):
    ...     first = torch.rand(2)
    >>> with seeded(0, 3, 14):
    ...     print(torch.equal(torch.rand(2), first))
    True
    """
    words = np.random.SeedSequence(key).generate_state(4)                   # 4 integers of 32 bits
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(int(words[0]) << 32 | int(words[1]))    # the CPU's; touches no CUDA generator
    np.random.seed(words[2])
    random.seed(int(words[3]))
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


class EpochSeeds:
    """A transform run with the seed (seed, epoch, index); the epoch reaches workers that are already running.

    The epoch lives in memory that all workers share, so that ``set_epoch`` also works with ``persistent_workers=True``,
    where each worker holds a copy of the data set that it got when it started.
    """

    def __init__(self, transform: Callable[[dict], dict], seed: int = 0):
        if not callable(transform):
            raise TypeError(f"EpochSeeds: expected a transform that takes a dict and returns one, got "
                            f"{type(transform).__name__}; pass a function or an Augment")
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"EpochSeeds: expected seed to be an integer of at least 0, got {seed!r}; pass a whole number")
        self.transform, self.seed = transform, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __call__(self, item: dict, index: int) -> dict:
        with seeded(self.seed, int(self._epoch), index):
            return self.transform(item)

    def set_epoch(self, epoch: int) -> None:
        """New random numbers for another epoch. Call it before the loader is iterated."""
        if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
            raise ValueError(f"set_epoch: expected epoch to be an integer of at least 0, got {epoch!r}; pass a whole number")
        self._epoch.fill_(epoch)


class Augmented(Dataset):
    """Any data set of dicts with a transform on top, each sample under its own seed.

    Args:
        dataset: what is transformed; its items are dicts.
        transform: takes an item and returns one, such as ``dlnotes.data.Augment``.
        seed: another seed, other random numbers.

    >>> class Numbers(Dataset):
    ...     def __len__(self): return 3
    ...     def __getitem__(self, index): return {"image": torch.full((1, 1, 1), float(index))}
    >>> noisy = Augmented(Numbers(), lambda item: {"image": item["image"] + torch.rand(1)}, seed=7)
    >>> torch.equal(noisy[1]["image"], noisy[1]["image"])
    True
    >>> first = noisy[1]["image"]; noisy.set_epoch(1); torch.equal(noisy[1]["image"], first)
    False
    """

    def __init__(self, dataset: Dataset, transform: Callable[[dict], dict], seed: int = 0):
        self.dataset, self._seeds = dataset, EpochSeeds(transform, seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(f"Augmented: expected an index from 0 to {len(self) - 1}, got {index}")
        return self._seeds(self.dataset[index], index)

    def set_epoch(self, epoch: int) -> None:
        """New random numbers for another epoch. Call it before the loader is iterated."""
        self._seeds.set_epoch(epoch)


def seed_worker(worker_id: int) -> None:
    """``worker_init_fn`` of a loader whose transforms draw from NumPy's or Python's generators in their own way.

    torch gives every worker of every epoch the seed base + worker number, the base drawn from the loader's ``generator``;
    this passes it on. With ``persistent_workers=True`` it runs once, not once an epoch: there use :class:`Augmented`.
    (torch from 1.9 on also seeds Python and NumPy itself; before, all workers drew the same NumPy numbers in every epoch.)
    """
    seed = torch.initial_seed() % 2**32                                     # of this worker, in this epoch
    random.seed(seed)
    np.random.seed(seed)
