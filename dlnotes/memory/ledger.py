"""A ledger of storages: every birth and death of a tensor's memory while a step runs, labelled later, replayed for the peak.

A ``TorchDispatchMode`` sees the result of every operation, in the forward and in the backward pass. A tensor is a view
onto a *storage*, and the storage is what costs memory, so storages are counted, each once. A weak reference tells when
one dies: PyTorch frees memory at once when the last tensor onto it goes. What a storage *was* (an activation, a gradient,
a passing temporary) is known only in hindsight, so the ledger first notes births and deaths and labels them at the end.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .parts import PARTS

__all__ = ["Ledger", "Replay"]


@dataclass(frozen=True)
class Replay:
    """What :meth:`Ledger.replay` finds: the peak, its phase and its parts, and the largest size that each part ever had."""

    peak: int
    phase: str
    at_peak: dict[str, int]
    largest: dict[str, int]


class Ledger(TorchDispatchMode):
    """Notes storages while it is active, as a context manager.

    Args:
        round_up: bytes of a storage -> bytes that the allocator hands out for them.
        hidden: (operation, its arguments) -> bytes that the operation holds inside, out of sight, until it returns.

    >>> with Ledger() as ledger:
    ...     x = torch.ones(1000)
    ...     y = (x + 1) * 2                             # x + 1 dies, y stays
    >>> ledger.label([x], "input")
    >>> replay = ledger.replay()
    >>> replay.peak, replay.largest["input"], replay.largest["temporary"]
    (12000, 4000, 8000)
    """

    def __init__(self, round_up: Callable[[int], int] = lambda size: size,
                 hidden: Callable[[object, tuple], int] = lambda operation, arguments: 0):
        super().__init__()
        self.phase = ""
        self._round_up, self._hidden = round_up, hidden
        self._entries: list[tuple[int, int, str]] = []          # (number of the storage, bytes born or -bytes dead, phase)
        self._numbers: dict[int, int] = {}                      # id of a living storage -> its number
        self._sizes: list[int] = []                             # by number
        self._labels: dict[int, str] = {}                       # number -> part; without one it is temporary

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.see(x for x in tree_leaves(out) if isinstance(x, torch.Tensor))
        if inside := self._hidden(func, args):
            number = self._new(inside)
            self._entries.append((number, -self._sizes[number], self.phase))
        return out

    def see(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note the birth of every storage that is new; also for tensors that were there before."""
        for x in tensors:
            storage = x.untyped_storage()
            if id(storage) not in self._numbers:                # one Python object per storage, for as long as it lives
                number = self._numbers[id(storage)] = self._new(storage.nbytes())
                weakref.finalize(storage, self._dies, id(storage), number).atexit = False

    def label(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        """Say what living storages are; the first label counts."""
        tensors = list(tensors)
        self.see(tensors)
        for x in tensors:
            self._labels.setdefault(self._numbers[id(x.untyped_storage())], part)

    def label_living(self, part: str) -> None:
        """Everything that is alive now and has no label yet."""
        for number in self._numbers.values():
            self._labels.setdefault(number, part)

    def size(self, part: str) -> int:
        """Bytes of all storages with this label, whenever they lived."""
        return sum(self._sizes[number] for number, its in self._labels.items() if its == part)

    def replay(self) -> Replay:
        """Go through births and deaths once more, now that the labels are known."""
        alive, largest = Counter({part: 0 for part in PARTS}), Counter()
        peak, phase, at_peak = 0, "", dict(alive)
        for number, change, when in self._entries:
            alive[self._labels.get(number, "temporary")] += change
            largest |= alive                                    # the larger of both, part by part
            if (held := sum(alive.values())) > peak:
                peak, phase, at_peak = held, when, dict(alive)
        return Replay(peak, phase, at_peak, {part: largest[part] for part in PARTS})

    def _new(self, size: int) -> int:
        self._sizes.append(self._round_up(size))
        self._entries.append((len(self._sizes) - 1, self._sizes[-1], self.phase))
        return len(self._sizes) - 1

    def _dies(self, key: int, number: int) -> None:
        del self._numbers[key]
        self._entries.append((number, -self._sizes[number], self.phase))
