"""Where to compute, and how to repeat it: one function picks the device, one seeds all generators, one leaves them untouched.

Chapters call ``device = pick_device()`` once and then run unchanged on a CUDA machine and on a laptop.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["pick_device", "same_random_state", "seed_everything"]


def pick_device(prefer: str | None = None) -> torch.device:
    """The device to compute on: CUDA where there is one, else the CPU.

    Args:
        prefer: ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` to insist on one. The environment variable ``DLNOTES_DEVICE``
            does the same for a whole session.

    Raises:
        ValueError: if the preferred device is not one of these, or is not present.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    wanted = prefer or os.environ.get("DLNOTES_DEVICE")
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"pick_device: expected 'cpu', 'cuda' or 'cuda:N', got {wanted!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"pick_device: expected 'cpu', 'cuda' or 'cuda:N', got {wanted!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"pick_device: expected a CUDA device that is present (torch sees {torch.cuda.device_count()}), "
                         f"got {wanted!r}; call pick_device() to take what there is")
    return device


def seed_everything(seed: int = 0) -> torch.Generator:
    """Seed Python's, NumPy's and torch's generators; return a CPU generator with the same seed.

    Args:
        seed: an integer from 0 to 2**32 - 1 (NumPy's range).

    Raises:
        ValueError: if ``seed`` is not an integer in that range.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed_everything: expected an integer seed from 0 to {2**32 - 1}, got {seed!r}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@contextmanager
def same_random_state() -> Iterator[None]:
    """Whatever is drawn inside, Python's, NumPy's and torch's generators of the CPU are afterwards where they were.

    ``torch.random.fork_rng()`` beside it does the same for CUDA.

    >>> _ = seed_everything(0)
    >>> with same_random_state():
    ...     inside = torch.rand(3)
    >>> torch.equal(torch.rand(3), inside)
    True
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
