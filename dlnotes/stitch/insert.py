"""Put a module at named places of any network, without editing the network.

A copy is made; at each place the part that stood there is wrapped, together with the new module, by one of the four ways of
:mod:`dlnotes.stitch.ways`. How many channels pass there is seen by running a small input through.
"""

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import nn

from dlnotes._check import check_choice
from dlnotes.checkpoints import LoadReport, load_weights

from .layout import LAYOUTS, adapt
from .places import Place, Survey, find_places, survey, trace
from .registry import STITCHABLE, build, entry_of
from .ways import WAYS, ShapeChange, Stitch

__all__ = ["baseline_weights", "insert"]


def insert(model: nn.Module, where: str | Iterable[str], module: str | Callable[..., nn.Module], how: str = "nest", *,
           zero_init: bool = False, inputs: torch.Tensor | Sequence | None = None, settings: Mapping | None = None,
           layout: str | None = None, as_map: bool | None = None, grid: tuple[int, int] | None = None,
           citation: str | Iterable[str] = ()) -> nn.Module:
    """A copy of a network with a module stitched in at every named place; the network itself stays as it is.

    Args:
        model: any network, ours or not.
        where: names as in ``model.named_modules()``; a ``*`` stands for anything between two dots (``"encoder.*"``).
        module: a name of :func:`dlnotes.stitch.stitchable`, or a factory: called with the number of channels (of the
            place's output for add and nest, of its first input for parallel and replace), it returns a fresh module. A
            factory with a parameter called ``place`` is also given the :class:`dlnotes.stitch.Place`.
        how: with f for the part at the place and m for the module:

            - ``"add"``: y + m(y) with y = f(x)
            - ``"nest"``: m(f(x))
            - ``"parallel"``: f(x) + m(x)
            - ``"replace"``: m(x)
        zero_init: scale what m contributes by a learned γ = 0, so that the copy begins as the network itself.
        inputs: a small input of the network: a tensor, or several; or the size of one without the batch, (3, 64, 64).
            By default pictures of usual sizes are tried.
        settings: arguments of a registered module, such as ``{"reduction": 4}``.
        layout: where the shapes do not tell: ``"b c h w"``, ``"b n c"``, ``"b h w c"``.
        as_map: show tokens, and maps with channels last, to the module as maps (b, c, h, w). By default modules of the
            registry are shown maps, and your own what passes there.
        grid: height and width of the map that the tokens are; a square by default. What comes before it, a class token,
            passes by the module.
        citation: what to cite for a module of your own making or borrowing; see :func:`dlnotes.stitch.cite`.

    Returns:
        The copy, on the same devices, in the same mode. Parameters of the part at ``name`` are called ``name.place.*``,
        those of the module ``name.inserted.*``, and γ is ``name.gamma``.

    Raises:
        TypeError, ValueError: if an argument does not fit; if a place is never called, or passes no single tensor; if the
            network would not run with the module, or the module would change a shape, with both shapes.

    >>> from dlnotes.models import create
    >>> baseline = create("unet", width=8, depth=2)
    >>> stitched = insert(baseline, "encoder.*", "se", how="add", zero_init=True)
    >>> [name for name, _ in stitched.named_parameters() if "inserted" in name][:2]
    ['encoder.0.inserted.fc1.weight', 'encoder.0.inserted.fc1.bias']
    >>> x = torch.randn(1, 3, 32, 32)
    >>> torch.equal(stitched.eval()(x), baseline.eval()(x))         # γ = 0: the same function
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"insert: expected a torch.nn.Module, got {type(model).__name__}; pass the network first")
    check_choice("insert", WAYS, how=how)
    if layout is not None:
        check_choice("insert", LAYOUTS, layout=layout)
    factory = _factory(module, settings, how)
    names = find_places(model, where)
    seen = survey(model, names, inputs, layout)
    citation = (citation,) if isinstance(citation, str) else tuple(citation)

    stitched = copy.deepcopy(model)
    old = {name: stitched.get_submodule(now) for name, now in names.items()}
    for name in sorted(names, key=lambda name: -name.count(".")):                       # the inner ones first
        place = seen.places[name]
        behind = how in ("add", "nest")                                                 # m reads the output, or the input
        new = _make(factory, place, place.out_channels if behind else place.in_channels)
        if as_map or (as_map is None and entry_of(type(new))):
            axes, shape = (place.out_layout, place.output) if behind else (place.in_layout, place.inputs[0])
            new = adapt(new, axes, shape, grid, name)
        _put(stitched, old[name], _like(WAYS[how](old[name], new, zero_init, citation, name), model))
    _verify(stitched, names, seen)
    return stitched


def baseline_weights(model: nn.Module | Mapping[str, torch.Tensor], stitched: nn.Module) -> LoadReport:
    """Give a stitched network the weights of its baseline; what was inserted keeps its own.

    Args:
        model: the network that was stitched, or its state dict, for example after training it.
        stitched: what :func:`insert` made of such a network.

    Returns:
        The report of :func:`dlnotes.checkpoints.load_weights`; ``skipped`` are the inserted parameters.

    Raises:
        ValueError: if tensors are missing, unexpected or of another shape, or nothing was stitched.

    >>> baseline = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU())
    >>> stitched = insert(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU()), "1", "se")
    >>> print(baseline_weights(baseline, stitched))
    2 tensors loaded, names of dlnotes; 4 skipped
    """
    stitches = {name: part for name, part in stitched.named_modules() if isinstance(part, Stitch)}
    if not stitches:
        raise ValueError("baseline_weights: expected a network with something stitched in, got "
                         f"{type(stitched).__name__} as it is; use dlnotes.checkpoints.load_weights")
    state = model.state_dict() if isinstance(model, nn.Module) else model
    renamed, inserted = {}, []
    for key in stitched.state_dict():
        old = _key_before(key, stitches)
        if old is None:
            inserted.append(key)
        elif old in state:
            renamed[key] = state[old]
    used = {_key_before(key, stitches) for key in renamed}
    replaced = tuple(_key_before(f"{name}.", stitches) for name, part in stitches.items() if part.place is None)
    unexpected = {key: x for key, x in state.items() if key not in used and not key.startswith(replaced)}
    return load_weights(stitched, renamed | unexpected, skip=inserted)


def _key_before(key: str, stitches: Mapping[str, Stitch]) -> str | None:
    """The name that a parameter had before stitching, or None if it was inserted."""
    parts, kept = key.split("."), []
    for i, part in enumerate(parts):
        if ".".join(parts[:i]) not in stitches or not part:
            kept.append(part)
        elif part != "place":
            return None
    return ".".join(kept)


def _factory(module: str | Callable[..., nn.Module], settings: Mapping | None, how: str) -> Callable[..., nn.Module]:
    """A function of channels and place."""
    if isinstance(module, nn.Module) or not callable(module) and not isinstance(module, str):
        raise TypeError(f"insert: expected the name of a module or a factory, got {type(module).__name__}; each place needs "
                        "a module of its own: pass lambda channels: ...")
    name = module if isinstance(module, str) else entry_of(module) if isinstance(module, type) else None
    if name is not None:
        if name in STITCHABLE and STITCHABLE[name].inputs == 2 and how in ("add", "nest"):
            raise ValueError(f"insert: expected how='parallel' or 'replace' for {name}, which takes two maps, got {how!r}; "
                             "behind a place there is one")
        return lambda channels, place: build(name, channels, settings)
    if settings:
        raise ValueError(f"insert: expected settings with the name of a module only, got {dict(settings)!r} with a factory; "
                         "let the factory pass them")
    try:
        asks = "place" in inspect.signature(module).parameters
    except ValueError:                                              # a callable written in C
        asks = False
    return module if asks else lambda channels, place: module(channels)


def _make(factory: Callable[..., nn.Module], place: Place, channels: int) -> nn.Module:
    module = factory(channels, place=place)
    if not isinstance(module, nn.Module):
        raise TypeError(f"insert: expected the factory to return an nn.Module for {place.name}, got "
                        f"{type(module).__name__}; return a fresh module for every call")
    return module


def _like(stitch: Stitch, model: nn.Module) -> Stitch:
    """The new module on the device, in the dtype and in the mode of the part beside it."""
    beside = stitch.place if stitch.place is not None else model
    like = next((x for part in (beside, model) for x in part.parameters() if x.is_floating_point()), None)
    if like is not None:
        stitch.inserted.to(like.device, like.dtype)
        if stitch.gamma is not None:
            stitch.gamma.data = stitch.gamma.data.to(like)
    stitch.inserted.train(beside.training)
    stitch.training = beside.training
    return stitch


def _put(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Everywhere that a network refers to the old part: a shared part stays shared."""
    for parent in list(model.modules()):
        for child, part in list(parent._modules.items()):           # named_children would leave out a second reference
            if part is old:
                parent.add_module(child, new)


def _verify(stitched: nn.Module, names: Mapping[str, str], seen: Survey) -> None:
    """Run the result: every place must give the shape that it gave, and the network must run to its end."""
    now = find_places(stitched, list(names))
    after = trace(stitched, list(now.values()), seen.inputs)
    for name in names:
        for old, new in zip(seen.trace.calls[names[name]], after.calls[now[name]]):
            if old.output != new.output:
                raise ShapeChange(f"insert: expected {name} to give {old.output} as before, got {new.output} from "
                                  f"{type(stitched.get_submodule(now[name]).inserted).__name__}; let the module end in a "
                                  "layer that brings it to that shape")
    if isinstance(after.error, ShapeChange):
        raise after.error
    if after.error is not None:
        raise ValueError(f"insert: expected {type(stitched).__name__} to run with the module in place, got "
                         f"{type(after.error).__name__}: {after.error}; choose another place or way, or other "
                         "settings") from after.error
