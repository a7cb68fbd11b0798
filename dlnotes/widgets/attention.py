"""Where each patch of a picture looks: the attention of a Vision Transformer, one query at a time, all heads at a glance.

The page gets the scores before the softmax (of each row, less its largest, which the softmax does not notice) as integers,
so that softmax, temperature, means over heads and rollout are computed where the reader looks, without a kernel.
"""

import io
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
import traitlets
from torch import nn

from dlnotes.attention import attention_rollout

from ._base import Widget

__all__ = ["AttentionExplorer"]

_DEEPEST = {16: 160.0, 8: 24.0}     # a score so far below its row's largest is stored as this: e^-24 is nothing to the eye
_DRAW = 'images, labels, _ = DigitsOnTextures("held-out", size={size}, seed={seed}).batch({indices})'
_SETUP = {      # (model given, images given) -> the lines that come before the pass
    (False, False): "from dlnotes.digits import DigitsOnTextures\nfrom dlnotes.models.vit import load_vit_digits\n\n"
                    "model = load_vit_digits()\n" + _DRAW,
    (False, True): "from dlnotes.models.vit import load_vit_digits\n\n"
                   "model = load_vit_digits()   # images: what you passed to AttentionExplorer",
    (True, False): "from dlnotes.digits import DigitsOnTextures\n\n" + _DRAW + "\n"
                   "# model: what you passed to AttentionExplorer, in evaluation mode, on the CPU",
    (True, True): "\n# model (in evaluation mode) and images: what you passed to AttentionExplorer, on one device",
}
_SIZE, _SEED, _FIRST = 400, 0, (0, 29, 30)   # of the held-out pictures: the set, and those that the widget opens with


class AttentionExplorer(Widget):
    """Pick a patch of a picture and see where it looks, in every layer and head.

    Args:
        model: any module whose attention :func:`dlnotes.capture.record` sees. The small ViT that ships with dlnotes, trained
            on digits on photographed textures, when None. It runs once, in evaluation mode, without gradients, on the device
            and in the dtype of its own parameters, and is left as it was.
        images: (b, c, h, w) floating, in [0, 1]. Three held-out digits when None.
        layer: counted from 0 over the layers found.
        head: counted from 0, or ``"mean"`` over the heads.
        query: patch as (row, column), or ``"class"`` for the class token. When None, the patch with most
            of the digit, or the centre of your own pictures.
        prefix_tokens: tokens before the patches (class token, registers). When None it is taken from the model's
            ``num_prefix_tokens``, else from the only count of 0 or 1 for which the patches tile the pictures.
        grid: patches as (rows, columns), where the number of tokens alone does not say it.
        transform: applied to the images on their way to the model, for example a normalisation; the page shows ``images``.
        labels: the true class of each picture, shown beside the prediction.
        budget: bytes of pictures and scores that the page may carry. Over it, scores take 8 bits instead of 16, then layers
            and last pictures are left out, which the readout says; with a kernel the page fetches them from Python.

    Raises:
        TypeError: if ``model`` is not a module, or ``images`` not a tensor.
        ValueError: if the images are not in [0, 1], no recorded attention lies over a grid, or an index is out of range.
    """

    _name = "attention"
    _height = 860

    pictures = traitlets.Bytes().tag(sync=True)             # uint8, pictures × h × w × 3
    picture_shape = traitlets.List().tag(sync=True)         # [pictures, h, w]
    sources = traitlets.List().tag(sync=True)               # index of each picture in the images of the code
    captions = traitlets.List().tag(sync=True)              # one text for each picture
    grid = traitlets.List().tag(sync=True)                  # [rows, columns] of patches
    prefix = traitlets.Int().tag(sync=True)                 # tokens before the patches
    heads = traitlets.Int().tag(sync=True)
    layers = traitlets.List().tag(sync=True)                # {"name", "index" in record().attention} for each layer
    blocks = traitlets.List().tag(sync=True)                # [picture, layer] of each block of scores below, in order
    scores = traitlets.Bytes().tag(sync=True)               # uint8 or uint16, blocks × heads × tokens × tokens
    steps = traitlets.List().tag(sync=True)                 # score = -step * code, one step for each block and head
    bits = traitlets.Int(16).tag(sync=True)                 # of a code; the largest code stands for -inf (masked)
    rollouts = traitlets.Bytes().tag(sync=True)             # uint16, pictures × tokens × tokens, where layers are left out
    rollout_steps = traitlets.List().tag(sync=True)         # weight = step * code, one step for each picture
    width = traitlets.Int(0).tag(sync=True)                 # of a head, d; 0 when unknown
    note = traitlets.Unicode().tag(sync=True)               # which recorded attentions do not fit the picture
    omitted = traitlets.Unicode().tag(sync=True)            # what the page does not carry
    setup = traitlets.Unicode().tag(sync=True)              # the first lines of the PyTorch code
    transformed = traitlets.Bool(False).tag(sync=True)
    more = traitlets.Bool(False).tag(sync=True)             # a kernel can give another picture
    revision = traitlets.Int(0).tag(sync=True)              # counts what Python sent

    picture = traitlets.Int(0).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)                  # -1: mean over heads
    query = traitlets.Int(0).tag(sync=True)                 # token
    view = traitlets.Enum(["attention", "rollout"], "attention").tag(sync=True)
    factor = traitlets.Float(1.0).tag(sync=True)            # on the scores: softmax(factor · q kᵀ / √d)
    colours = traitlets.Enum(["map", "shared", "absolute"], "map").tag(sync=True)
    heat = traitlets.Float(0.8).tag(sync=True)              # opacity of the map over the picture
    numbers = traitlets.Bool(False).tag(sync=True)

    def __init__(self, model: nn.Module | None = None, images: torch.Tensor | None = None, layer: int = 0,
                 head: int | str = 0, query: tuple[int, int] | str | None = None, prefix_tokens: int | None = None, *,
                 grid: tuple[int, int] | None = None, transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
                 labels: Sequence[int] | None = None, budget: int = 700_000):
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(f"AttentionExplorer: expected model to be an nn.Module, got {type(model).__name__}")
        digits = images is None
        if digits:
            images, labels, masks = _held_out(_FIRST)
        _check_images(images)
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"AttentionExplorer: expected one label for each of {len(images)} pictures, got {len(labels)}")
        self._given = (model is not None, not digits)
        if model is None:
            from dlnotes.models.vit import load_vit_digits

            model = load_vit_digits()
        run = _look(model, images, transform, prefix_tokens, grid)
        rows, columns = run["grid"]
        if query is None and digits:    # the patch with most of the digit
            query = divmod(int(nn.functional.adaptive_avg_pool2d(masks[:1], run["grid"]).argmax()), columns)
        token = _token((rows // 2, columns // 2) if query is None else query, run)
        layer = _index("layer", layer, len(run["layers"]))
        head = -1 if head == "mean" else _index("head", head, run["heads"], ' or "mean"')

        self._transform, self._budget, self._digits = transform, budget, digits
        self._model = model if digits else None     # own pictures are all recorded by now: let the model go
        self._seen = dict(zip(_FIRST if digits else range(len(images)), _pictures(run, images, labels, digits)))
        self._next = _FIRST[-1] + 1
        super().__init__(grid=[rows, columns], prefix=run["prefix"], heads=run["heads"], layers=run["layers"],
                         width=run["width"], note=run["note"], transformed=transform is not None, layer=layer, head=head,
                         query=token)
        self._pack(list(self._seen))
        self.observe(self._fetch, ["layer", "picture"])

    # -- what the page carries

    def _pack(self, wanted: list[int]) -> None:
        """Set the traits that carry pictures and scores: as many of the wanted pictures and layers as the budget allows."""
        depth, heads, n = len(self.layers), self.heads, self.prefix + math.prod(self.grid)
        h, w = self._seen[wanted[0]]["image"].shape[:2]
        order = list(dict.fromkeys([self.layer, depth - 1, 0]))
        while len(order) < depth:       # then whatever lies farthest from those kept
            order.append(max(set(range(depth)) - set(order), key=lambda i: (min(abs(i - k) for k in order), i)))
        plans = [(len(wanted), depth, 16), (len(wanted), depth, 8)]
        plans += [(p, k, 8) for p in range(len(wanted), 0, -1) for k in range(depth - 1, 0, -1)]
        for count, kept, bits in plans:
            size = count * (3 * h * w + kept * heads * n * n * bits // 8 + (kept < depth) * 2 * n * n)
            if size <= self._budget:
                break
        else:
            raise ValueError(f"AttentionExplorer: expected one picture and one layer within budget={self._budget} bytes, "
                             f"got {size} ({heads} heads, {n} tokens, {h} × {w} pixels); pass smaller pictures or "
                             f"budget={size}")
        shown, kept = wanted[:count], sorted(order[:kept])
        blocks = [(slot, layer) for slot in range(count) for layer in kept]
        packed = [_quantise(self._seen[shown[slot]]["scores"][layer], bits) for slot, layer in blocks]
        rolled = [_rollout(self._seen[i]["scores"]) for i in shown] if len(kept) < depth else []
        left = []
        if len(kept) < depth:
            left.append(f"scores of layers {', '.join(map(str, kept))} of {depth}")
        if count < len(self._seen) and not self._digits:
            left.append(f"{count} of {len(self._seen)} pictures")
        if bits == 8:
            left.append("8-bit scores (weights within 5 %)")
        self._shown = shown
        if self._digits:
            self._seen = {i: self._seen[i] for i in shown}
        with self.hold_sync():
            self.picture_shape = [count, h, w]
            self.pictures = b"".join(self._seen[i]["image"].tobytes() for i in shown)
            self.sources = list(range(count)) if self._digits else shown
            self.setup = _SETUP[self._given].format(size=_SIZE, seed=_SEED, indices=shown)
            self.captions = [self._seen[i]["caption"] for i in shown]
            self.blocks, self.bits = [list(b) for b in blocks], bits
            self.scores = b"".join(codes for codes, _ in packed)
            self.steps = [step for _, steps in packed for step in steps]
            self.rollouts = b"".join(codes for codes, _ in rolled)
            self.rollout_steps = [step for _, step in rolled]
            self.omitted = f"On this page: {'; '.join(left)}." if left else ""
            self.more = self._digits or count < len(self._seen)
            self.picture = min(self.picture, count - 1)
            self.revision += 1

    def _fetch(self, _change: Any) -> None:
        if [self.picture, self.layer] not in self.blocks:
            self._pack(self._shown)

    def handle(self, message: Any) -> None:
        """``{"type": "picture"}``: put another picture in the place of the present one."""
        if not (isinstance(message, dict) and message.get("type") == "picture" and self.more):
            return
        if self._digits:
            new = self._next % _SIZE
            if new not in self._seen:
                images, labels, _ = _held_out([new])
                run = _look(self._model, images, self._transform, self.prefix, tuple(self.grid))
                self._seen[new] = _pictures(run, images, labels, True)[0]
            self._next = new + 1
        else:
            absent = [i for i in self._seen if i not in self._shown]
            new = next((i for i in absent if i > self._shown[self.picture]), absent[0])
        self._pack([new if slot == self.picture else i for slot, i in enumerate(self._shown)])

    @traitlets.validate("layer", "head", "query", "picture")
    def _in_range(self, proposal: dict[str, Any]) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        limits = {"layer": (0, len(self.layers)), "head": (-1, self.heads), "query": (0, self.prefix + math.prod(self.grid)),
                  "picture": (0, max(self.picture_shape[:1] or [1]))}
        low, high = limits[name]
        if not low <= value < high:
            raise traitlets.TraitError(f"AttentionExplorer: expected {name} from {low} to {high - 1}, got {value}")
        return value

    @traitlets.validate("factor")
    def _positive(self, proposal: dict[str, Any]) -> float:
        if not (math.isfinite(proposal["value"]) and proposal["value"] > 0):
            raise traitlets.TraitError(f"AttentionExplorer: expected a positive factor, got {proposal['value']}")
        return proposal["value"]

    # -- what Python says about it

    def weights(self) -> torch.Tensor:
        """The row that the page shows: weights (tokens,) of the present query over all keys, from the unrounded scores."""
        scores = self._seen[self._shown[self.picture]]["scores"]                                # layers heads n n
        if self.view == "rollout":      # where layers are left out, the page has the one of all layers, as trained
            scores = scores if self.rollouts else self.factor * scores[:self.layer + 1]
            return attention_rollout(list(scores.softmax(-1).nan_to_num(0.0)))[self.query]
        rows = (self.factor * scores[self.layer, :, self.query]).softmax(-1).nan_to_num(0.0)     # heads n
        return rows.mean(0) if self.head < 0 else rows[self.head]

    def _asking(self) -> str:
        row, column = divmod(self.query - self.prefix, self.grid[1])
        return f"token {self.query}" if row < 0 else f"patch ({row}, {column})"

    def summary(self) -> str:
        rows, columns = self.grid
        return f"{len(self._seen) if not self._digits else self.picture_shape[0]} pictures, {rows}×{columns} patches, " \
               f"{len(self.layers)} layers, {self.heads} heads"

    def alt(self) -> str:
        head = "mean over heads" if self.head < 0 else f"head {self.head}"
        return (f"Left: a picture of {self.grid[0]} × {self.grid[1]} patches with the query, {self._asking()}, outlined. "
                f"Middle: the weights of layer {self.layer}, {head}, over all patches. Right: all layers and heads.")

    def still(self) -> bytes:
        import matplotlib.pyplot as plt
        from matplotlib.patches import Rectangle

        from dlnotes import plots

        (rows, columns), p = self.grid, self.prefix
        record = self._seen[self._shown[self.picture]]
        h, w = record["image"].shape[:2]
        maps = (self.factor * record["scores"][:, :, self.query]).softmax(-1).nan_to_num(0.0)[..., p:]  # layers heads n
        with plots.style():
            figure = plt.figure(figsize=(8.4, 3.2))
            left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.15, 1.25])
            axes = [left.subplots(), middle.subplots()]
            axes[0].imshow(record["image"])
            axes[0].set_title(f"query: {self._asking()}")
            y, x = divmod(self.query - p, columns)
            if y >= 0:
                axes[0].add_patch(Rectangle((x * w / columns - .5, y * h / rows - .5), w / columns, h / rows, fill=False,
                                            edgecolor=plots.token("reader"), linewidth=3))
            drawn = axes[1].imshow(100 * self.weights()[p:].reshape(rows, columns).numpy(), cmap=plots.MAGNITUDE, vmin=0)
            head = "mean" if self.head < 0 else self.head
            axes[1].set_title(f"layer {self.layer}, head {head}" if self.view == "attention" else "rollout")
            middle.colorbar(drawn, ax=axes[1], shrink=0.7, format="%g %%")
            step = max(1, math.ceil(len(maps) / 6))
            grid = right.subplots(len(maps[::step]), min(self.heads, 6), squeeze=False)
            for row, (layer, line) in zip(maps[::step], zip(range(0, len(maps), step), grid)):
                for i, axis in enumerate(line):
                    axis.imshow(row[i].reshape(rows, columns).numpy(), cmap=plots.MAGNITUDE, vmin=0)
                    axis.set_ylabel(f"layer {layer}" if i == 0 else "", fontsize=7)
                    axis.set_title(f"head {i}" if layer == 0 else "", fontsize=7)
                    axes.append(axis)
            for axis in axes:
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=100)
            plt.close(figure)
        return buffer.getvalue()


# -- from a model to scores


def _look(model: nn.Module, images: torch.Tensor, transform: Callable | None, prefix: int | None,
          grid: tuple[int, int] | None) -> dict[str, Any]:
    """Run the model once and keep the largest group of attentions that agree in heads and tokens and cover the pictures."""
    from dlnotes.capture import record

    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    x = images.to(like.device, like.dtype)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), record(model, attention=True) as seen:
            output = model(x if transform is None else transform(x))
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"AttentionExplorer: expected a model that takes images {tuple(images.shape)} and whose attention "
                         f"can be recorded, got {type(model).__name__}: {error}") from error
    finally:
        for module, mode in modes:
            module.training = mode
    found = [(index, entry, tuple(entry.weights.shape)) for index, entry in enumerate(seen.attention)]
    square = [f for f in found if len(f[2]) == 4 and f[2][0] == len(images) and f[2][2] == f[2][3]]
    if prefix is None:
        prefix = getattr(model, "num_prefix_tokens", None)
    groups = Counter(shape for _, _, shape in square)
    errors = []
    for shape, _ in groups.most_common():
        try:
            p, patches = _tile(shape[-1], tuple(images.shape[-2:]), prefix, grid)
        except ValueError as error:
            errors.append(error)
            if prefix is None and grid is None:     # a smaller group that happens to fit would be a guess
                break
            continue
        used = [f for f in square if f[2] == shape]
        others = sorted({f"{s}" for _, _, s in found if s != shape})
        note = (f"Shown are {len(used)} of {len(found)} recorded attentions, and rollout knows only these; others had "
                f"shapes {', '.join(others)}." if others else "")
        scores = torch.stack([_scores(entry) for _, entry, _ in used])                          # layers b heads n n
        return {"grid": patches, "prefix": p, "heads": shape[1], "width": _width(model, used[0][1]), "note": note,
                "scores": scores, "layers": [{"index": index, "name": entry.module} for index, entry, _ in used],
                "output": output.float().cpu() if isinstance(output, torch.Tensor) else None}
    if errors:
        raise errors[0]
    raise ValueError("AttentionExplorer: expected attention (b, heads, tokens, tokens) over the whole picture, with "
                     f"b={len(images)}, got {sorted({f[2] for f in found})} (b, heads, queries, keys); for attention in "
                     "windows or with pooled keys use dlnotes.capture.record and dlnotes.plots.heatmap")


def _scores(entry: Any) -> torch.Tensor:
    """Scores before the softmax (b, heads, n, n), float32, on the CPU."""
    scores = entry.logits.float()
    if torch.isnan(scores).any() or (scores == math.inf).any():
        raise ValueError("AttentionExplorer: expected finite scores (or -inf where masked), got NaN or inf in "
                         f"{entry.module!r}; check the model's weights and its input")
    return scores.cpu()


def _tile(tokens: int, size: tuple[int, int], prefix: int | None,
          grid: tuple[int, int] | None) -> tuple[int, tuple[int, int]]:
    """How many tokens come before the patches, and the grid (rows, columns) of the patches."""
    h, w = size
    if grid is not None:
        rest = tokens - math.prod(grid)
        if len(grid) != 2 or rest < 0 or prefix not in (None, rest):
            raise ValueError(f"AttentionExplorer: expected tokens = prefix_tokens + rows × columns, got {tokens} tokens, "
                             f"prefix_tokens={prefix} and grid={tuple(grid)}; correct grid or prefix_tokens")
        return rest, (int(grid[0]), int(grid[1]))
    fits = []
    for p in (0, 1) if prefix is None else (prefix,):
        # square patches: rows / columns = h / w
        rows = round(math.sqrt(max(tokens - p, 0) * h / w))
        columns = round(math.sqrt(max(tokens - p, 0) * w / h))
        if rows * columns == tokens - p > 0 and rows * w == columns * h:
            fits.append((p, (rows, columns)))
    if len(fits) != 1:
        raise ValueError(f"AttentionExplorer: expected tokens = prefix_tokens + rows × columns of square patches on "
                         f"{h} × {w} pixels, got {tokens} tokens with prefix_tokens={prefix}: {len(fits)} ways; "
                         "pass prefix_tokens= and grid=(rows, columns)")
    return fits[0]


def _width(model: nn.Module, entry: Any) -> int:
    """Width d of a head, where the attending module tells it by one of the usual names; else 0."""
    module, heads = model.get_submodule(entry.module), entry.shape[1]
    if isinstance(width := getattr(module, "head_dim", None), int):
        return width
    if isinstance(width := getattr(module, "embed_dim", None), int):
        return width // heads
    qkv = getattr(module, "qkv", None)
    return qkv.out_features // (3 * heads) if isinstance(qkv, nn.Linear) else 0


def _quantise(scores: torch.Tensor, bits: int) -> tuple[bytes, list[float]]:
    """(heads, n, n) -> codes and one step for each head: score - largest of its row = -step * code; the top code is -inf."""
    top = 2**bits - 1
    largest = scores.amax(-1, keepdim=True)                                                     # heads n 1
    below = (largest - scores).nan_to_num(nan=math.inf, posinf=math.inf)                        # heads n n; inf where masked
    masked = below.isinf()
    below = below.clamp(max=_DEEPEST[bits]).masked_fill(masked, 0.0).double()
    steps = below.amax((-1, -2)).clamp(min=1e-9) / (top - 1)                                    # heads
    codes = (below / steps[:, None, None]).round().long().masked_fill(masked, top)              # heads n n
    return codes.numpy().astype("<u2" if bits == 16 else "u1").tobytes(), steps.tolist()


def _rollout(scores: torch.Tensor) -> tuple[bytes, float]:
    """Rollout (n, n) of all layers (layers, heads, n, n): codes and the step, weight = step * code."""
    rolled = attention_rollout(list(scores.softmax(-1).nan_to_num(0.0))).double()               # n n
    step = float(rolled.max()) / 65535
    return (rolled / step).round().long().numpy().astype("<u2").tobytes(), step


# -- pictures


def _held_out(indices: Sequence[int]) -> tuple[torch.Tensor, list[int], torch.Tensor]:
    from dlnotes.digits import DigitsOnTextures

    images, labels, masks = DigitsOnTextures("held-out", size=_SIZE, seed=_SEED).batch(list(indices))
    return images, labels.tolist(), masks


def _pictures(run: dict[str, Any], images: torch.Tensor, labels: Sequence[int] | None, digits: bool) -> list[dict[str, Any]]:
    """For each picture what the page needs: pixels (h, w, 3) uint8, scores (layers, heads, n, n), caption."""
    pixels = images.detach().float().cpu().expand(-1, 3, -1, -1)                                # b 3 h w, grey repeated
    pixels = (255 * pixels).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()    # b h w 3
    captions = _captions(run["output"], labels, len(images), digits)
    return [{"image": pixels[i], "scores": run["scores"][:, i], "caption": captions[i]} for i in range(len(images))]


def _captions(output: torch.Tensor | None, labels: Sequence[int] | None, count: int, digits: bool) -> list[str]:
    truth = [f"true {int(label)}" for label in labels] if labels is not None else [""] * count
    if output is None or output.ndim != 2 or len(output) != count or output.shape[1] < 2:
        return truth
    top, which = output.softmax(-1).max(-1)                                                     # b
    said = [f"predicts {c} ({p:.0%})" if digits else f"largest output: {c} ({p:.0%} after softmax)"
            for p, c in zip(top.tolist(), which.tolist())]
    return [", ".join(filter(None, pair)).replace("%", " %") for pair in zip(said, truth)]


def _check_images(images: Any) -> None:
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"AttentionExplorer: expected images to be a tensor (b, c, h, w), got {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"AttentionExplorer: expected images (b, c, h, w) with 1 or 3 channels, got {tuple(images.shape)}; "
                         "add the batch axis with images[None]")
    if not images.is_floating_point() or not (images.min() >= 0 and images.max() <= 1):
        span = f"{images.min().item():g} to {images.max().item():g}"
        raise ValueError(f"AttentionExplorer: expected floating images in [0, 1], got {images.dtype} from {span}; "
                         "divide bytes by 255, and pass a normalisation as transform=")


def _index(name: str, value: Any, count: int, more: str = "") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise ValueError(f"AttentionExplorer: expected {name} from 0 to {count - 1}{more}, got {value!r}")
    return value


def _token(query: Any, run: dict[str, Any]) -> int:
    rows, columns = run["grid"]
    if query == "class":
        if not run["prefix"]:
            raise ValueError('AttentionExplorer: expected query=(row, column), got "class"; '
                             "this model has no token before the patches")
        return 0
    if not (isinstance(query, Sequence) and len(query) == 2 and all(isinstance(q, int) for q in query)
            and 0 <= query[0] < rows and 0 <= query[1] < columns):
        raise ValueError(f'AttentionExplorer: expected query as (row, column) in a grid of {rows} × {columns}, or "class", '
                         f"got {query!r}")
    return run["prefix"] + query[0] * columns + query[1]
