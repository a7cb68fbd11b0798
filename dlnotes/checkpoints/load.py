"""Match a checkpoint's tensors with a model's, translate their names, and load all of them or none."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import nn

from ._dialect import Dialect
from .dialects import known_dialects
from .files import read_tensors, tensors_in
from .resize import is_resizable, resize_tensor

__all__ = ["LoadReport", "load_weights"]


@dataclass
class LoadReport:
    """What :func:`load_weights` did.

    Attributes:
        dialect: whose names the checkpoint used.
        loaded: names (ours) of the tensors that were set.
        reshaped: name -> (their shape, ours): equal numbers in equal order, axes of size 1 added or removed.
        resized: name -> (their shape, ours): interpolated, because ``resize=True`` asked for it.
        dropped: their name -> why nothing here needs it, or that ``skip`` left it out.
        skipped: names (ours) left as they were, because ``skip`` asked for it.
    """

    dialect: str
    loaded: list[str] = field(default_factory=list)
    reshaped: dict[str, tuple] = field(default_factory=dict)
    resized: dict[str, tuple] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded, names of {self.dialect}"]
        for name in ("reshaped", "resized", "dropped", "skipped"):
            if getattr(self, name):
                parts.append(f"{len(getattr(self, name))} {name}")
        return "; ".join(parts)


def load_weights(model: nn.Module, state_dict_or_path: Mapping[str, torch.Tensor] | str | os.PathLike, *,
                 resize: bool = False, skip: str | Iterable[str] = ()) -> LoadReport:
    """Give a model the weights of a checkpoint. On any mismatch nothing is changed, and one error lists all of them.

    Args:
        model: one of ours, or any other whose names agree with the checkpoint's.
        state_dict_or_path: named tensors, or a file (see :func:`read_tensors`). The names may be ours, torchvision's, timm's
            or the authors'. Floating-point numbers of another precision are converted to the model's.
        resize: interpolate position embeddings and tables of relative position biases to the model's size.
        skip: names of parameters (ours; ``*`` allowed) to leave as they are, for example ``"head.*"`` before fine-tuning.
            A name that is not ours is sought in the checkpoint, and that tensor left out.

    Returns:
        A :class:`LoadReport`.

    Raises:
        TypeError: if ``model`` is not a module.
        ValueError: if tensors are missing, unexpected, of another shape or kind (integers, complex or sparse where ours are
            not), a ``skip`` pattern fits nothing, the model has no memory yet (device "meta"), or the file is refused.

    >>> source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> print(load_weights(target, source.state_dict()))
    2 tensors loaded, names of dlnotes
    >>> torch.equal(source.weight, target.weight)
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"load_weights: expected a torch.nn.Module, got {type(model).__name__}; pass the model first")
    if isinstance(state_dict_or_path, (str, os.PathLike)):
        source, tensors = str(state_dict_or_path), read_tensors(state_dict_or_path)
    else:
        source, tensors = "the state dict", tensors_in(
            dict(state_dict_or_path) if isinstance(state_dict_or_path, Mapping) else state_dict_or_path, "the state dict")
    ours = {name: x for name, x in model.state_dict().items() if isinstance(x, torch.Tensor)}
    if any(x.is_meta for x in ours.values()):
        raise ValueError(f"load_weights: expected a model with memory for its weights, got a {type(model).__name__} on the "
                         "meta device; build it outside of torch.device('meta')")
    dialect = max(known_dialects(type(model)), key=lambda known: _fit(known, tensors, ours))
    skipped, left_out = _skipped([skip] if isinstance(skip, str) else skip, ours, tensors, model)
    report = LoadReport(dialect.name, skipped=skipped)
    for key in left_out:                                            # in their spelling
        named = [name for name in dialect.parts(dialect.translate(key)) if name in ours]
        report.skipped += [name for name in named if name not in report.skipped]
        if not named:
            del tensors[key]
            report.dropped[key] = "left out by skip"
    new, problems = _match(model, tensors, ours, dialect, report, resize)
    if problems:
        raise ValueError(_complaint(model, source, report, problems, len(new)))
    with torch.no_grad():
        for name, tensor in new.items():
            ours[name].copy_(tensor)                                # state_dict() shares memory with the model
    report.loaded = list(new)
    return report


def _match(model: nn.Module, tensors: dict, ours: dict, dialect: Dialect, report: LoadReport,
           resize: bool) -> tuple[dict[str, torch.Tensor], list[str]]:
    """A tensor for each of our names, and a line for each that found none or does not fit."""
    new, unexpected, unfit = {}, [], {}
    for key, tensor in tensors.items():
        reason = dialect.reason_to_drop(key)
        names = dialect.parts(dialect.translate(key))
        if reason is None and names[0] not in ours and key.endswith("num_batches_tracked"):
            reason = "a counter that this model does not keep"
        if reason is not None:
            report.dropped[key] = reason
        elif len(names) > 1 and (tensor.ndim == 0 or tensor.shape[0] % len(names)):
            unexpected.append(f"unexpected: {key} {tuple(tensor.shape)}, which does not split into {len(names)} equal parts")
        else:
            for name, part in zip(names, tensor.chunk(len(names)) if len(names) > 1 else [tensor]):
                if name not in ours or name in new:
                    unexpected.append(f"unexpected: {key} {tuple(tensor.shape)}" + " a second time" * (name in new))
                elif name not in report.skipped:
                    fitted, line = _fitted(name, part, ours[name], model, report, resize)
                    if line:
                        unfit[name] = line
                    else:
                        new[name] = fitted
    unfit |= _torn_ties(new, ours)
    filled = {_place(ours[name]) for name in new}                   # a tied tensor may come under one of its names only
    missing = [f"missing: {name} {tuple(x.shape)}" for name, x in ours.items()
               if not (name in new or name in unfit or name in report.skipped or name.endswith("num_batches_tracked")
                       or (x.numel() and _place(x) in filled))]
    return new, [*missing, *unexpected, *unfit.values()]


def _place(x: torch.Tensor) -> tuple:
    """Where a tensor lies in memory: tied weights lie in one place."""
    return x.device, x.data_ptr(), tuple(x.shape), x.stride()


def _torn_ties(new: dict[str, torch.Tensor], ours: dict[str, torch.Tensor]) -> dict[str, str]:
    """A line for each tensor that is one with another here, and has other numbers in the checkpoint."""
    first, lines = {}, {}
    for name, tensor in new.items():
        other = first.setdefault(_place(ours[name]), name) if ours[name].numel() else name
        if other != name and not torch.equal(tensor.to(new[other]), new[other]):
            lines[name] = f"of another kind: {name} has other numbers than {other}, and here both are one tensor"
    return lines


def _fitted(name: str, tensor: torch.Tensor, our: torch.Tensor, model: nn.Module, report: LoadReport,
            resize: bool) -> tuple[torch.Tensor | None, str | None]:
    """The tensor in the shape of ours, or the line that says why not."""
    shape, wanted = tuple(tensor.shape), tuple(our.shape)
    plain = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
    if not plain or _kind(tensor) != _kind(our):                    # copying would fail half-way, or lose numbers
        kind = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
        return None, f"of another kind: {name} expected {our.dtype}, strided, got {tensor.dtype}, {kind}"
    if shape == wanted:
        return tensor, None
    if _without_ones(shape) == _without_ones(wanted):
        report.reshaped[name] = (shape, wanted)
        return tensor.reshape(wanted), None
    hint = " (resize=True interpolates it)" if not resize and is_resizable(name) else ""
    try:
        resized = resize_tensor(name, tensor, model) if resize else None
    except ValueError:
        resized, hint = None, " (resize=True knows square grids only, with one class token; interpolate others beforehand)"
    if resized is not None and tuple(resized.shape) == wanted:
        report.resized[name] = (shape, wanted)
        return resized, None
    return None, f"of another shape: {name} expected {wanted}, got {shape}{hint}"


def _kind(x: torch.Tensor) -> str:
    return "complex" if x.is_complex() else "float" if x.is_floating_point() else "bool" if x.dtype == torch.bool else "int"


def _skipped(patterns: Iterable[str], ours: dict, tensors: dict, model: nn.Module) -> tuple[list[str], list[str]]:
    """Names of ours to leave as they are, and of theirs to leave out: the second only for patterns that fit none of ours."""
    skipped, left_out = [], []
    for pattern in patterns:
        hit = [name for name in ours if fnmatchcase(name, pattern)]
        theirs = [] if hit else [key for key in tensors if fnmatchcase(key, pattern)]
        if not hit and not theirs:
            raise ValueError(f"load_weights: expected skip={pattern!r} to name a parameter of {type(model).__name__} or of "
                             f"the checkpoint, got none; names look like {', '.join(list(ours)[-2:])}")
        skipped += hit
        left_out += theirs
    return list(dict.fromkeys(skipped)), list(dict.fromkeys(left_out))


def _fit(dialect: Dialect, tensors: dict, ours: dict) -> tuple[int, int]:
    """How much of a checkpoint a dialect understands: our names that it fills, then those together with the dropped."""
    dropped = [key for key in tensors if dialect.reason_to_drop(key) is not None]
    used = tensors.keys() - set(dropped)
    filled = {name for key in used for name in dialect.parts(dialect.translate(key)) if name in ours}
    return len(filled), len(filled) + len(dropped)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _complaint(model: nn.Module, source: str, report: LoadReport, problems: list[str], fitting: int) -> str:
    counts = {kind: sum(p.startswith(kind) for p in problems)
              for kind in ("missing", "unexpected", "of another shape", "of another kind")}
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return (f"load_weights: expected every tensor of {type(model).__name__} from {source}, got {kinds} "
            f"({fitting} fit, read as names of {report.dialect}); nothing was loaded. Build the model with the checkpoint's "
            "settings, or name what to leave out with skip=[...]:\n  " + "\n  ".join(problems))
