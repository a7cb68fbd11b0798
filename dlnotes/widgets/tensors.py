"""TensorShapes: follow every element of a small tensor through a chain of operations.

The page computes everything itself: PyTorch's rules for shapes, strides and storage are written out in ``tensors.js`` and
held against PyTorch by a test. Here the same steps run on real tensors, for the picture that stands in without scripts.
"""

import ast
import io
import re
from collections.abc import Sequence
from functools import partial
from math import prod
from operator import add, floordiv, mul, sub

import einops
import torch
import traitlets
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from .. import plots, shapes
from ._base import Widget

__all__ = ["TensorShapes"]

MOST_ELEMENTS = 96
MOST_STEPS = 10
_NAMES = {1: "n", 2: "h w", 3: "b h w", 4: "b c h w", 5: "b c d h w", 6: "b c h p w q"}
_METHODS = {"view", "reshape", "permute", "transpose", "swapaxes", "flatten", "unflatten", "unsqueeze", "squeeze", "expand",
            "contiguous", "to", "t", "size", "numel"}
_ATTRIBUTES = {"T", "mT", "shape", "ndim"}
_FUNCTIONS = {"rearrange": einops.rearrange} | {name: getattr(shapes, name) for name in (
    "patchify", "unpatchify", "to_tokens", "to_map", "patch_merging", "window_partition", "window_reverse", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle")}


class TensorShapes(Widget):
    """A tensor of numbered elements and a chain of operations that the reader edits.

    Args:
        shape: of the first tensor; one to six sizes, at most 96 elements.
        names: one word per axis. By default ``"b h w"`` for three axes, ``"b c h w"`` for four.
        steps: up to ten operations as one writes them in Python (by default, for the default shape, a permute and a view
            that fails; none for other shapes): ``"permute(0, 2, 1)"``, ``"view(2, -1)"``, ``"x[:, ::2]"``,
            ``'rearrange("b h w -> b (h w)")'``, ``"patchify(2)"``, ``"patch_merging()"``, ``"window_partition(2)"``,
            ``"pixel_shuffle(2)"``, ``"channel_shuffle(2)"``. A step may fail: the page says why.
        title: above the widget.
        element: number of the element that is lit at first.

    Raises:
        ValueError, TypeError: if an argument does not fit.

    >>> TensorShapes((2, 3, 4), steps=["permute(0, 2, 1)", "reshape(2, -1)"])
    TensorShapes((2, 3, 4) -> permute(0, 2, 1): (2, 4, 3) -> reshape(2, -1): (2, 12))
    """

    _name = "tensors"
    _height = 1020

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.Unicode().tag(sync=True)
    steps = traitlets.List(traitlets.Unicode()).tag(sync=True)
    element = traitlets.Int().tag(sync=True)
    shade = traitlets.Unicode("element").tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(self, shape: Sequence[int] = (2, 3, 4), names: str | None = None, steps: Sequence[str] | None = None,
                 title: str | None = None, element: int = 7) -> None:
        sizes = _sizes(shape)
        if steps is None:
            steps = ["permute(0, 2, 1)", "view(2, -1)"] if sizes == [2, 3, 4] else []
        if isinstance(steps, str) or not all(isinstance(step, str) for step in steps):
            raise TypeError(f"TensorShapes: expected steps as a list of strings, got {steps!r}; write "
                            'steps=["permute(0, 2, 1)", "view(2, -1)"]')
        if len(steps) > MOST_STEPS:
            raise ValueError(f"TensorShapes: expected at most {MOST_STEPS} steps, got {len(steps)}; use two widgets")
        if not isinstance(element, int) or not 0 <= element < max(prod(sizes), 8):
            raise ValueError(f"TensorShapes: expected element from 0 to {prod(sizes) - 1}, got {element!r}; elements are "
                             "numbered in the order of memory")
        super().__init__(shape=sizes, names=_axis_names(sizes, names), steps=list(steps), title=title or "",
                         element=min(element, prod(sizes) - 1))

    def _stages(self) -> list[tuple[str, torch.Tensor | Exception]]:
        """The chain on real tensors: one (text, tensor) per stage, the last one an exception if a step fails."""
        x = torch.arange(prod(self.shape)).reshape(self.shape)
        stages: list[tuple[str, torch.Tensor | Exception]] = [("x", x)]
        for step in self.steps:
            try:
                x = _run(x, step)
            except Exception as error:  # whatever PyTorch or einops says about the reader's step is the lesson
                return [*stages, (step, error)]
            stages.append((step, x))
        return stages

    def summary(self) -> str:
        (_, x), *rest = self._stages()
        return " -> ".join([str(tuple(x.shape)), *(
            f"{step}: {type(y).__name__ if isinstance(y, Exception) else tuple(y.shape)}" for step, y in rest)])

    def alt(self) -> str:
        return (f"A tensor of {prod(self.shape)} numbered cells after each step of a chain, with strides and the order in "
                f"memory: {self.summary()}.")

    def still(self) -> bytes:
        stages = self._stages()
        heights = [1.0 if isinstance(y, Exception) else 2.2 + (1, 1, *y.shape)[-2] for _, y in stages]
        with plots.style():
            figure, axis = plt.subplots(figsize=(7.4, 0.26 * sum(heights) + 0.2))
            try:
                top = 0.0
                for (step, y), height in zip(stages, heights):
                    _draw_stage(axis, top, step, y, prod(self.shape), self.element)
                    top += height
                axis.set(xlim=(-0.2, 33), ylim=(top, -0.6))
                axis.axis("off")
                data = io.BytesIO()
                figure.savefig(data, format="png", dpi=100)
            finally:
                plt.close(figure)
        return data.getvalue()


def _sizes(shape: Sequence[int]) -> list[int]:
    try:
        sizes = [int(size) for size in shape]
        whole = all(size == given and not isinstance(given, bool) for size, given in zip(sizes, shape))
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise TypeError(f"TensorShapes: expected shape as a sequence of whole numbers, got {shape!r}; write shape=(2, 3, 4)")
    if not 1 <= len(sizes) <= 6 or min(sizes) < 1 or prod(sizes) > MOST_ELEMENTS:
        raise ValueError(f"TensorShapes: expected one to six sizes of at least 1 and at most {MOST_ELEMENTS} elements, got "
                         f"{tuple(sizes)}; more cannot be followed by eye")
    return sizes


def _axis_names(sizes: list[int], names: str | None) -> str:
    words = (_NAMES[len(sizes)] if names is None else names).split()
    proper = all(re.fullmatch("[A-Za-z][A-Za-z0-9]*", word) for word in words)
    if len(words) != len(sizes) or len(set(words)) < len(words) or not proper:
        raise ValueError(f"TensorShapes: expected {len(sizes)} different names of letters and digits for shape "
                         f"{tuple(sizes)}, got {names!r}; for example names={_NAMES[len(sizes)]!r}")
    return " ".join(words)


def _run(x: torch.Tensor, step: str) -> torch.Tensor:
    """Apply one step. Only the operations of this widget can be called: the text is read as a tree, never executed."""
    text = re.sub(r"^x\s*=(?!=)\s*", "", step.strip())
    text = f"x{text}" if text.startswith(("[", ".")) else text
    tree = ast.parse(text, mode="eval").body

    def value(node: ast.AST):
        match node:
            case ast.Constant(v):
                return v
            case ast.Name("x"):
                return x
            case ast.Tuple(items):
                return tuple(value(item) for item in items)
            case ast.List(items):
                return [value(item) for item in items]
            case ast.Slice(lower, upper, by):
                return slice(*(None if part is None else value(part) for part in (lower, upper, by)))
            case ast.UnaryOp(ast.USub(), operand):
                return -value(operand)
            case ast.BinOp(left, op, right) if type(op) in (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv):
                by = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.FloorDiv: floordiv}[type(op)]
                return by(value(left), value(right))
            case ast.Attribute(ast.Name("torch"), "channels_last" | "contiguous_format" as name):
                return getattr(torch, name)
            case ast.Attribute(ast.Name("x"), name) if name in _ATTRIBUTES:
                return getattr(x, name)
            case ast.Name(name) if name in _ATTRIBUTES:
                return getattr(x, name)
            case ast.Subscript(target, key):
                return value(target)[value(key)]
            case ast.Call(function, args, words):
                given, named = [value(arg) for arg in args], {word.arg: value(word.value) for word in words}
                return operation(function, given and given[0] is x)(*given, **named)
        raise NameError(f"{ast.unparse(node)} is not an operation of this widget")

    def operation(node: ast.AST, has_x: bool):
        match node:
            case ast.Attribute(ast.Name("x"), name) if name in _METHODS:
                return getattr(x, name)
            case ast.Name(name) | ast.Attribute(_, name) if name in _FUNCTIONS:
                return _FUNCTIONS[name] if has_x else partial(_FUNCTIONS[name], x)
            case ast.Name(name) | ast.Attribute(ast.Name("torch"), name) if name in _METHODS:
                return partial(getattr(torch.Tensor, name), *([] if has_x else [x]))
        raise NameError(f"{ast.unparse(node)} is not an operation of this widget")

    result = value(tree)
    if not isinstance(result, torch.Tensor) or result.numel() == 0 or result.numel() > MOST_ELEMENTS:
        raise ValueError(f"{step} gives nothing that can be drawn here")
    return result


def _draw_stage(axis, top: float, step: str, y, count: int, element: int) -> None:
    """One stage of the still picture: a line of text, the blocks side by side. Blocks that find no room are counted."""
    if isinstance(y, Exception):
        axis.text(0, top, f"{step}   {type(y).__name__}: this step fails; the live widget says why",
                  color=plots.token("network"), fontsize=9, va="center")
        return
    axis.text(0, top, f"{step}   shape {tuple(y.shape)}, strides {y.stride()}, "
              f"{'contiguous' if y.is_contiguous() else 'not contiguous'}", fontsize=9, va="center",
              color=plots.token("ink"))
    rows, columns = (1, 1, *y.shape)[-2:]
    blocks, left = y.reshape(-1, rows, columns), 0.0
    for b, block in enumerate(blocks):
        if left + columns > 32:
            axis.text(left, top + 1.2, f"and {len(blocks) - b} more", fontsize=8, color=plots.token("muted"), va="center")
            break
        for i, cell in enumerate(block.flatten().tolist()):
            (r, k), level, lit = divmod(i, columns), cell / max(count - 1, 1), cell == element
            axis.add_patch(Rectangle((left + k, top + 0.7 + r), 0.94, 0.94, edgecolor=plots.token("reader"),
                                     linewidth=2 if lit else 0,
                                     facecolor=plots.token("paper") if lit else colormaps[plots.MAGNITUDE](level)))
            axis.text(left + k + 0.47, top + 1.17 + r, str(cell), ha="center", va="center", fontsize=7,
                      color=plots.token("reader") if lit else "black" if level > 0.45 else "white")
        left += columns + 0.8
