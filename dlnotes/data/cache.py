"""Decode once: pixels kept on disk, so that from the second epoch on reading a picture is copying bytes.

Decoding a JPEG or PNG usually costs more than everything else on the way to the network. A cache in memory would be one per
worker; files are shared by all workers and by the next run, and the operating system keeps the recent ones in memory
anyway.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["DecodedCache"]


class DecodedCache:
    """Arrays beside the files that they were made from, under a name made of path, size, time of change and purpose.

    A file that changes gets a new entry; nothing in the data set's own folder is touched. Uncompressed pixels need room:
    three bytes each.

    Args:
        folder: where to keep them; made if it does not exist. Delete it whenever you like.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, paths: tuple[Path, ...], purpose: str, read: Callable[[], Tensor]) -> Tensor:
        """What ``read()`` gave for these files the first time.

        Args:
            paths: the files that ``read`` reads.
            purpose: how it reads them; another purpose, another entry.
            read: called where there is no entry yet.
        """
        stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        key = hashlib.blake2b(repr((stats, purpose)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        place = self.folder / f"{key}.npy"
        try:
            return _unpack(np.load(place))
        except FileNotFoundError:
            pass
        except (ValueError, OSError, EOFError):                 # damaged: make it anew
            pass
        tensor = read()
        beside = place.with_name(f".{key}.{os.getpid()}.partial")
        try:
            with open(beside, "wb") as file:
                np.save(file, _pack(tensor))
            os.replace(beside, place)                           # atomic: two workers may write the same entry
        except OSError:                                         # a full disk, a read-only folder: slower, not wrong
            pass
        finally:
            beside.unlink(missing_ok=True)
        return tensor


def _pack(tensor: Tensor) -> np.ndarray:
    """Colour channels last, as files have them, so that the tensor that comes back has the same memory order."""
    return tensor.movedim(0, -1).contiguous().numpy() if tensor.ndim == 3 else tensor.contiguous().numpy()


def _unpack(array: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.movedim(-1, 0) if tensor.ndim == 3 else tensor
