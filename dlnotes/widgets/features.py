"""What a network makes of a picture, layer by layer: all channels at a glance, any value on demand, two pictures compared.

The page gets every map as 8-bit codes between its own smallest and largest value, so a value is right to half a step, a
510th of its map's range. Scales, differences and statistics are computed where the reader looks, without a kernel.

Which pixels a cell sees is found by asking the network itself: one row of the picture after another is set to NaN, and the
cells that turn NaN depend on it. That is exact at the borders too, and needs no knowledge of strides and paddings.
"""

import base64
import copy
import io
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from torch import nn

from .. import plots
from ..capture import record
from ..device import pick_device
from ._base import Widget, out_of_memory

__all__ = ["FeatureMaps"]

_SIZE, _FIRST = 400, (7, 29)                        # of the held-out digits: the set, and those that the widget opens with
_LAYERS = ("stages.0.conv", "stages.0.pool", "stages.1.pool", "stages.2.pool", "stages.3.pool")
_SETUP = {      # (model given, pictures given) -> the lines that come before the pass
    (False, False): "from dlnotes.digits import DigitsOnTextures\nfrom dlnotes.models.pretrained import load_pretrained\n\n"
                    "model = load_pretrained(\"cnn_digits\")\n"
                    "pictures, labels, _ = DigitsOnTextures(\"held-out\", size={size}).batch({indices})     # b 1 64 64",
    (False, True): "from dlnotes.models.pretrained import load_pretrained\n\n"
                   "model = load_pretrained(\"cnn_digits\")   # pictures: what you passed to FeatureMaps",
    (True, False): "from dlnotes.digits import DigitsOnTextures\n\n"
                   "pictures, labels, _ = DigitsOnTextures(\"held-out\", size={size}).batch({indices})     # b 1 64 64\n"
                   "# model: what you passed to FeatureMaps, in evaluation mode, on the CPU",
    (True, True): "\n# model (in evaluation mode) and pictures: what you passed to FeatureMaps, on one device",
}
_FIELD_PIXELS, _FIELD_WEIGHTS = 96 * 96, 2_000_000   # beyond these, asking for the receptive fields would take too long


class FeatureMaps(Widget):
    """All channels of a layer for one or two pictures, with the value under the pointer.

    Args:
        model: any module. The small CNN that ships with dlnotes, trained on digits on photographed textures, when None. It
            runs in evaluation mode, without gradients, on the device and in the dtype of its own parameters (the shipped one
            on CUDA where there is one), and is left as it was.
        pictures: (b, c, h, w) floating in [0, 1] with one or three channels. Two held-out digits when None. The page shows
            the first two; with a kernel the reader picks any of them, or uploads one.
        layers: names as in ``model.named_modules()``, ``*`` allowed, whose outputs are (b, c, h, w). When None, the last
            layer of each size, in the order of the pass, as far as ``budget`` allows.
        layer, channel: what to open with.
        transform: applied to the pictures on their way to the model, for example a normalisation; the page shows ``pictures``.
        labels: the true class of each picture, shown beside the prediction.
        budget: bytes of maps that the page may carry.

    Raises:
        TypeError: if ``model`` is not a module, or ``pictures`` not a floating tensor.
        ValueError: if the pictures have another form or leave [0, 1], a layer is unknown or gives no maps, an index is out of
            range, or one layer does not fit into the budget.

    >>> FeatureMaps(nn.Conv2d(1, 4, 3, padding=1), torch.rand(1, 1, 8, 8))
    FeatureMaps(1 picture, 1 layer: '' 4 × 8 × 8)
    """

    _name = "features"
    _height = 900

    pictures = traitlets.Bytes().tag(sync=True)             # uint8, shown × h × w × c
    picture_shape = traitlets.List().tag(sync=True)         # [shown, c, h, w]
    sources = traitlets.List().tag(sync=True)               # index of each shown picture in the pictures of the code
    captions = traitlets.List().tag(sync=True)
    layers = traitlets.List().tag(sync=True)                # {"name", "kind", "c", "h", "w", "rows", "columns"}
    maps = traitlets.Bytes().tag(sync=True)                 # uint8, shown × layers × (c, h, w)
    ranges = traitlets.Bytes().tag(sync=True)               # float32, shown × layers × c × (smallest, largest)
    setup = traitlets.Unicode().tag(sync=True)              # the first lines of the PyTorch code
    transformed = traitlets.Bool(False).tag(sync=True)
    omitted = traitlets.Unicode().tag(sync=True)            # layers that the page does not carry
    offers = traitlets.List().tag(sync=True)                # those layers, which a kernel can fetch
    count = traitlets.Int(0).tag(sync=True)                 # pictures that a kernel can show
    problem = traitlets.Unicode().tag(sync=True)            # why an upload was refused
    revision = traitlets.Int(0).tag(sync=True)              # counts what Python sent

    layer = traitlets.Int(0).tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)
    cell = traitlets.List([0, 0]).tag(sync=True)            # row and column in the map
    show = traitlets.Enum(["a", "b", "difference"], "a").tag(sync=True)
    scale = traitlets.Enum(["map", "shared", "percentile"], "map").tag(sync=True)

    def __init__(self, model: nn.Module | None = None, pictures: torch.Tensor | None = None,
                 layers: str | Iterable[str] | None = None, *, layer: int = 0, channel: int = 0,
                 transform: Callable[[torch.Tensor], torch.Tensor] | None = None, labels: Sequence[int] | None = None,
                 budget: int = 300_000):
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(f"FeatureMaps: expected model to be an nn.Module, got {type(model).__name__}; pass the model itself")
        given, self._digits = (model is not None, pictures is not None), pictures is None
        if self._digits:
            pictures, labels = _held_out(_FIRST)
        _check_pictures(pictures)
        if labels is not None and len(labels) != len(pictures):
            raise ValueError(f"FeatureMaps: expected one label for each of {len(pictures)} pictures, got {len(labels)}; "
                             "pass labels in the order of the pictures")
        if model is None:
            from ..models.pretrained import load_pretrained

            model = load_pretrained("cnn_digits").to(pick_device())
            layers = _LAYERS if layers is None else layers
        self._model, self._transform, self._budget, self._given = model, transform, budget, given
        self._own, self._labels = (None if self._digits else pictures.detach()), labels
        self._extra: list[str] = []
        first = pictures[:2]
        seen, _ = self._run(first)
        wanted = _chosen(model, seen, layers, budget, len(first))
        self._known = [name for name in seen if name not in wanted]
        shapes = {name: tuple(x.shape[1:]) for name, x in seen.items()}
        if not 0 <= layer < len(wanted):
            raise ValueError(f"FeatureMaps: expected layer from 0 to {len(wanted) - 1}, got {layer!r}; the layers are "
                             f"{', '.join(wanted)}")
        c, h, w = shapes[wanted[layer]]
        if not 0 <= channel < c:
            raise ValueError(f"FeatureMaps: expected channel from 0 to {c - 1}, got {channel!r}; layer {wanted[layer]!r} has {c}")
        self._fields = _fields(model, transform, first[:1], list(seen))
        super().__init__(transformed=transform is not None, layer=layer, channel=channel, cell=[h // 2, w // 2],
                         count=_SIZE if self._digits else len(pictures))
        self._wanted = wanted
        self._pack(list(_FIRST) if self._digits else list(range(len(first))), first)

    # -- the pass, and what the page carries of it

    def _run(self, pictures: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
        """Maps by module name, (b, c, h, w) each, in the order of the pass, and the output if it is scores (b, classes)."""
        model, like = self._model, next((p for p in self._model.parameters() if p.is_floating_point()), None)
        x = pictures if like is None else pictures.to(like)
        training = {module: module.training for module in model.modules()}
        model.eval()
        names = [name for name, _ in model.named_modules()]
        try:
            with torch.no_grad(), record(model, "*") as seen:
                out = model(x if self._transform is None else self._transform(x))
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            if not str(error).startswith("record: expected every module"):
                raise ValueError(f"FeatureMaps: expected pictures that the model reads, got {tuple(pictures.shape)} and this "
                                 f"error: {str(error).splitlines()[0]}; check channels, size and transform") from error
            with torch.no_grad(), record(model) as seen:        # some module did not run: those without children will do
                out = model(x if self._transform is None else self._transform(x))
        finally:
            for module, mode in training.items():
                module.training = mode
        maps = {name: y.float().cpu() for name, y in seen.activations.items()
                if isinstance(y, torch.Tensor) and y.ndim == 4 and len(y) == len(pictures)
                and y.shape[-1] * y.shape[-2] > 1 and not y.is_complex()}
        if not maps:
            raise ValueError(f"FeatureMaps: expected a model with layers that give maps (b, c, h, w), found none among "
                             f"{len(names)} modules of {type(model).__name__}; AttentionExplorer shows tokens")
        scores = out.float().cpu() if isinstance(out, torch.Tensor) and out.ndim == 2 and out.is_floating_point() else None
        return maps, scores

    def _pack(self, sources: list[Any], pictures: torch.Tensor, problem: str = "") -> None:
        seen, scores = self._run(pictures)
        wanted = [name for name in seen if name in self._wanted or name in self._extra]
        maps, ranges, layers = [], [], []
        for name in wanted:
            c, h, w = seen[name].shape[1:]
            rows, columns = self._fields.get(name, ([], []))
            layers.append({"name": name, "kind": type(self._model.get_submodule(name)).__name__, "c": c, "h": h, "w": w,
                           "rows": rows, "columns": columns})
        for slot in range(len(pictures)):
            for name in wanted:
                codes, ends = _quantise(seen[name][slot])
                maps.append(codes)
                ranges.append(ends)
        self._sources, self._pictures = sources, pictures
        absent = [name for name in seen if name not in wanted]
        indices = [s if isinstance(s, int) else _FIRST[i] for i, s in enumerate(sources)]
        with self.hold_sync():
            self.picture_shape = list(pictures.shape)
            self.pictures = (pictures.float().cpu().movedim(1, -1) * 255).round().to(torch.uint8).numpy().tobytes()
            self.sources = [s if isinstance(s, int) else -1 for s in sources]
            self.setup = _SETUP[self._given].format(size=_SIZE, indices=indices)
            self.captions = [self._caption(s, None if scores is None else scores[i]) for i, s in enumerate(sources)]
            self.maps, self.ranges, self.layers = b"".join(maps), b"".join(ranges), layers
            self.omitted = f"{len(absent)} more layers need a kernel." if absent else ""
            self.offers, self.problem = absent, problem
            self.revision += 1

    def _caption(self, source: Any, scores: torch.Tensor | None) -> str:
        if source == "yours":
            text, label = "your picture", None
        else:
            text = f"digit {source}" if self._digits else f"picture {source}"
            label = int(_held_out([source])[1][0]) if self._digits else (
                None if self._labels is None else int(self._labels[source]))
        if label is not None:
            text += f", true {label}"
        if scores is not None and scores.shape[0] > 1:
            said = int(scores.argmax())
            text += f", said {said} ({scores.softmax(-1)[said]:.0%})"
        return text

    def handle(self, message: Any) -> None:
        """``{"type": "picture", "slot", "index"}``, ``{"type": "upload", "slot", "data"}`` or ``{"type": "layer", "name"}``."""
        if not isinstance(message, dict):
            return
        kind, slot = message.get("type"), message.get("slot", 0)
        if kind == "layer" and message.get("name") in self.offers:
            self._extra.append(message["name"])
            name = self.layers[self.layer]["name"]
            self._pack(self._sources, self._pictures)
            names = [entry["name"] for entry in self.layers]
            self.layer = names.index(message["name"] if message["name"] in names else name)
        if kind not in ("picture", "upload") or slot not in range(len(self._sources)):
            return
        sources, pictures = list(self._sources), self._pictures.clone()
        if kind == "picture":
            index = message.get("index")
            if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < self.count:
                return
            pictures[slot] = _held_out([index])[0][0] if self._digits else self._own[index]
            sources[slot] = index
        else:
            _, c, h, w = self.picture_shape
            try:
                raw = np.frombuffer(base64.b64decode(message.get("data", ""), validate=True), np.uint8)
                pictures[slot] = torch.from_numpy(raw.reshape(h, w, c).copy()).movedim(-1, 0) / 255             # c h w
            except (ValueError, TypeError):
                self.problem = f"expected {h} × {w} pixels with {c} channels"
                return
            sources[slot] = "yours"
        self._pack(sources, pictures)

    @traitlets.validate("layer", "channel", "cell", "show")
    def _in_range(self, proposal: dict[str, Any]) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if not self.layers:
            return value
        if name == "show":
            if value != "a" and self.picture_shape[0] < 2:
                raise traitlets.TraitError(f"FeatureMaps: expected show='a' with one picture, got {value!r}; pass two pictures")
            return value
        if name == "cell":
            if len(value) != 2:
                raise traitlets.TraitError(f"FeatureMaps: expected cell as [row, column], got {value}; pass two whole numbers")
            return [max(0, int(v)) for v in value]
        limit = len(self.layers) if name == "layer" else max(entry["c"] for entry in self.layers)
        if not 0 <= value < limit:
            raise traitlets.TraitError(f"FeatureMaps: expected {name} from 0 to {limit - 1}, got {value}; they count from 0")
        return value

    # -- what Python says about it

    def maps_of(self, layer: int | None = None) -> torch.Tensor:
        """The maps of a layer (default: the present one) of the shown pictures, not rounded: (b, c, h, w), on the CPU."""
        name = self.layers[self.layer if layer is None else layer]["name"]
        return self._run(self._pictures)[0][name]

    def summary(self) -> str:
        shown = len(self.captions)
        first, last = self.layers[0], self.layers[-1]
        sizes = " to ".join(dict.fromkeys(f"{x['name'] or repr('')} {x['c']} × {x['h']} × {x['w']}" for x in (first, last)))
        return (f"{shown} picture{'s' * (shown > 1)}, {len(self.layers)} layer{'s' * (len(self.layers) > 1)}: {sizes}")

    def alt(self) -> str:
        at = self.layers[self.layer]
        return (f"Left: the picture ({self.captions[0]}). Right: the {at['c']} feature maps of layer {at['name']}, "
                f"{at['h']} × {at['w']} cells each, every map on its own scale.")

    def still(self) -> bytes:
        at = self.layers[self.layer]
        maps = self.maps_of()[0][:64].numpy()                                       # c h w
        columns = max(4, math.ceil(math.sqrt(len(maps) * 1.2)))
        rows = math.ceil(len(maps) / columns)
        signed = maps.min() < 0
        h, w = maps.shape[1:]
        sheet = np.full((rows * (h + 2), columns * (w + 2)), np.nan)
        for i, x in enumerate(maps):
            top = np.abs(x).max() or 1.0
            r, c = divmod(i, columns)
            sheet[r * (h + 2):r * (h + 2) + h, c * (w + 2):c * (w + 2) + w] = x / top
        with plots.style():
            figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 3.2), width_ratios=(1, 1.5))
            shown = self._pictures[0].float().cpu().movedim(0, -1).numpy()          # h w c
            left.imshow(shown if shown.shape[-1] == 3 else shown[..., 0], cmap=plt.get_cmap("gray", 32), vmin=0, vmax=1)
            right.imshow(sheet, cmap=plots.DIVERGING.resampled(25) if signed else plt.get_cmap(plots.MAGNITUDE, 24),
                         vmin=-1 if signed else 0, vmax=1, interpolation="nearest", aspect="auto" if rows < 3 else "equal")
            left.set(title=self.captions[0], xticks=[], yticks=[])
            right.set(title=f"{at['name']}: {at['c']} maps of {h} × {w}", xticks=[], yticks=[])
            for axis in (left, right):
                axis.spines[:].set_visible(False)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=100)
            plt.close(figure)
        return buffer.getvalue()


def _held_out(indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    from ..digits import DigitsOnTextures

    return DigitsOnTextures("held-out", size=_SIZE).batch(list(indices))[:2]


def _check_pictures(pictures: Any) -> None:
    if not isinstance(pictures, torch.Tensor) or not pictures.is_floating_point():
        got = pictures.dtype if isinstance(pictures, torch.Tensor) else type(pictures).__name__
        raise TypeError(f"FeatureMaps: expected pictures as a floating tensor (b, c, h, w), got {got}; "
                        "divide uint8 by 255, and wrap arrays with torch.as_tensor")
    if pictures.ndim != 4 or 0 in pictures.shape or pictures.shape[1] not in (1, 3):
        raise ValueError(f"FeatureMaps: expected pictures (b, c, h, w) with one or three channels, got {tuple(pictures.shape)}; "
                         "a single picture needs x[None]")
    low, high = pictures.min().item(), pictures.max().item()
    if not (-1e-6 <= low and high <= 1 + 1e-6):
        raise ValueError(f"FeatureMaps: expected pictures in [0, 1], got values from {low:.4g} to {high:.4g}; "
                         "pass them as they are, and what the model wants on top as transform=...")


def _chosen(model: nn.Module, seen: dict[str, torch.Tensor], layers: str | Iterable[str] | None, budget: int,
            shown: int) -> list[str]:
    """Names of the layers to carry, in the order of the pass."""
    def size(name: str) -> int:
        return shown * seen[name][0].numel()

    if layers is not None:
        from fnmatch import fnmatchcase

        patterns = [layers] if isinstance(layers, str) else list(layers)
        wanted = []
        for pattern in patterns:
            found = [name for name in seen if fnmatchcase(name, pattern)]
            if not found:
                known = [name for name, _ in model.named_modules()]
                why = "it gives no maps (b, c, h, w)" if any(fnmatchcase(name, pattern) for name in known) else "no such module"
                raise ValueError(f"FeatureMaps: expected layers that give maps, got {pattern!r} ({why}); layers with maps are "
                                 f"{', '.join(list(seen)[:12])}{', ...' * (len(seen) > 12)}")
            wanted += found
        wanted = [name for name in seen if name in wanted]
        total = sum(map(size, wanted))
        if total > budget:
            raise ValueError(f"FeatureMaps: expected maps of at most budget={budget} bytes, got {total} in {len(wanted)} layers; "
                             f"name fewer layers, pass smaller pictures, or budget={total}")
        return wanted
    by_shape = {tuple(x.shape): name for name, x in seen.items()}           # the last of each size
    wanted = [name for name in seen if name in by_shape.values()]
    while len(wanted) > 1 and sum(map(size, wanted)) > budget:
        wanted.remove(max(wanted, key=size))
    if size(wanted[0]) > budget and len(wanted) == 1:
        raise ValueError(f"FeatureMaps: expected one layer within budget={budget} bytes, got {size(wanted[0])} for "
                         f"{wanted[0]!r}; pass smaller pictures or budget={size(wanted[0])}")
    return wanted


def _quantise(maps: torch.Tensor) -> tuple[bytes, bytes]:
    """(c, h, w) -> codes of 8 bits between each map's ends, and the ends (c, 2) float32. NaN and infinity become 0."""
    x = maps.nan_to_num(0.0, 0.0, 0.0)
    ends = torch.stack([x.flatten(1).amin(1), x.flatten(1).amax(1)], dim=1)             # c 2
    span = (ends[:, 1] - ends[:, 0])[:, None, None]
    codes = ((x - ends[:, :1, None]) / span.where(span > 0, 1.0) * 255).round()         # c h w
    return codes.to(torch.uint8).numpy().tobytes(), ends.numpy().astype("<f4").tobytes()


def _fields(model: nn.Module, transform: Callable | None, picture: torch.Tensor, names: list[str]) -> dict[str, tuple]:
    """Layer -> first and last pixel that each of its rows, and each of its columns, depends on; {} where it would take long."""
    h, w = picture.shape[-2:]
    if h * w > _FIELD_PIXELS or sum(p.numel() for p in model.parameters()) > _FIELD_WEIGHTS:
        return {}
    try:
        twin = copy.deepcopy(model).cpu().double().eval()           # in float64 no convolution goes by blocks of pixels
        found: dict[str, list] = {name: [] for name in names}
        for axis, size in ((2, h), (3, w)):
            x = picture.cpu().double().repeat(size, 1, 1, 1)                        # one picture for each row
            for i in range(size):
                x[i].select(axis - 1, i).fill_(math.nan)
            with torch.no_grad(), record(twin, names) as seen:
                twin(x if transform is None else transform(x))
            for name in names:
                lost = seen.activations[name].isnan().any(1).any(2 if axis == 2 else 1)    # size, rows or columns
                spans = [lost[:, i].nonzero().flatten() for i in range(lost.shape[1])]
                found[name].append([[int(s[0]), int(s[-1])] if len(s) else [] for s in spans])
    except Exception:                                               # a network that refuses NaN, or float64: do without
        return {}
    return {name: tuple(both) for name, both in found.items() if all(span for part in both for span in part)}
