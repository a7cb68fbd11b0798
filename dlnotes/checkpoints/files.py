"""Tensors in and out of files that cannot hold code: safetensors, and PyTorch's format read with ``weights_only=True``.

A pickle is a program that runs when it is opened. PyTorch's ``.pt`` and ``.pth`` files are zip archives around a pickle;
``weights_only`` refuses every instruction in it that is not the making of a tensor or a plain container.
"""

import os
from pathlib import Path

import torch
from torch import nn

__all__ = ["read_tensors", "save_weights"]

_NESTED = ("state_dict", "model_state_dict", "model", "params_ema", "params", "net", "weights")


def read_tensors(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """The named tensors of a checkpoint file, on the CPU.

    A dictionary inside a dictionary (``{"state_dict": {...}, "epoch": 3}``) is found under the usual names.

    Args:
        path: ``.safetensors``, or a file written by ``torch.save``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds more than tensors (a pickle with code in it), is damaged, or of another kind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_weights(nn.Linear(2, 3), Path(folder) / "small.safetensors")
    ...     {name: tuple(x.shape) for name, x in read_tensors(path).items()}
    {'bias': (3,), 'weight': (3, 2)}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_tensors: expected a checkpoint at {path}, found no file; check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return tensors_in(_read_torch(path), str(path))


def tensors_in(content: object, source: str) -> dict[str, torch.Tensor]:
    """The state dict in what a file held, at the top or one level down, without what was put before its names: the
    ``module.`` of parallel training, the ``_orig_mod.`` of torch.compile, or both.

    Entries beside the tensors (a list of class values, a version) are left out: no parameter is anything but a tensor.
    """
    for _ in range(2):
        if not isinstance(content, dict):
            raise ValueError(f"load_weights: expected a dictionary of tensors in {source}, got {type(content).__name__}; "
                             "pass model.state_dict(), or a file that holds one")
        inner = next((content[key] for key in _NESTED if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if tensors:
        while prefix := next((p for p in ("module.", "_orig_mod.") if all(key.startswith(p) for key in tensors)), ""):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
        return tensors
    kinds = ", ".join(f"{key!r}: {type(value).__name__}" for key, value in list(content.items())[:4]) or "nothing"
    raise ValueError(f"load_weights: expected a dictionary of tensors in {source}, got {kinds}; "
                     f"pass the part that holds the weights (looked under {', '.join(_NESTED)})")


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"read_tensors: expected safetensors in {path}, got a damaged or different file "
                         f"({str(error).splitlines()[0]}); download it again") from error


def _read_torch(path: Path) -> object:
    import pickle
    import zipfile

    if path.stat().st_size == 0:
        raise ValueError(f"read_tensors: expected a checkpoint in {path}, got an empty file; download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path) and "code" not in str(error) and "Unsupported" not in str(error):
            raise ValueError(f"read_tensors: expected a file of torch.save or safetensors in {path}, got a damaged or "
                             "different file; download it again") from error
        raise ValueError(
            f"read_tensors: expected tensors only in {path}, got a pickle that would run code when opened "
            f"({_first_reason(error)}); ask its author for a safetensors file, or, if you trust them, open it in "
            "a throw-away environment and save the state dict with dlnotes.checkpoints.save_weights") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"read_tensors: expected a file of torch.save or safetensors in {path}, got a damaged or different "
                         f"file ({_first_reason(error)}); download it again") from error


def _first_reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0] if lines else "no reason")
    return named[:160]


def save_weights(model: nn.Module, path: str | os.PathLike) -> Path:
    """Write a model's parameters and buffers as safetensors; an existing file is replaced only by a complete new one.

    Args:
        model: any network. Tensors that share memory (tied weights) are written once for each name.
        path: must end in ``.safetensors``.

    Returns:
        The path.

    Raises:
        ValueError: if the path ends in anything else.
        FileNotFoundError: if the folder does not exist.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"save_weights: expected a path that ends in .safetensors, got {path}; change the ending")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save_weights: expected an existing folder, got {path.parent}; make it first")
    tensors = {name: x.detach().cpu().contiguous().clone() for name, x in model.state_dict().items()}
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, beside)
        os.replace(beside, path)                                    # atomic on one file system
    finally:
        beside.unlink(missing_ok=True)
    return path
