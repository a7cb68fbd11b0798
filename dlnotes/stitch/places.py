"""Named places of a network, and what passes through them: a small input is run through a copy, with hooks.

The copy lives on PyTorch's ``meta`` device where it can: its tensors have shapes and no numbers, so that even a large
network costs neither time nor memory. A network that reads numbers on its way runs for real.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import nn

from .layout import LAYOUTS, layout_of
from .ways import Stitch

__all__ = ["Call", "Place", "Survey", "Trace", "find_places", "names_before_stitching", "survey", "trace"]


@dataclass(frozen=True)
class Place:
    """What a factory may ask about the place that it makes a module for.

    Attributes:
        name: as in ``model.named_modules()``.
        inputs: shapes of what it is called with, for a batch of one.
        output: shape of what it returns.
        in_layout, out_layout: of its first input and its output, such as ``"b c h w"``.
        in_channels, out_channels: likewise.
    """

    name: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    in_layout: str
    out_layout: str

    @property
    def in_channels(self) -> int:
        return self.inputs[0][LAYOUTS[self.in_layout]]

    @property
    def out_channels(self) -> int:
        return self.output[LAYOUTS[self.out_layout]]


@dataclass(frozen=True)
class Call:
    """Shapes of one call of a module; None for an output that is not one tensor."""

    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...] | None


@dataclass
class Trace:
    """The calls of each place during one forward pass, and the error that ended it, if any."""

    calls: dict[str, list[Call]]
    error: Exception | None = None


@dataclass(frozen=True)
class Survey:
    """What :func:`survey` saw: inputs that the network takes, the pass of them, and the places by name."""

    inputs: tuple[torch.Tensor, ...]
    trace: Trace
    places: dict[str, Place]


def names_before_stitching(model: nn.Module) -> dict[str, str]:
    """Names of the modules as they were before anything was stitched -> as they are now; of nested ones the outermost.

    >>> names_before_stitching(nn.Sequential(nn.ReLU()))
    {'0': '0'}
    """
    stitches = {name for name, module in model.named_modules() if isinstance(module, Stitch)}
    before: dict[str, str] = {}
    for name, _ in model.named_modules():
        parts = name.split(".")
        kept = [part for i, part in enumerate(parts) if not (part == "place" and ".".join(parts[:i]) in stitches)]
        if name:
            before.setdefault(".".join(kept), name)                 # parents come before their children
    return before


def find_places(model: nn.Module, where: str | Iterable[str]) -> dict[str, str]:
    """The places that some patterns name.

    Args:
        model: any network.
        where: names as in ``model.named_modules()``. A ``*`` stands for anything between two dots: ``"layer*.0"`` is
            ``layer1.0`` and not ``layer1.0.conv1``. Names stay those of the network before anything was stitched into it.

    Returns:
        Name before stitching -> name now, in the order of the network.

    Raises:
        TypeError, ValueError: if a pattern is no string, or fits nothing.

    >>> list(find_places(nn.Sequential(nn.Sequential(nn.ReLU()), nn.ReLU()), "*"))
    ['0', '1']
    """
    before = names_before_stitching(model)
    patterns = [where] if isinstance(where, str) else list(where)
    if not patterns:
        raise ValueError("insert: expected at least one name of a module, got none; see model.named_modules()")
    wanted = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"insert: expected names of modules, got {type(pattern).__name__}; see model.named_modules()")
        parts = pattern.split(".")
        found = {name for name in before if len(name.split(".")) == len(parts)
                 and all(map(fnmatchcase, name.split("."), parts))}
        if not found:
            near = get_close_matches(pattern, before, n=3, cutoff=0.3)
            raise ValueError(f"insert: expected the name of a module, got {pattern!r}; "
                             + (f"near names are {', '.join(near)}" if near else "see model.named_modules()"))
        wanted |= found
    return {name: now for name, now in before.items() if name in wanted}


def trace(model: nn.Module, places: Sequence[str], inputs: Sequence[torch.Tensor], real: bool = True) -> Trace:
    """Run a copy of a network in evaluation mode and note the shapes at some places.

    Args:
        model: it is not touched.
        places: names of modules.
        inputs: what ``forward`` takes.
        real: where the meta device fails, run with numbers.

    Returns:
        A :class:`Trace`; after an error it holds what had been seen.
    """
    on_meta = _run(_meta_copy(model), places, [x.to("meta") for x in inputs])
    if on_meta.error is None or not real:
        return on_meta
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    return _run(copy.deepcopy(model), places, [x.to(home) for x in inputs])


def _meta_copy(model: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers have shapes only: deepcopy is told beforehand what each tensor becomes."""
    known: dict[int, torch.Tensor] = {}
    loose = (x for module in model.modules() for x in vars(module).values() if isinstance(x, torch.Tensor))
    for tensor in [*model.parameters(), *model.buffers(), *loose]:
        shapes = tensor.detach().to("meta")
        known[id(tensor)] = nn.Parameter(shapes, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shapes
    return copy.deepcopy(model, known)


def _run(model: nn.Module, places: Sequence[str], inputs: Sequence[torch.Tensor]) -> Trace:
    seen = Trace({name: [] for name in places})

    def note(name: str):
        def hook(_module, args: tuple, kwargs: Mapping, output) -> None:
            shapes = tuple(tuple(x.shape) for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor))
            seen.calls[name].append(Call(shapes, tuple(output.shape) if isinstance(output, torch.Tensor) else None))
        return hook

    for name in places:
        model.get_submodule(name).register_forward_hook(note(name), with_kwargs=True)
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    except Exception as error:                                      # whatever the network says, the caller words it
        seen.error = error
    return seen


def survey(model: nn.Module, names: Mapping[str, str], inputs: torch.Tensor | Sequence | None = None,
           layout: str | None = None) -> Survey:
    """Run a small input through a network, and see what passes at some places.

    Args:
        model: any network.
        names: from :func:`find_places`.
        inputs, layout: as in :func:`dlnotes.stitch.insert`.

    Raises:
        ValueError: if the network does not take the inputs, a place is not called or passes anything but tensors, or its
            layout cannot be seen.
    """
    inputs, seen = _first_pass(model, names, inputs)
    larger = _larger_pass(model, names, inputs)
    places = {}
    for name, now in names.items():
        call = _one_call(name, seen.calls[now])
        grown = larger.calls[now][0] if now in larger.calls else Call((None,), None)
        places[name] = Place(name, call.inputs, call.output, _layout(name, call.inputs[0], grown.inputs[0], layout),
                             _layout(name, call.output, grown.output, layout))
    return Survey(inputs, seen, places)


def _first_pass(model: nn.Module, names: Mapping[str, str], inputs) -> tuple[tuple[torch.Tensor, ...], Trace]:
    """The first of the candidate inputs that the network takes, and the shapes of its pass."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    if inputs is None:
        candidates = [(torch.zeros(1, *size, dtype=dtype),) for size in _usual_sizes(model)]
    elif isinstance(inputs, torch.Tensor):
        candidates = [(inputs,)]
    else:
        made = all(isinstance(size, int) for size in inputs)
        candidates = [(torch.zeros(1, *inputs, dtype=dtype),) if made else tuple(inputs)]
    if not candidates:
        raise ValueError(f"insert: expected inputs for {type(model).__name__}, which has no convolution to tell them by, "
                         "got None; pass inputs=")
    first = None
    for candidate in candidates:
        seen = trace(model, list(names.values()), candidate, real=first is None)
        first = first or seen
        if seen.error is None:
            silent = [name for name, now in names.items() if not seen.calls[now]]
            if silent:
                raise ValueError(f"insert: expected every place to be called in a forward pass, got no call of "
                                 f"{', '.join(silent)}; choose the modules inside, see model.named_modules()")
            return candidate, seen
    raise ValueError(f"insert: expected inputs that {type(model).__name__} takes, got "
                     f"{' and '.join(str(tuple(x.shape)) for x in candidates[0])}, and it says: {first.error}; pass "
                     "inputs=, a tensor or the size of one without the batch") from first.error


def _usual_sizes(model: nn.Module) -> list[tuple[int, ...]]:
    """Sizes of pictures that a network may take: the one that timm notes with a model, then usual ones with as many
    channels as its first convolution reads."""
    sizes = [tuple(config["input_size"])] if "input_size" in (config := getattr(model, "default_cfg", None) or {}) else []
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is not None:
        sizes += [(first.in_channels, side, side) for side in (64, 224, 256, 32, 28)]
    return list(dict.fromkeys(sizes))


def _larger_pass(model: nn.Module, names: Mapping[str, str], inputs: Sequence[torch.Tensor]) -> Trace:
    """The shapes for pictures of twice the height and width; empty where the network takes one size only."""
    if not all(x.ndim == 4 for x in inputs):
        return Trace({})
    seen = trace(model, list(names.values()), [x.new_zeros(1, x.shape[1], 2 * x.shape[2], 2 * x.shape[3]) for x in inputs],
                 real=False)
    return seen if seen.error is None else Trace({})


def _one_call(name: str, calls: list[Call]) -> Call:
    """The call of a place; of several, all must agree in their channels, and the first stands for them."""
    for call in calls:
        if call.output is None or not call.inputs:
            raise ValueError(f"insert: expected {name} to take and return tensors, got another type; choose a place inside "
                             "it or around it")
        if [len(shape) for shape in call.inputs] != [len(shape) for shape in calls[0].inputs] or any(
                a[1:2] != b[1:2] and a[-1:] != b[-1:] for a, b in zip(call.inputs, calls[0].inputs)):
            raise ValueError(f"insert: expected {name} to be called with one number of channels, got "
                             f"{calls[0].inputs[0]} and {call.inputs[0]}; choose a place that is used once")
    return calls[0]


def _layout(name: str, shape: tuple[int, ...], larger: tuple[int, ...] | None, given: str | None) -> str:
    """The layout of features: the given one where it has as many axes, else the one that the shapes show."""
    axes = given if given and len(given.split()) == len(shape) else layout_of(shape, larger)
    if axes is None:
        raise ValueError(f"insert: expected to see which axis of {name} holds the channels, got shape {shape}; pass "
                         f"layout=, one of {', '.join(map(repr, LAYOUTS))}")
    return axes
