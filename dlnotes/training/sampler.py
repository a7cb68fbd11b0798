"""Which samples, in which order, with which random numbers: settled by (seed, epoch, position) and by nothing else.

A run that is cut off goes on as if nothing had happened only if the order of the samples and what augmentation draws for
each of them can be found again in the middle of an epoch. So the order of an epoch is drawn anew from (seed, epoch), and
just before a sample is read, Python's, NumPy's and torch's generators are seeded from (seed, epoch, position). Nothing then
depends on the number of workers or processes, nor on where the last session stopped.

Departure from ``torch.utils.data``: there a worker is seeded once per epoch, and the draws depend on the number of workers.
A data set with ``__getitems__`` reads its share of a batch in one call, seeded once, for its first sample. One that brings
seeds of its own and has ``set_epoch`` (``dlnotes.data.Augmented``, ``Degraded``, the folders) is told every epoch.
"""

import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, get_worker_info

from dlnotes._check import check_integers
from dlnotes.device import same_random_state

__all__ = ["Batch", "EpochLoader", "random_state", "restore_random_state", "sample_seed"]


class Batch(NamedTuple):
    """What one process gets of one batch."""

    content: Any
    """What ``collate_fn`` made of the samples."""
    indices: list[int]
    """Which samples of the data set these are."""
    count: int
    """Samples that count here: ``len(indices)``, or 0 for a stand-in, where a batch has fewer samples than processes."""
    size: int
    """Samples of the whole batch, over all processes."""


def sample_seed(*numbers: int) -> int:
    """One seed from several whole numbers, such as (seed, epoch, position): from 0 to 2**32 - 1.

    >>> sample_seed(0, 1, 2) == sample_seed(0, 1, 2), sample_seed(0, 1, 2) == sample_seed(0, 1, 3)
    (True, False)
    """
    return zlib.crc32(struct.pack(f"<{len(numbers)}Q", *numbers))


def random_state() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's generators (CUDA's too, where it is in use), as plain data and tensors."""
    kind, keys, *rest = np.random.get_state()
    state = {"python": random.getstate(), "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
             "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def torch_state(device: torch.device) -> list[torch.Tensor]:
    """The state of torch's generators alone, which is what networks draw from; cheap enough for every update."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state()] if device.type == "cuda" else states


def restore_torch_state(states: list[torch.Tensor]) -> None:
    """Put torch's generators back where :func:`torch_state` found them."""
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1])


def restore_random_state(state: dict[str, Any]) -> None:
    """Put all generators back where :func:`random_state` found them."""
    kind, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)                       # torch.manual_seed would touch CUDA as well, and is slow


class _Seeded(Dataset):
    """A data set whose samples are asked for as (index, seed), a whole share of a batch at a time."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        whole = dataset.dataset if isinstance(dataset, Subset) else dataset
        self.draws = not isinstance(whole, TensorDataset)           # nothing is drawn there, and seeding would take time
        self.at_once = callable(getattr(whole, "__getitems__", None))

    def __getitems__(self, pairs: Sequence[tuple[int, int]]) -> list:
        if get_worker_info() is None and self.draws:                # in a worker, nobody else uses the generators
            with same_random_state():
                return self._read(pairs)
        return self._read(pairs)

    def _read(self, pairs: Sequence[tuple[int, int]]) -> list:
        if self.at_once:
            _seed_all(pairs[0][1])
            return self.dataset.__getitems__([index for index, _ in pairs])
        samples = []
        for index, seed in pairs:
            if self.draws:
                _seed_all(seed)
            samples.append(self.dataset[index])
        return samples


class EpochLoader:
    """The batches of any epoch, from any batch on, and the part of them that belongs to this process.

    Args:
        data: a data set with a length, or a ``DataLoader`` around one. A loader's own order (its sampler or batch sampler,
            with all its weights), collate function, workers and pinning are kept; only its random numbers are replaced.
        batch_size: samples of a batch over all processes. Not for a loader, which brings its own.
        shuffle: whether a data set is read in a new random order every epoch. Not for a loader.
        seed: all orders and all draws of augmentation follow from it.
        num_workers: processes that read ahead. Not for a loader.
        process, processes: this process and how many there are; each batch is cut into ``processes`` consecutive parts.
        pin_memory: copy batches to pinned memory, for a data set.

    Raises:
        TypeError: if data has no length or no index, or is an ``IterableDataset``.
        ValueError: if it is empty, or a loader comes with settings of its own.

    >>> numbers = TensorDataset(torch.arange(10))
    >>> loader = EpochLoader(numbers, batch_size=4, shuffle=True, seed=0)
    >>> [batch.indices for batch in loader.batches(epoch=3, start=1)] == [b.indices for b in loader.batches(epoch=3)][1:]
    True
    """

    def __init__(self, data: Dataset | DataLoader, *, batch_size: int | None = None, shuffle: bool = False, seed: int = 0,
                 num_workers: int = 0, process: int = 0, processes: int = 1, pin_memory: bool = False):
        if not isinstance(data, DataLoader):
            _check_dataset(data)
            check_integers("fit", batch_size=32 if batch_size is None else batch_size)
            check_integers("fit", at_least=0, num_workers=num_workers)
            data = DataLoader(data, batch_size=32 if batch_size is None else batch_size, shuffle=shuffle,
                              num_workers=num_workers, pin_memory=pin_memory, persistent_workers=num_workers > 0)
        else:
            _check_dataset(data.dataset)
            if batch_size is not None or num_workers:
                raise ValueError(f"fit: expected no batch_size and no num_workers beside a DataLoader, got {batch_size!r} "
                                 f"and {num_workers!r}; set them in the loader, or pass loader.dataset")
            if data.batch_sampler is None:
                raise ValueError("fit: expected a DataLoader that makes batches, got one with batch_size=None; "
                                 "give it a batch_size")
        if len(data) == 0:
            raise ValueError(f"fit: expected at least one batch, got {len(data.dataset)} samples and "
                             f"drop_last={data.drop_last} in the DataLoader; use a smaller batch_size, or drop_last=False")
        self.dataset, self.seed, self.process, self.processes = data.dataset, seed, process, processes
        self._source, self._todo, self._iterator = data, _Todo(), None
        self._generator = torch.Generator()
        self._loader = DataLoader(
            _Seeded(data.dataset), batch_sampler=self._todo, num_workers=data.num_workers, collate_fn=data.collate_fn,
            pin_memory=data.pin_memory, timeout=data.timeout, worker_init_fn=data.worker_init_fn,
            multiprocessing_context=data.multiprocessing_context, generator=self._generator,
            prefetch_factor=data.prefetch_factor, persistent_workers=data.persistent_workers)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._source)

    @property
    def batch_size(self) -> int | None:
        """Samples of a full batch over all processes; None where the loader's own batch sampler decides."""
        return self._source.batch_size

    def order(self, epoch: int) -> list[list[int]]:
        """Indices of all batches of an epoch (0, 1, 2, ...), over all processes."""
        seed = sample_seed(self.seed, epoch)
        for part in (self._source.batch_sampler, self._source.sampler, getattr(self._source.batch_sampler, "sampler", None)):
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
            if isinstance(getattr(part, "generator", None), torch.Generator):
                part.generator.manual_seed(seed)
        with same_random_state():                                   # a sampler may draw from any generator
            _seed_all(seed)
            return [[int(i) for i in batch] for batch in self._source.batch_sampler]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This process's part of the batches of an epoch, from batch number ``start`` on."""
        _tell_epoch(self.dataset, epoch)
        parts, position = [], 0
        for number, batch in enumerate(self.order(epoch)):
            low, high = (len(batch) * p // self.processes for p in (self.process, self.process + 1))
            mine = batch[low:high] or batch[:1]                     # a stand-in: all processes must take every step
            if number >= start:
                seeds = [sample_seed(self.seed, epoch, position + low + i) for i in range(len(mine))]
                parts.append((mine, seeds, high - low, len(batch)))
            position += len(batch)
        self._todo.batches = [list(zip(indices, seeds)) for indices, seeds, _, _ in parts]
        self._generator.manual_seed(sample_seed(self.seed, epoch))
        self._iterator = iter(self._loader)
        for content, (indices, _, count, size) in zip(self._iterator, parts):
            yield Batch(content, indices, count, size)

    def close(self) -> None:
        """Stop the processes that read ahead, now: left to the garbage collector, each can take five seconds to end."""
        if hasattr(self._iterator, "_shutdown_workers"):
            self._iterator._shutdown_workers()
        self._iterator = self._loader._iterator = None


class _Todo:
    """The batch sampler of the inner loader: whatever is to be read now, as (index, seed)."""

    def __init__(self):
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _tell_epoch(data: Any, epoch: int) -> None:
    """Call ``set_epoch`` of a data set and of those inside it (subsets, concatenations, transforms), or each epoch would draw
    the same. Workers that are running already see only what the data set keeps in shared memory, as those of this package do.
    """
    if hasattr(data, "set_epoch"):
        data.set_epoch(epoch)
    for part in (getattr(data, "dataset", None), *(getattr(data, "datasets", None) or ())):
        if part is not None:
            _tell_epoch(part, epoch)


def _check_dataset(data: Any) -> None:
    if isinstance(data, IterableDataset) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise TypeError(f"fit: expected a data set with a length and an index, or a DataLoader around one, got "
                        f"{type(data).__name__}; a stream has no position to resume from, so read it into a list first")
    if len(data) == 0:
        raise ValueError(f"fit: expected a data set with samples, got an empty {type(data).__name__}; "
                         "check its folder or split")
