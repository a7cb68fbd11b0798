"""Cut the skip connections of a trained U-Net, one by one or together, and see what becomes of the mask.

Python runs the network once for each of the 2^k combinations of cuts and ships masks and mean activations as bytes; the page
only looks them up. A skip is cut by a forward pre-hook on its join that puts zeros in its place: the network is not retrained,
so what is seen is what *this* decoder had learned to take from that skip.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from matplotlib.colors import ListedColormap
from torch import nn

from .. import plots
from ._base import Widget

__all__ = ["SkipConnections", "cut_skips"]

_FIRST = (35, 11)               # held-out pictures that the widget opens with
_SIZE, _SEED = 2000, 0          # of the held-out set
_BUDGET = 500_000               # bytes of all pictures
_PALETTE = ("#e8ecf1", "#4477aa", "#ee8866", "#6a3d9a", "#ddaa33", "#44aabb", "#994455", "#222222", "#bb88cc", "#997700", "#99ddff")


@contextmanager
def cut_skips(model: nn.Module, cut: Iterable[int]) -> Iterator[nn.Module]:
    """Within the block, the skips that enter these joins are zeros; afterwards the network is as it was.

    Args:
        model: a network with ``joins``, such as :class:`dlnotes.models.unet.UNet`; ``joins[0]`` is the deepest.
        cut: which joins.

    Raises:
        TypeError: if the model has no joins.
        ValueError: if there is no join of that number.

    >>> from dlnotes.models.unet import UNet
    >>> model = UNet(width=4, depth=2).eval()
    >>> with cut_skips(model, [0]) as cut_model:
    ...     cut_model(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 2, 16, 16])
    """
    joins = getattr(model, "joins", None)
    if not isinstance(joins, nn.ModuleList):
        raise TypeError(f"cut_skips: expected a network with a ModuleList `joins`, such as dlnotes.models.unet.UNet, got "
                        f"{type(model).__name__}")
    cut = sorted(set(cut))
    if any(not 0 <= k < len(joins) for k in cut):
        raise ValueError(f"cut_skips: expected joins from 0 (the deepest) to {len(joins) - 1}, got {cut}")
    hooks = [joins[k].register_forward_pre_hook(lambda _module, maps: (torch.zeros_like(maps[0]), maps[1])) for k in cut]
    try:
        yield model
    finally:
        for hook in hooks:
            hook.remove()


def _held_out(index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture (1, h, w) and mask (h, w) of classes."""
    from ..digits import DigitsOnTextures

    images, labels, ink = DigitsOnTextures("held-out", size=_SIZE, seed=_SEED).batch([index])
    return images[0], ink[0, 0].long() * (labels[0] + 1)


class SkipConnections(Widget):
    """Switch the skips of a U-Net off and on, and compare masks, overlap and the maps inside.

    Args:
        pictures: indices of held-out pictures of digits on textures, one to four.
        cut: skips that are off at first, by the side of their maps in pixels: 64, 32, 16 or 8.
        model: a trained :class:`dlnotes.models.unet.UNet`; the shipped ``unet_digits`` when None.
        images, masks: your own (b, c, h, w) in [0, 1] and (b, h, w) of class numbers, instead of ``pictures``.
        classes: names of the classes; class 0 is the ground.

    Raises:
        TypeError: if ``model`` has no joins. ValueError: for other shapes, values or numbers, or too many bytes.
    """

    _name = "skips"
    _height = 980

    picture_shape = traitlets.List().tag(sync=True)         # [pictures, h, w]
    photos = traitlets.Bytes().tag(sync=True)               # uint8, pictures × h × w
    truths = traitlets.Bytes().tag(sync=True)               # uint8, pictures × h × w
    predictions = traitlets.Bytes().tag(sync=True)          # uint8, pictures × 2^k × h × w
    sides = traitlets.List().tag(sync=True)                 # [h, w] of each join's maps, the deepest first
    skips = traitlets.Bytes().tag(sync=True)                # uint8, pictures × (maps of each join)
    decoded = traitlets.Bytes().tag(sync=True)              # uint8, pictures × joins × 2^(join + 1) × (h w)
    tops = traitlets.List().tag(sync=True)                  # pictures × joins × [largest skip, largest decoded]
    classes = traitlets.List().tag(sync=True)
    palette = traitlets.List(list(_PALETTE)).tag(sync=True)
    captions = traitlets.List().tag(sync=True)
    indices = traitlets.List().tag(sync=True)               # in the held-out set; -1 for the reader's own
    more = traitlets.Bool(False).tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    cut = traitlets.List().tag(sync=True)                   # joins, the deepest is 0

    def __init__(self, pictures: Sequence[int] = _FIRST, cut: Sequence[int] = (64,), *, model: nn.Module | None = None,
                 images: torch.Tensor | None = None, masks: torch.Tensor | None = None,
                 classes: Sequence[str] | None = None) -> None:
        own = images is not None or model is not None
        if own and images is None:
            raise ValueError("SkipConnections: expected images and masks with a model of your own, got none; "
                             "pass images (b, c, h, w) and masks (b, h, w)")
        if own:
            if masks is None or images.ndim != 4 or masks.shape != (len(images), *images.shape[2:]):
                raise ValueError(f"SkipConnections: expected images (b, c, h, w) and masks (b, h, w), got {tuple(images.shape)} and "
                                 f"{None if masks is None else tuple(masks.shape)}; pass class numbers, one for each pixel")
            samples, indices = list(zip(images.detach().float().cpu(), masks.detach().long().cpu())), [-1] * len(images)
        else:
            for index in pictures:
                if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < _SIZE:
                    raise ValueError(f"SkipConnections: expected pictures from 0 to {_SIZE - 1}, got {index!r}; they count the "
                                     "held-out set")
            samples, indices = [_held_out(index) for index in pictures], list(pictures)
        if not 1 <= len(samples) <= 4:
            raise ValueError(f"SkipConnections: expected one to four pictures, got {len(samples)}; the page carries all their cuts")
        if model is None:
            from ..models.pretrained import load_pretrained

            model = load_pretrained("unet_digits")
        with cut_skips(model, ()):
            self._model = model
        if len(model.joins) > 4:
            raise ValueError(f"SkipConnections: expected at most 4 joins, got {len(model.joins)}; "
                             f"that would be {2 ** len(model.joins)} runs")
        h, w = samples[0][0].shape[1:]
        size = len(samples) * h * w * (2 + 2 * 2 ** len(model.joins))
        if size > _BUDGET:
            raise ValueError(f"SkipConnections: expected pictures that fit into {_BUDGET} bytes, got about {size}; "
                             "pass fewer or smaller ones")
        runs = [_run(model, image, mask) for image, mask in samples]
        sides, names = runs[0]["sides"], list(classes or ("ground", *map(str, range(10))))
        count = runs[0]["classes"]
        if len(names) < count:
            raise ValueError(f"SkipConnections: expected {count} names of classes, got {len(names)}; class 0 is the ground")
        off = []
        for side in cut:
            found = [k for k, (rows, _) in enumerate(sides) if rows == side]
            if not found:
                raise ValueError(f"SkipConnections: expected cut among the sides {[rows for rows, _ in sides]}, got {side!r}; "
                                 "a skip is named by the height of its maps")
            off += found
        super().__init__(classes=names, sides=sides, indices=indices, more=not own, cut=sorted(set(off)))
        self._runs = runs
        self._pack()

    def _pack(self) -> None:
        """Set the traits that the page reads from the runs."""
        h, w = self._runs[0]["photo"].shape
        with self.hold_sync():
            self.picture_shape = [len(self._runs), h, w]
            for trait, name in (("photos", "photo"), ("truths", "truth"), ("predictions", "predictions"), ("skips", "skips"),
                                ("decoded", "decoded")):
                setattr(self, trait, b"".join(run[name].tobytes() for run in self._runs))
            self.tops = [run["tops"] for run in self._runs]
            self.captions = [f"held-out picture {i}" if i >= 0 else f"picture {n}" for n, i in enumerate(self.indices)]
            self.revision += 1

    def handle(self, message: Any) -> None:
        """``{"type": "picture"}``: put the next held-out picture in the place of the present one."""
        if not (isinstance(message, dict) and message.get("type") == "picture" and self.more):
            return
        index = (max(self.indices) + 1) % _SIZE
        device = self._device()
        try:
            self._runs[self.picture] = _run(self._model.to(device), *_held_out(index))
        finally:
            self._model.to("cpu")
        indices = [*self.indices]
        indices[self.picture] = index
        self.indices = indices
        self._pack()

    @traitlets.validate("cut", "picture")
    def _in_range(self, proposal: dict[str, Any]) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if name == "cut":
            if any(k not in range(len(self.sides)) for k in value):
                raise traitlets.TraitError(f"SkipConnections: expected cut from 0 to {len(self.sides) - 1}, got {value}")
            return sorted(set(value))
        if not 0 <= value < max(self.picture_shape[:1] or [1]):
            raise traitlets.TraitError(f"SkipConnections: expected picture from 0 to {self.picture_shape[0] - 1}, got {value}")
        return value

    def mask(self) -> torch.Tensor:
        """The predicted classes (h, w) of the present picture with the present cuts."""
        code = sum(2**k for k in self.cut)
        return torch.from_numpy(self._runs[self.picture]["predictions"][code].astype(np.int64))

    def _cut_words(self) -> str:
        return "no skip cut" if not self.cut else "cut: " + ", ".join("×".join(map(str, self.sides[k])) for k in reversed(self.cut))

    def summary(self) -> str:
        count, h, w = self.picture_shape
        return f"{count} pictures of {h} × {w}, {len(self.sides)} skips, {self._cut_words()}"

    def alt(self) -> str:
        return (f"A picture, its true mask, the mask of the whole network, and the mask with skips off ({self._cut_words()}); "
                "colours are classes.")

    def still(self) -> bytes:
        run = self._runs[self.picture]
        whole, now = run["predictions"][0], self.mask().numpy()
        colours = ListedColormap([_PALETTE[k % len(_PALETTE)] for k in range(len(self.classes))])
        with plots.style():
            figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
            axes[0].imshow(run["photo"], cmap=plt.get_cmap("gray", 32), vmin=0, vmax=255)
            for axis, picture in zip(axes[1:], (run["truth"], whole, now)):
                axis.imshow(picture, cmap=colours, vmin=-0.5, vmax=len(self.classes) - 0.5, interpolation="nearest")
            for axis, title in zip(axes, ("picture", "true mask", "all skips", self._cut_words())):
                axis.set(title=title, xticks=[], yticks=[])
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=90)
            plt.close(figure)
        return file.getvalue()


def _run(model: nn.Module, image: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
    """All combinations of cuts on one picture: masks, and the mean over channels of every skip and decoder map, as bytes.

    Combination ``code`` cuts the joins whose bit is set. A decoder map depends on its own and deeper skips only, so that of
    join k is kept for the codes below 2^(k + 1).
    """
    joins = len(model.joins)
    device = next(model.parameters()).device
    training = model.training
    seen: dict[str, list[torch.Tensor]] = {"skip": [None] * joins, "decoded": [None] * joins}
    hooks = []
    for k in range(joins):      # registered before the cuts, so that the skips are seen whole
        hooks.append(model.joins[k].register_forward_pre_hook(
            lambda _m, maps, k=k: seen["skip"].__setitem__(k, maps[0][0].mean(0).cpu())))
        hooks.append(model.decoder[k].register_forward_hook(
            lambda _m, _maps, out, k=k: seen["decoded"].__setitem__(k, out[0].mean(0).cpu())))
    predictions, decoded, scores = [], [{} for _ in range(joins)], None
    try:
        model.eval()
        with torch.no_grad():
            for bits in product((0, 1), repeat=joins):
                cut = [k for k in range(joins) if bits[joins - 1 - k]]
                with cut_skips(model, cut):
                    scores = model(image[None].to(device))                          # 1 classes h w
                labels = scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0).long()
                predictions.append(labels[0].cpu().to(torch.uint8))                  # h w
                for k in range(joins):
                    decoded[k].setdefault(sum(2**i for i in cut) % 2 ** (k + 1), seen["decoded"][k])
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    sides = [list(x.shape) for x in seen["skip"]]
    maps = [torch.stack([decoded[k][code] for code in range(2 ** (k + 1))]) for k in range(joins)]          # 2^(k+1) h w
    tops = [[_top(skip), _top(after)] for skip, after in zip(seen["skip"], maps)]
    photo = image.mean(0).clamp(0, 1)                                               # h w
    return {
        "photo": (photo * 255).round().to(torch.uint8).cpu().numpy(), "truth": mask.to(torch.uint8).cpu().numpy(),
        "predictions": torch.stack(predictions).numpy(), "sides": sides, "tops": tops, "classes": max(scores.shape[1], 2),
        "skips": np.concatenate([_bytes(x, top[0]) for x, top in zip(seen["skip"], tops)]),
        "decoded": np.concatenate([_bytes(x, top[1]) for x, top in zip(maps, tops)]),
    }


def _top(x: torch.Tensor) -> float:
    return round(float(x.max()), 4) or 1.0


def _bytes(x: torch.Tensor, top: float) -> np.ndarray:
    return (x / top * 255).clamp(0, 255).round().to(torch.uint8).flatten().numpy()
