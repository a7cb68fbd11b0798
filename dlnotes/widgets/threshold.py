"""One score for every pixel, one threshold for all: what it calls foreground, what that is worth, and the curves of all thresholds.

Python ships pictures, scores in 8 bits and masks; the page thresholds, counts and draws (``threshold.js``). The counts are
those of :class:`dlnotes.metrics.ConfusionMatrix`, the curves those of :func:`dlnotes.metrics.roc_curve` and
:func:`dlnotes.metrics.pr_curve`, the targets found and the false alarms those of :class:`dlnotes.metrics.RegionDetection`.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from PIL import Image

from .. import plots
from ..device import pick_device
from ..metrics import ConfusionMatrix, RegionDetection, area_under_roc, average_precision, pr_curve, roc_curve
from ._base import Widget

__all__ = ["ThresholdExplorer", "digit_scene", "targets_scene"]

_DIGITS = (7, 13)                                   # held-out pictures: one that is read well, one that is not
_TARGETS = 7                                        # a scene with lamps and edges that score more than the targets
_OFFERED = 200                                      # held-out pictures that a kernel may show
_COLOURS = {"hit": "#f0d442", "alarm": "#d55e00", "miss": "#3f9fe8"}     # also in threshold.1-scores.js; they differ in grey, too


@cache
def _network(device: torch.device):
    from ..models.pretrained import load_pretrained

    return load_pretrained("unet_digits").to(device)


def digit_scene(index: int, device: torch.device | None = None) -> dict[str, Any]:
    """A held-out digit on a texture, and the probability of ink that the shipped U-Net gives every pixel.

    Args:
        index: of the picture in ``TexturedDigits("held-out")``.
        device: to compute on; default :func:`dlnotes.device.pick_device`'s choice.

    Returns:
        ``"name"``, ``"image"``, ``"score"`` and ``"mask"`` (64, 64) tensors, and ``"source"``, the code that makes them.
    """
    from ..data import TexturedDigits

    item = TexturedDigits("held-out")[index]
    device = pick_device() if device is None else device
    network = _network(device)
    with torch.no_grad():
        score = 1 - network(item["image"][None].to(device)).softmax(1)[0, 0].cpu()          # h w
    source = "\n".join([
        "from dlnotes.data import TexturedDigits", "from dlnotes.models.pretrained import load_pretrained", "",
        f'item = TexturedDigits("held-out")[{index}]',
        'logits = load_pretrained("unet_digits")(item["image"][None])  # 1 11 h w',
        "score = 1 - logits.softmax(1)[0, 0].detach()  # h w, the probability of ink",
        'mask = (item["mask"] > 0).long()  # h w'])
    return {"name": f"digit {index}", "image": item["image"][0], "score": score.clamp(0, 1), "mask": item["mask"] > 0,
            "source": source}


def targets_scene(index: int) -> dict[str, Any]:
    """Small targets on a real background, and a classical detector's score: the white top-hat, scaled to at most 1.

    Args:
        index: of the picture in ``SmallTargets("held-out", shape=(128, 128), targets=(3, 5), area=(3, 20), scr=(3, 8))``.

    Returns:
        As :func:`digit_scene`, (128, 128).
    """
    from skimage.morphology import disk, white_tophat

    from ..data import SmallTargets

    item = SmallTargets("held-out", shape=(128, 128), targets=(3, 5), area=(3, 20), scr=(3, 8))[index]
    score = torch.from_numpy(white_tophat(item["image"][0].numpy(), disk(4)))               # h w
    source = "\n".join([
        "from skimage.morphology import disk, white_tophat", "", "from dlnotes.data import SmallTargets", "",
        'scenes = SmallTargets("held-out", shape=(128, 128), targets=(3, 5), area=(3, 20), scr=(3, 8))',
        f"item = scenes[{index}]",
        'score = torch.from_numpy(white_tophat(item["image"][0].numpy(), disk(4)))  # h w',
        'score, mask = score / score.max(), item["mask"]  # h w'])
    return {"name": "small targets", "image": item["image"][0], "score": score / score.max(), "mask": item["mask"] > 0,
            "source": source}


def _unit(value: Any, where: str) -> np.ndarray:
    """(h, w) uint8 from a tensor, an array or lists with values in [0, 1]."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.ndim != 2 or not 0 < array.size <= 256 * 256:
        raise ValueError(f"ThresholdExplorer: expected {where} as (h, w) with at most 256 × 256 values, got shape {array.shape}; "
                         "take one channel, or crop")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"ThresholdExplorer: expected {where} with real numbers, got dtype {array.dtype}; convert it first")
    array = array.astype(np.float64)
    if not (np.isfinite(array).all() and array.min() >= -1e-6 and array.max() <= 1 + 1e-6):
        raise ValueError(f"ThresholdExplorer: expected {where} as uint8 or with values in [0, 1], got values from "
                         f"{array.min():.4g} to {array.max():.4g}; apply torch.sigmoid to logits, or divide by 255")
    return np.round(array.clip(0, 1) * 255).astype(np.uint8)


def _scene(scene: Any, index: int) -> tuple[dict[str, Any], bytes]:
    """What the page needs of a scene: its numbers, and image, score and mask one after the other."""
    where = f"scenes[{index}]"
    if not isinstance(scene, Mapping) or not {"score", "mask"} <= set(scene):
        raise ValueError(f'ThresholdExplorer: expected {where} as a dict with "score" and "mask", got '
                         f"{sorted(scene) if isinstance(scene, Mapping) else type(scene).__name__}; "
                         '"image" and "name" are optional')
    score = _unit(scene["score"], f'the score of {where}')                                  # h w
    image = _unit(scene["image"], f'the image of {where}') if "image" in scene else np.full_like(score, 128)
    mask = scene["mask"].detach().cpu().numpy() if isinstance(scene["mask"], torch.Tensor) else np.asarray(scene["mask"])
    if mask.shape != score.shape or image.shape != score.shape:
        raise ValueError(f"ThresholdExplorer: expected image, score and mask of one size in {where}, got {image.shape}, "
                         f"{score.shape} and {mask.shape}; resize the score")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"ThresholdExplorer: expected a mask of 0 and 1 in {where}, got other numbers; "
                         "compare first, mask > 0")
    if mask.all() or not mask.any():
        raise ValueError(f"ThresholdExplorer: expected foreground and background in the mask of {where}, got only one of them; "
                         "without both, the curves are undefined")
    h, w = score.shape
    about = {"name": str(scene.get("name", f"picture {index + 1}")), "h": h, "w": w, "source": str(scene.get("source", ""))}
    return about, image.tobytes() + score.tobytes() + np.ascontiguousarray(mask.astype(np.uint8)).tobytes()


class ThresholdExplorer(Widget):
    """Move the threshold of a segmentation, and watch masks, counts, scores and curves follow.

    Args:
        scenes: dicts with ``"score"`` (h, w) in [0, 1] or uint8, ``"mask"`` (h, w) of 0 and 1, and if you like ``"image"``
            (h, w) in [0, 1] and ``"name"``. Scores are kept in 8 bits. Default: two held-out digits under the shipped
            U-Net, and a scene with small targets under a top-hat filter.
        scene: which one is shown first.
        threshold: from 0 to 1; pixels that score at least as much are called foreground.
        view: ``"verdicts"`` (hits, false alarms and misses), ``"score"`` or ``"picture"``.

    Raises:
        ValueError: for scenes of other shapes or values, and for settings outside of these.
        TypeError: for scores that are not real.

    With a kernel, other held-out digits can be fetched.
    """

    _name = "threshold"
    _height = 980

    data = traitlets.Bytes().tag(sync=True)
    scenes = traitlets.List().tag(sync=True)        # name, h, w, source of each
    scene = traitlets.Int(0).tag(sync=True)
    level = traitlets.Int(128).tag(sync=True)       # the threshold times 255; 256 calls nothing foreground
    view = traitlets.Enum(("verdicts", "score", "picture"), "verdicts").tag(sync=True)
    offers = traitlets.Int(0).tag(sync=True)        # held-out digits that the kernel may fetch

    def __init__(self, scenes: Sequence[Mapping[str, Any]] | None = None, *, scene: int = 0, threshold: float = 0.5,
                 view: str = "verdicts") -> None:
        own = scenes is None
        scenes = [*map(digit_scene, _DIGITS), targets_scene(_TARGETS)] if own else list(scenes)
        if not scenes:
            raise ValueError('ThresholdExplorer: expected at least one scene, got none; pass {"score": ..., "mask": ...}')
        parts = [_scene(one, i) for i, one in enumerate(scenes)]
        if isinstance(scene, bool) or not isinstance(scene, int) or not 0 <= scene < len(parts):
            raise ValueError(f"ThresholdExplorer: expected scene from 0 to {len(parts) - 1}, got {scene!r}; scenes count from 0")
        if not 0 <= threshold <= 1:
            raise ValueError(f"ThresholdExplorer: expected a threshold from 0 to 1, got {threshold!r}; scores are probabilities")
        if view not in ("verdicts", "score", "picture"):
            raise ValueError(f"ThresholdExplorer: expected view to be one of verdicts, score, picture, got {view!r}; "
                             "spell it in lower case")
        super().__init__(data=b"".join(raw for _, raw in parts), scenes=[about for about, _ in parts], scene=scene,
                         level=int(np.floor(threshold * 255 + 0.5)), view=view, offers=_OFFERED if own else 0)

    def arrays(self, index: int | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image, score (both 0 to 255) and mask (0 and 1) of a scene, by default the one that is shown: (h, w) int64 each."""
        index = self.scene if index is None else index
        start = sum(3 * s["h"] * s["w"] for s in self.scenes[:index])
        h, w = self.scenes[index]["h"], self.scenes[index]["w"]
        raw = np.frombuffer(self.data, np.uint8, 3 * h * w, start).reshape(3, h, w)
        return tuple(torch.from_numpy(part.astype(np.int64)) for part in raw)

    def scores(self) -> dict[str, float]:
        """All numbers of the present state, by the package's metrics; NaN where a score is undefined."""
        _, score, mask = self.arrays()
        said = (score >= self.level).long()                                                 # h w
        seen, spots = ConfusionMatrix(2), RegionDetection()
        seen.update(said, mask)
        spots.update(said[None], mask[None])
        return {**seen.compute("foreground"), **spots.compute(), "area_under_roc": area_under_roc(score, mask),
                "average_precision": average_precision(score, mask)}

    def handle(self, message: Any) -> None:
        """Put another held-out digit in the place of the first: ``{"type": "digit", "index": 25}``."""
        if not isinstance(message, dict) or message.get("type") != "digit":
            return
        index = message.get("index")
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < self.offers:
            return
        about, raw = _scene(digit_scene(index, self._device()), 0)
        first = 3 * self.scenes[0]["h"] * self.scenes[0]["w"]
        with self.hold_sync():
            self.scenes, self.data = [about, *self.scenes[1:]], raw + self.data[first:]
            self.scene = 0

    def summary(self) -> str:
        about = self.scenes[self.scene]
        return f"{about['name']}, {about['h']} × {about['w']}, threshold {self.level / 255:.2f}"

    def alt(self) -> str:
        return (f"Left: the picture {self.scenes[self.scene]['name']} with the pixels that a threshold of {self.level / 255:.2f} "
                "finds, misses and reports falsely in three colours. Right: the ROC curve and the precision-recall curve, "
                "with a dot at this threshold.")

    def still(self) -> bytes:
        image, score, mask = self.arrays()
        said = score >= self.level                                                          # h w
        colour = (image[..., None].expand(*image.shape, 3) / 255).numpy().copy()            # h w 3
        for name, where in (("hit", said & (mask > 0)), ("alarm", said & (mask == 0)), ("miss", ~said & (mask > 0))):
            rgb = np.array([int(_COLOURS[name][i:i + 2], 16) / 255 for i in (1, 3, 5)])
            colour[where.numpy()] = rgb if self.view == "verdicts" else colour[where.numpy()]
        fpr, tpr, at = roc_curve(score, mask)
        precision, recall, _ = pr_curve(score, mask)
        here = int((at >= self.level).sum()) - 1
        with plots.style():
            figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.4, 3.0))
            if self.view == "score":
                left.imshow(score.numpy(), cmap=plots.MAGNITUDE, vmin=0, vmax=255)
            else:
                left.imshow(colour, interpolation="nearest")
            left.set(title=f"{self.scenes[self.scene]['name']}, threshold {self.level / 255:.2f}", xticks=[], yticks=[])
            for axis, x, y, title, labels in (
                    (middle, fpr, tpr, f"ROC, area {area_under_roc(score, mask):.3f}", ("false-positive rate", "recall")),
                    (right, recall, precision, f"average precision {average_precision(score, mask):.3f}", ("recall", "precision"))):
                axis.plot(x, y, color=plots.token("network"), drawstyle="default" if axis is middle else "steps-pre")
                axis.plot(x[here], y[here], "o", color=plots.token("reader"), markersize=8)
                axis.set(title=title, xlabel=labels[0], ylabel=labels[1], xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        small = io.BytesIO()
        Image.open(stream).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()
