"""A demo in a lecture that goes on when the GPU does not: compute now, or show what the rehearsal computed.

Run the notebook once where it works. Each ``rehearsed`` result is kept in a file. In the lecture hall the same cell computes
again; if that fails, or if you stop it, the kept result takes its place, and one line says so.
"""

import hashlib
import inspect
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

__all__ = ["rehearsed"]

_KEPT = "a tensor, a NumPy array of numbers, a number, a string, None, or lists, tuples and dicts (with string keys) of these"


class _Unreadable(Exception):
    """A kept file that is damaged, or not ours."""


def rehearsed(name: str, compute: Callable[[], Any], *, folder: str | Path = "rehearsal") -> Any:
    """Call ``compute``, keep its result, return it; if it fails, return what the last rehearsal kept.

    Any exception counts as a failure (CUDA out of memory, no such device, missing weights), and so does stopping the cell:
    a demo that hangs is cut short with the notebook's stop button. With the environment variable ``DLNOTES_LECTURE=cached``
    nothing is computed where a result is kept. A line is printed whenever the result is not of now: its date, its device,
    why, and whether the code of ``compute`` has changed since.

    Args:
        name: of the demo, and of its file: letters, digits, ``-``, ``_`` and ``.``.
        compute: a function without arguments. It returns tensors, NumPy arrays, numbers, strings or None, alone or in lists,
            tuples and dicts with string keys. Draw from what it returns; a figure or a model cannot be kept.
        folder: where results are kept, one safetensors file each (nothing in it is executed when it is read).

    Returns:
        The result of ``compute``, or an equal one from the rehearsal, whose tensors are on the CPU.

    Raises:
        ValueError: if the name cannot be a file's, or ``DLNOTES_LECTURE`` is neither ``live`` nor ``cached``.
        TypeError: if the result holds something that cannot be kept. Rehearse, and you meet this before the lecture.
        Exception: whatever ``compute`` raised, if nothing is kept that could stand in, with a note that names the remedy.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = rehearsed("sum", lambda: torch.ones(3).sum(), folder=folder)
    ...     os.listdir(folder)
    ['sum.safetensors']
    """
    if not isinstance(name, str) or not re.fullmatch(r"[\w-][\w.-]*", name):
        raise ValueError(f"rehearsed: expected a name of letters, digits, '-', '_' and '.', got {name!r}")
    mode = os.environ.get("DLNOTES_LECTURE") or "live"
    if mode not in ("live", "cached"):
        raise ValueError(f"rehearsed: expected the environment variable DLNOTES_LECTURE to be 'live' or 'cached', got {mode!r}; "
                         "unset it to compute")
    path, now = Path(folder) / f"{name}.safetensors", _fingerprint(compute)
    if mode == "cached":
        try:
            return _show(name, path, now, "DLNOTES_LECTURE=cached")
        except FileNotFoundError:
            print(f"{name}: nothing is kept in {path}; computing now.")
        except _Unreadable as damage:
            print(f"{name}: {path} cannot be read ({damage}); computing now.")
    try:
        result = compute()
    except (Exception, KeyboardInterrupt) as error:
        reason = "stopped" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {_first_line(error)}"
        try:
            return _show(name, path, now, reason)
        except FileNotFoundError:
            remedy = f"rehearsed: nothing is kept in {path} that could stand in; run this cell once where it works, and bring the folder"
        except _Unreadable as damage:
            remedy = f"rehearsed: {path} cannot be read ({damage}); run this cell once where it works to write it anew"
        raise _noted(error, remedy)  # noqa: B904 - the error itself, not one about it
    _keep(path, result, now, name)
    return result


def _noted(error: BaseException, note: str) -> BaseException:
    """The same error, with a note below its message (Python 3.11), or the note printed."""
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        print(note)
    return error.with_traceback(error.__traceback__)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return text if len(text) <= 120 else text[:117] + "..."


def _fingerprint(compute: Callable) -> str:
    """Changes when the function's source does; empty where Python knows no source."""
    try:
        return hashlib.sha256(inspect.getsource(compute).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        return ""


def _pack(value: Any, tensors: dict[str, torch.Tensor], where: str) -> Any:
    """``value`` as JSON in which each array is a reference into ``tensors``."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (torch.Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        try:
            tensor = value.detach() if kind == "tensor" else torch.from_numpy(np.ascontiguousarray(value))
        except TypeError:
            raise TypeError(f"rehearsed: cannot keep {where}, an array of {value.dtype}; it can keep {_KEPT}") from None
        if tensor.is_complex():
            kind, tensor = f"complex {kind}", torch.view_as_real(tensor.resolve_conj())  # (..., 2)
        key = str(len(tensors))
        tensors[key] = tensor.to("cpu", copy=True).contiguous()
        return {"kind": kind, "key": key}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {"kind": kind, "items": [_pack(item, tensors, f"{where}[{i}]") for i, item in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"kind": "dict", "items": {key: _pack(item, tensors, f"{where}[{key!r}]") for key, item in value.items()}}
    raise TypeError(f"rehearsed: cannot keep {where}, a {type(value).__name__}; it can keep {_KEPT}")


def _unpack(packed: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    kind = packed["kind"]
    if "key" in packed:
        tensor = tensors[packed["key"]]
        if kind.startswith("complex"):
            tensor = torch.view_as_complex(tensor)
        return tensor if kind.endswith("tensor") else tensor.numpy()
    if kind == "dict":
        return {key: _unpack(item, tensors) for key, item in packed["items"].items()}
    return (list if kind == "list" else tuple)(_unpack(item, tensors) for item in packed["items"])


def _keep(path: Path, result: Any, fingerprint: str, name: str) -> None:
    """Write a result beside the old one and put it into its place when it is whole."""
    tensors: dict[str, torch.Tensor] = {}
    packed = _pack(result, tensors, "the result")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    about = {"result": packed, "date": time.strftime("%Y-%m-%d %H:%M"), "device": device, "code": fingerprint}
    content = safetensors.torch.save(tensors, metadata={"rehearsed": json.dumps(about)})
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:  # the demo itself went well
        print(f"{name}: not kept for next time ({error.strerror or error}: {path}).")
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _show(name: str, path: Path, fingerprint: str, reason: str) -> Any:
    """The kept result, and the line that says where it is from."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            about = json.loads((file.metadata() or {})["rehearsed"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        result = _unpack(about["result"], tensors)
        changed = about["code"] and fingerprint and about["code"] != fingerprint
        line = f"{name}: from the rehearsal of {about['date']} on {about['device']} ({reason})"
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise _Unreadable(_first_line(error) or type(error).__name__) from error
    print(line + ("; its code has changed since." if changed else "."))
    return result
