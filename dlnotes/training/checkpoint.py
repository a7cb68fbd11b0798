"""Checkpoints that survive a kill at any moment: written beside, flushed to the disk, and only then given their name.

A checkpoint is a folder named after its update, ``checkpoints/00000120``::

    weights.safetensors      the network: parameters and buffers
    ema.safetensors          their moving average, if there is one
    state.pt                 optimizer, schedule, scaler, random generators, position, history (tensors and plain values)
    manifest.json            SHA-256 of the others

It is filled under another name and renamed when every byte is on the disk; a rename either happened or did not. The last two
are kept. On reading, the sums are compared, so a damaged checkpoint is noticed, set aside under the name ``….damaged``,
and the one before it is used. Nothing is overwritten, and nothing is deleted before its successor is complete.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

__all__ = ["DamagedCheckpoint", "find_latest", "list_checkpoints", "read_checkpoint", "write_atomically", "write_checkpoint"]

Tensors = dict[str, torch.Tensor]


class DamagedCheckpoint(ValueError):
    """A checkpoint is incomplete, or its bytes are not those that were written."""


def list_checkpoints(folder: str | os.PathLike) -> list[Path]:
    """The complete checkpoints in a run's folder, oldest first."""
    parent = Path(folder) / "checkpoints"
    return sorted(p for p in parent.iterdir() if p.is_dir() and p.name.isdigit()) if parent.is_dir() else []


def write_checkpoint(folder: str | os.PathLike, update: int, weights: dict[str, Tensors], state: dict[str, Any],
                     keep: int = 2) -> Path:
    """Write one checkpoint, then delete all but the newest ``keep``.

    Args:
        folder: the run's folder.
        update: number of the update after which this is the state; the checkpoint's name.
        weights: file name without ending -> state dict, such as ``{"weights": model.state_dict()}``.
        state: tensors, numbers, strings, and lists, tuples and dictionaries of them: what ``weights_only`` can read.
        keep: how many to keep, this one included.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: if it cannot be written, because the disk is full for example. All earlier checkpoints are still there.
    """
    parent = Path(folder) / "checkpoints"
    final, beside = parent / f"{update:08d}", parent / f"{update:08d}.partial"
    try:
        shutil.rmtree(beside, ignore_errors=True)                   # what a killed session left
        beside.mkdir(parents=True)
        sums = {}
        for name, tensors in weights.items():
            sums[f"{name}.safetensors"] = _write(beside / f"{name}.safetensors", _safetensors(tensors))
        sums["state.pt"] = _write(beside / "state.pt", _torch_bytes(state))
        _write(beside / "manifest.json", json.dumps({"update": update, "sha256": sums}, indent=1).encode())
        _sync_folder(beside)
        if final.exists():                                          # the same update, reached again
            os.replace(final, final.with_suffix(".old"))
        os.replace(beside, final)
        _sync_folder(parent)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)                   # give the room back
        raise disk_error(error, f"the checkpoint of update {update}", folder) from error
    for old in list_checkpoints(folder)[:-keep]:
        os.replace(old, old.with_suffix(".old"))                    # half deleted, it must not look like a checkpoint
    for old in parent.glob("*.old"):
        shutil.rmtree(old, ignore_errors=True)
    return final


def read_checkpoint(path: str | os.PathLike) -> tuple[dict[str, Tensors], dict[str, Any]]:
    """The weights by file name, and the state, of one checkpoint; on the CPU.

    Raises:
        DamagedCheckpoint: if a file is missing or not what was written.
    """
    from safetensors.torch import load

    path = Path(path)
    try:
        sums = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["sha256"]
        content = {name: (path / name).read_bytes() for name in sums}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(f"read_checkpoint: expected a whole checkpoint in {path}, got {type(error).__name__} "
                                f"({error}); use the one before it") from error
    for name, wanted in sums.items():
        if hashlib.sha256(content[name]).hexdigest() != wanted:
            raise DamagedCheckpoint(f"read_checkpoint: expected {name} in {path} as it was written, got other bytes "
                                    f"({len(content[name])} of them); use the checkpoint before it")
    state = torch.load(io.BytesIO(content.pop("state.pt")), map_location="cpu", weights_only=True)
    return {name.removesuffix(".safetensors"): load(data) for name, data in content.items()}, state


def find_latest(folder: str | os.PathLike) -> Path | None:
    """The newest checkpoint that is whole; None if there is none yet. Damaged ones are renamed, with a warning.

    Raises:
        DamagedCheckpoint: if there are checkpoints and all of them are damaged.
    """
    damaged = sorted(Path(folder).glob("checkpoints/*.damaged*"))
    for path in reversed(list_checkpoints(folder)):
        try:
            read_checkpoint(path)
            return path
        except DamagedCheckpoint as error:
            aside = next(p for i in range(10_000) if not (p := path.with_suffix(f".damaged{i or ''}")).exists())
            os.replace(path, aside)
            damaged.append(aside)
            warnings.warn(f"fit: {error}; it is kept as {aside.name}", RuntimeWarning, stacklevel=2)
    if damaged:
        raise DamagedCheckpoint(f"fit: expected a whole checkpoint in {Path(folder) / 'checkpoints'}, got only damaged ones "
                                f"({', '.join(p.name for p in damaged)}); restore one from a copy, or train in a new folder")
    return None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by a complete new one, or leave it as it was."""
    beside = path.with_name(f"{path.name}.partial")
    try:
        _write(beside, data)
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise disk_error(error, path.name, path.parent) from error


def weights_bytes(tensors: Tensors, **about: Any) -> bytes:
    """A state dict as the bytes of a safetensors file, with words about it (in one entry: several have no fixed order)."""
    return _safetensors(tensors, {"about": json.dumps(about)})


def disk_error(error: OSError, what: str, folder: str | os.PathLike) -> OSError:
    """The same error, saying what was being written, and what to do."""
    full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    remedy = "free some room" if full else "set this right"
    return OSError(error.errno, f"fit: expected to write {what} in {folder}, got {error.strerror or error}; {remedy}, then "
                                "call fit again: training goes on from the last whole checkpoint")


def _write(path: Path, data: bytes) -> str:
    """Write a file to the disk itself, not only to the system's memory; its SHA-256."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def _sync_folder(path: Path) -> None:
    """Names live in folders: flush the folder too, where the system can."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _safetensors(tensors: Tensors, about: dict[str, str] | None = None) -> bytes:
    from safetensors.torch import save

    return save({name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}, metadata=about)


def _torch_bytes(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()                                           # torch.save on a full disk can end the whole process
    torch.save(state, buffer)
    return buffer.getvalue()
