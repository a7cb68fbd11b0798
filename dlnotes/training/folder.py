"""The run folder: it belongs to one run, says what that run is, and refuses to become another one.

``config.json`` holds what determines the result (the configuration), and what surrounded it: seed, versions, command.
Whoever calls ``fit`` again with the same folder continues that run, so the configurations must be equal, and if they are
not, the difference is named. ``sessions.jsonl`` has one line for each time that the run was taken up again. While a process trains
in the folder it holds ``run.lock``, which ends with it, also if it is killed.
"""

import datetime
import functools
import hashlib
import itertools
import json
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from dlnotes._lock import Busy, FileLock

from .checkpoint import disk_error, write_atomically

__all__ = ["FolderInUse", "changes", "claim", "describe", "session"]

LOCK = "run.lock"


class FolderInUse(RuntimeError):
    """Another process trains in this folder now."""


def describe(value: Any) -> Any:
    """A value as JSON can hold it, without memory addresses: the same in every session.

    >>> describe(functools.partial(torch.optim.SGD, momentum=0.9))
    {'call': 'torch.optim.sgd.SGD', 'momentum': 0.9}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, functools.partial):
        arguments = {str(i): describe(x) for i, x in enumerate(value.args)}
        return {"call": describe(value.func), **arguments, **{k: describe(v) for k, v in value.keywords.items()}}
    if isinstance(value, torch.Tensor):
        digest = hashlib.sha256(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return value.tolist() if value.numel() <= 16 else f"tensor {tuple(value.shape)} {digest.hexdigest()[:12]}"
    if isinstance(value, dict):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [describe(v) for v in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, (torch.dtype, torch.device, os.PathLike)):
        return str(value)
    if isinstance(value, torch.nn.Module):
        return {"class": _name(type(value)), "parameters": sum(p.numel() for p in value.parameters()), "layers": repr(value)}
    return _name(value) if hasattr(value, "__qualname__") else _name(type(value))


def session() -> dict[str, Any]:
    """What surrounds a run: versions, machine, command and time."""
    import accelerate
    import numpy

    import dlnotes

    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__,
                "accelerate": accelerate.__version__, "dlnotes": dlnotes.__version__}
    return {"command": [sys.executable, *sys.argv], "folder": os.getcwd(), "versions": versions,
            "machine": f"{platform.system()} {platform.machine()}", "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
            "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}


def claim(folder: Path, configuration: dict[str, Any], resume: str, free: tuple[str, ...] = (),
          lock: FileLock | None = None) -> bool:
    """Make a new run folder, or recognise an old one, and lock it.

    Args:
        folder: where the run lives.
        configuration: what determines the result, from :func:`describe`.
        resume: ``"auto"`` (continue if there is a run, else begin), ``"must"`` or ``"never"``.
        free: names in the configuration that may change.
        lock: acquired before anything else is written; the caller releases it.

    Returns:
        Whether the folder already held this run.

    Raises:
        FileExistsError: if the folder holds something else, or holds a run and ``resume="never"``.
        FileNotFoundError: if there is no run and ``resume="must"``.
        ValueError: if it holds a run with another configuration; all differences are named.
        FolderInUse: if another process trains in it.
    """
    recognise(folder, configuration, resume, free)                  # an error leaves everything as it was
    if lock is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Busy as error:
            raise FolderInUse(f"fit: expected a folder in which nobody else trains, got {folder}, in use by {error}; wait "
                              "for it or stop it (in Jupyter: shut its kernel down), or choose another folder") from error
        except OSError as error:
            raise disk_error(error, LOCK, folder) from error
        if lock.elsewhere is not None:
            warnings.warn(f"fit: {folder} was in use a few minutes ago by {lock.elsewhere}, and did not come to its end; if "
                          "that process still runs, stop one of the two", RuntimeWarning, stacklevel=2)
    if recognise(folder, configuration, resume, free):              # another one may have begun it in between
        with open(folder / "sessions.jsonl", "a", encoding="utf-8") as file:
            line = {**{name: configuration.get(name) for name in free}, **session()}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return True
    folder.mkdir(parents=True, exist_ok=True)
    content = {"configuration": configuration, "seed": configuration.get("seed"), "session": session()}
    write_atomically(folder / "config.json", json.dumps(content, indent=1, ensure_ascii=False).encode())
    return False


def recognise(folder: Path, configuration: dict[str, Any], resume: str, free: tuple[str, ...]) -> bool:
    """Whether the folder holds this run (True) or may become it; changes nothing. Raises what :func:`claim` raises."""
    path = folder / "config.json"
    if path.is_file():
        if resume == "never":
            raise FileExistsError(f"fit: expected a new or empty folder for resume='never', got {folder}, which holds a "
                                  "run; choose another folder, or resume='auto' to continue that run")
        try:
            before = json.loads(path.read_text(encoding="utf-8"))["configuration"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"fit: expected the configuration of a run in {path}, got a damaged file ({error}); "
                             "restore it, or choose another folder") from error
        now = json.loads(json.dumps(configuration))
        if different := changes(*({k: v for k, v in c.items() if k not in free} for c in (before, now))):
            raise ValueError(f"fit: expected the configuration that the run in {folder} was started with, got "
                             f"{'; '.join(different)}; go back to it to continue that run, or choose another folder for "
                             "a new one")
        return True
    if resume == "must":
        raise FileNotFoundError(f"fit: expected a run to continue in {folder}, got no config.json there; check the path, "
                                "or use resume='auto' to begin one")
    others = ([p.name for p in folder.iterdir() if not p.name.endswith(".partial") and p.name != LOCK]
              if folder.is_dir() else [])
    if others:
        raise FileExistsError(f"fit: expected a new or empty folder, or one that holds a run, got {folder} with "
                              f"{', '.join(sorted(others)[:4])}{', ...' if len(others) > 4 else ''}; choose another folder")
    return False


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two configurations, as ``"lr: 0.1 -> 0.2"``.

    >>> changes({"lr": 0.1, "data": {"size": 3}}, {"lr": 0.2, "data": {"size": 3}})
    ['lr: 0.1 -> 0.2']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        return [text for key in keys for text in changes(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))]
    if isinstance(before, str) and isinstance(now, str) and before != now and "\n" in before + now:
        pairs = itertools.zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
        before, now = next((a.strip(), b.strip()) for a, b in pairs if a != b)
    return [] if before == now else [f"{name}: {before!r} -> {now!r}"]


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
