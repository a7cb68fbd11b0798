"""The confusion matrix, and everything that is counted from it: accuracy, precision, recall, F1 = Dice, IoU, and their
means.

Row: what is true. Column: what was said. A class has TP on the diagonal, FN in the rest of its row, FP in the rest of its
column. Dice and F1 are the same number, and IoU is a function of it: IoU = Dice / (2 - Dice).

A score whose denominator is 0 is undefined and reported as NaN: a class that never occurs and is never said has no IoU.
Means over classes leave such classes out. Scores of one class against the rest (``foreground``) with nothing there and
nothing said are NaN too; :func:`overlap_per_picture` has the other convention in common use, where that counts as 1.
"""

import torch

from dlnotes._check import check_choice, check_integers

from ._streaming import Metric, ratio

__all__ = ["ConfusionMatrix", "overlap_per_picture"]


class ConfusionMatrix(Metric):
    """Counts of (true class, said class), batch by batch.

    Args:
        classes: number of classes, at least 2.
        ignore_index: pixels (or samples) whose target has this number do not count.

    Raises:
        ValueError: if ``classes`` is less than 2.

    >>> seen = ConfusionMatrix(2)
    >>> seen.update(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0]))
    >>> seen.matrix.tolist(), seen.compute()["accuracy"]
    ([[1, 1], [1, 1]], 0.5)
    """

    def __init__(self, classes: int, ignore_index: int = -100):
        check_integers("ConfusionMatrix", at_least=2, classes=classes)
        self.classes, self.ignore_index = classes, ignore_index
        super().__init__(matrix=torch.zeros(classes, classes, dtype=torch.int64))

    @property
    def matrix(self) -> torch.Tensor:
        """(classes, classes) int64, rows true, columns said."""
        return self.sums["matrix"]

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Count a batch.

        Args:
            prediction: class numbers of the target's shape, or scores with one more axis, classes second:
                (b, classes) or (b, classes, h, w); with one channel, a logit of class 1 (positive means class 1).
            target: class numbers, (b) or (b, h, w), any shape.

        Raises:
            ValueError: if shapes or class numbers do not fit.
        """
        said, true = _class_numbers("ConfusionMatrix", prediction, target, self.classes)
        counts = true != self.ignore_index
        true, said = true[counts].long(), said[counts].long()
        for name, x in (("target", true), ("prediction", said)):
            if x.numel() and (x.min() < 0 or x.max() >= self.classes):
                raise ValueError(f"ConfusionMatrix: expected class numbers from 0 to {self.classes - 1} in the {name}, got "
                                 f"{int(x.min())} to {int(x.max())}; pass the number to leave out as ignore_index")
        pairs = torch.bincount(true * self.classes + said, minlength=self.classes**2)
        self._add(matrix=pairs.reshape(self.classes, self.classes))

    def per_class(self) -> dict[str, torch.Tensor]:
        """Precision, recall, f1 (= dice), iou and support (true pixels) of every class: (classes,) float64, NaN if undefined."""
        tp, true, said = self.matrix.diagonal(), self.matrix.sum(1), self.matrix.sum(0)
        f1 = ratio(2 * tp, true + said)
        return {"precision": ratio(tp, said), "recall": ratio(tp, true), "f1": f1, "dice": f1,
                "iou": ratio(tp, true + said - tp), "support": true.double()}

    def compute(self, average: str = "macro") -> dict[str, float]:
        """Accuracy, and precision, recall, f1, dice and iou averaged over classes.

        Args:
            average: ``"macro"``, the mean over the classes for which the score is defined (mIoU as papers report it);
                ``"weighted"``, by the true pixels of each class (frequency-weighted IoU); ``"micro"``, from the summed
                counts of all classes; ``"foreground"``, class 1 against class 0 of two classes.

        Raises:
            ValueError: if ``average`` is none of these, or "foreground" with more than two classes.
        """
        check_choice("ConfusionMatrix.compute", ("macro", "weighted", "micro", "foreground"), average=average)
        tp, total = self.matrix.diagonal().sum(), self.matrix.sum()
        scores = self.per_class()
        support = scores.pop("support")
        if average == "foreground" and self.classes != 2:
            raise ValueError(f"ConfusionMatrix.compute: expected two classes for average='foreground', got {self.classes}; "
                             "use 'macro', or per_class() for one of them")
        if average == "micro":                                      # every error is one FP and one FN
            accuracy = ratio(tp, total)
            means = dict.fromkeys(("precision", "recall", "f1", "dice"), accuracy) | {"iou": ratio(tp, 2 * total - tp)}
        elif average == "foreground":
            means = {name: x[1] for name, x in scores.items()}
        elif average == "weighted":
            means = {name: ratio((x.nan_to_num() * support).sum(), support[~x.isnan()].sum()) for name, x in scores.items()}
        else:
            means = {name: x.nanmean() for name, x in scores.items()}
        return {"accuracy": ratio(tp, total).item(), **{name: x.item() for name, x in means.items()}}


def overlap_per_picture(prediction: torch.Tensor, target: torch.Tensor, *, empty: float = 1.0,
                        ignore_index: int = -100) -> dict[str, torch.Tensor]:
    """Dice and IoU of each picture of a batch of binary masks.

    The mean of these over pictures (as polyp papers report it) is not the score of all pixels together
    (``ConfusionMatrix``): here a picture with a small object counts as much as one with a large object.

    Args:
        prediction: (b, h, w), boolean or 0 and 1, or logits (b, 1, h, w), positive meaning 1.
        target: (b, h, w), boolean or 0 and 1.
        empty: score of a picture without object and without prediction; ``float("nan")`` leaves it to you.
        ignore_index: pixels whose target has this number do not count.

    Returns:
        ``dice`` and ``iou``, each (b,) float64.

    Raises:
        ValueError: if shapes do not fit, or a counted pixel is neither 0 nor 1.

    >>> said, true = torch.tensor([[[1, 1], [0, 0]]]), torch.tensor([[[1, 0], [0, 0]]])
    >>> {name: round(x.item(), 4) for name, x in overlap_per_picture(said, true).items()}
    {'dice': 0.6667, 'iou': 0.5}
    """
    said, true = _class_numbers("overlap_per_picture", prediction, target, 2)
    counts = true != ignore_index
    for name, x in (("target", true), ("prediction", said)):
        if ((x != 0) & (x != 1) & counts).any():
            raise ValueError(f"overlap_per_picture: expected masks of 0 and 1, got {x[counts].unique().tolist()[:5]} in the "
                             f"{name}; compare one class (mask == k), or divide a mask of 0 and 255 by 255")
    said, true = ((x == 1) & counts for x in (said, true))
    common, both = (said & true).flatten(1).sum(1), said.flatten(1).sum(1) + true.flatten(1).sum(1)       # b
    return {"dice": ratio(2 * common, both).where(both > 0, empty), "iou": ratio(common, both - common).where(both > 0, empty)}


def _class_numbers(owner: str, prediction: torch.Tensor, target: torch.Tensor,
                   classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as class numbers of one shape, on the CPU's or GPU's own device, or one clear error."""
    for name, x in (("prediction", prediction), ("target", target)):
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"{owner}: expected the {name} to be a tensor, got {type(x).__name__}; use torch.as_tensor first")
    if target.is_floating_point():
        raise TypeError(f"{owner}: expected a target of class numbers, got {target.dtype}; convert with target.long()")
    if prediction.ndim == target.ndim + 1 and prediction.shape[:1] + prediction.shape[2:] == target.shape:
        if prediction.shape[1] == 1 and classes == 2:
            return (prediction[:, 0] > 0), target
        if prediction.shape[1] == classes:
            return prediction.argmax(dim=1), target
    elif prediction.shape == target.shape and not prediction.is_floating_point():
        return prediction, target
    raise ValueError(f"{owner}: expected class numbers of the target's shape {tuple(target.shape)}, or scores of {classes} "
                     f"classes on a second axis, got a {prediction.dtype} prediction of shape {tuple(prediction.shape)}; "
                     "threshold probabilities first, or pass logits with their class axis")
