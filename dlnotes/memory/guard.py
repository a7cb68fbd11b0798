"""Ask before allocating: how much memory is free, and one sentence instead of a crash if that is not enough.

On Linux an allocation that is too large often succeeds, and the process is killed later, when it writes to the pages; the
question has to be asked before. In a container (Kaggle, Colab, a rented machine) the limit is the container's, not the
machine's.
"""

import os
from pathlib import Path

import torch

from dlnotes._check import check_integers

from .parts import in_words

__all__ = ["free_memory", "require"]


def free_memory(device: str | torch.device = "cpu") -> int:
    """Bytes that can still be allocated on a device, as far as the system can tell.

    On CUDA what the driver has left, and what torch's allocator holds without using it. On the CPU what is available without
    swapping, and no more than the container (cgroup) may still take.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises:
        ValueError: if the device is another one, or not present.
        RuntimeError: if the system does not say.

    >>> free_memory() > 2**20
    True
    """
    device = _device("free_memory", device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    available = _available()
    limit = _container()
    return available if limit is None else min(available, limit)


def require(size: int, device: str | torch.device = "cpu", what: str = "this step") -> None:
    """Raise ``MemoryError`` if so many bytes cannot be had; allocate nothing.

    Args:
        size: bytes, for example ``predict(...).total`` or ``attention_scores_bytes(...)``.
        device: where.
        what: a name for the message.

    Raises:
        MemoryError: if less is free. ValueError: if ``size`` is no whole number, or there is no such device.

    >>> require(2**20)
    >>> require(2**60, what="the matrix of scores")                                         # doctest: +ELLIPSIS
    Traceback (most recent call last):
    MemoryError: require: expected 1,048,576.0 TiB free on cpu for the matrix of scores, got ...
    """
    check_integers("require", at_least=0, size=size)
    free = free_memory(device)
    if size > free:
        raise MemoryError(f"require: expected {in_words(size)} free on {device} for {what}, got {in_words(free)}; take a "
                          "smaller batch or input, checkpointing or mixed precision: dlnotes.memory.predict says what "
                          "they give")


def _device(owner: str, device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(f"{owner}: expected device 'cpu', 'cuda' or 'cuda:N', got {device!r}; no other is known here")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"{owner}: expected a CUDA device that is present (torch sees {torch.cuda.device_count()}), "
                         f"got {str(device)!r}; ask for 'cpu'")
    return found


def _available() -> int:
    try:
        import psutil
        return psutil.virtual_memory().available
    except ModuleNotFoundError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")           # Linux; caches count as taken
    except (AttributeError, ValueError, OSError):
        raise RuntimeError("free_memory: expected a system that tells its free memory, got none; "
                           "pip install psutil") from None


def _container(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the container may still take, files that it merely caches left out; None outside of one."""
    for folder, limit, used in ((root, "memory.max", "memory.current"),
                                (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")):
        try:
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            return max(0, int((folder / limit).read_text()) - int((folder / used).read_text()) + cached)
        except (OSError, ValueError):                                               # no such file, or "max": no limit
            continue
    return None
