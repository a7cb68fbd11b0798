"""Figures in the course's look. The idea of a chapter stays in its cells; only drawing lives here.

Colours come from the same file of design tokens as the pages and the widgets (``widgets/tokens.css``).
"""

import re
from collections.abc import Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap

__all__ = ["DIVERGING", "MAGNITUDE", "curves", "heatmap", "images", "style", "token"]

MAGNITUDE = "viridis"
"""Colour map for magnitudes."""

DIVERGING = LinearSegmentedColormap.from_list("dlnotes_diverging", ["#0b4f9e", "#7fb2ea", "#ffffff", "#f2ad6b", "#8f4300"])
"""Colour map for signed values, to be centred on zero."""


@cache
def _tokens() -> dict[str, str]:
    css = (Path(__file__).parent / "widgets" / "tokens.css").read_text(encoding="utf-8")
    light = css.split("}")[0]
    return dict(re.findall(r"--dln-([\w-]+):\s*(#[0-9a-f]{6})", light))


def token(name: str) -> str:
    """A colour of the course by its role: ``"reader"``, ``"network"``, ``"ink"``, ``"muted"``, ``"line"``, ``"paper"``.

    Raises:
        ValueError: if there is no such role.
    """
    if name not in _tokens():
        raise ValueError(f"token: expected one of {', '.join(_tokens())}, got {name!r}")
    return _tokens()[name]


@contextmanager
def style():
    """Apply the course's look to the figures made inside the ``with`` block."""
    with mpl.rc_context({
        "figure.facecolor": token("paper"), "axes.facecolor": token("paper"), "savefig.facecolor": token("paper"),
        "text.color": token("ink"), "axes.labelcolor": token("ink"), "axes.edgecolor": token("muted"),
        "xtick.color": token("muted"), "ytick.color": token("muted"), "axes.titlecolor": token("ink"),
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11, "axes.labelsize": 10,
        "font.size": 10, "figure.dpi": 100, "figure.constrained_layout.use": True, "legend.frameon": False,
        "axes.prop_cycle": mpl.cycler(color=[token("reader"), token("network"), token("muted"), "#6a51a3"],
                                      linestyle=["-", "--", "-.", ":"]),
    }):
        yield


def _array(x) -> np.ndarray:
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def images(pictures: Sequence, titles: Sequence[str] = (), *, signed: bool = False, shared: bool = False, bar: bool = False,
           width: float = 8.0, height: float = 2.6) -> None:
    """Show pictures side by side.

    Args:
        pictures: each (h, w) or (h, w, 3), tensor or array. Two-axis pictures use viridis, or, when ``signed``, the
            diverging map centred on zero. Grey photographs look right as (h, w, 3).
        titles: one per picture.
        signed: values have a sign.
        shared: one colour scale for all.
        bar: draw a colour bar beside each.
        width, height: of the whole figure, in inches.

    Raises:
        ValueError: if a picture has another number of axes.
    """
    arrays = [_array(p) for p in pictures]
    for array in arrays:
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
            raise ValueError(f"images: expected pictures of shape (h, w) or (h, w, 3), got {array.shape}")
    maps = [a for a in arrays if a.ndim == 2]
    top = max((np.abs(a).max() for a in maps), default=1.0) if shared else None
    low = min((a.min() for a in maps), default=0.0) if shared else None
    with style():
        figure, axes = plt.subplots(1, len(arrays), figsize=(width, height), squeeze=False)
        for axis, array, title in zip(axes[0], arrays, [*titles, *[""] * len(arrays)]):
            limit = top if shared else np.abs(array).max()
            kind = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit} if signed else {
                "cmap": MAGNITUDE, "vmin": low, "vmax": top}
            drawn = axis.imshow(array, **(kind if array.ndim == 2 else {}))
            axis.set(title=title, xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if bar and array.ndim == 2:
                figure.colorbar(drawn, ax=axis, shrink=0.8)
    plt.show()


def heatmap(matrix, *, x: str, y: str, title: str = "", label: str = "", signed: bool = False, numbers: bool = False,
            size: float = 3.4) -> None:
    """Show one matrix (rows, columns) with labelled axes and a colour bar.

    Args:
        matrix: (rows, columns), tensor or array.
        x, y: axis labels. title: above. label: of the colour bar, with its unit.
        signed: use the diverging map centred on zero.
        numbers: print each value in its cell (small matrices).
        size: height of the figure in inches.

    Raises:
        ValueError: if ``matrix`` has not two axes.
    """
    array = _array(matrix)
    if array.ndim != 2:
        raise ValueError(f"heatmap: expected a matrix (rows, columns), got shape {array.shape}")
    limit = np.abs(array).max()
    with style():
        figure, axis = plt.subplots(figsize=(size * 1.35, size))
        drawn = axis.imshow(array, cmap=DIVERGING if signed else MAGNITUDE, vmin=-limit if signed else None,
                            vmax=limit if signed else None)
        axis.set(xlabel=x, ylabel=y, title=title)
        figure.colorbar(drawn, ax=axis, label=label)
        if numbers:
            dark = array.min() + 0.55 * (array.max() - array.min())
            for (i, j), value in np.ndenumerate(array):
                axis.text(j, i, f"{value:g}", ha="center", va="center", fontsize=8,
                          color="black" if signed or value > dark else "white")
    plt.show()


def curves(x, series: dict[str, Sequence], *, xlabel: str, ylabel: str, title: str = "", log: str = "",
           width: float = 6.0, height: float = 3.0) -> None:
    """Plot named curves over one axis.

    Args:
        x: (n,) positions. series: name -> (n,) values.
        xlabel, ylabel: with units. log: ``"x"``, ``"y"``, ``"xy"`` or ``""``.

    Raises:
        ValueError: if a curve has another length than ``x``.
    """
    positions = _array(x)
    with style():
        _, axis = plt.subplots(figsize=(width, height))
        for name, values in series.items():
            if len(values) != len(positions):
                raise ValueError(f"curves: expected {len(positions)} values in {name!r}, got {len(values)}")
            axis.plot(positions, _array(values), label=name, marker="o" if len(positions) < 20 else None, markersize=4)
        axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
        if "x" in log:
            axis.set_xscale("log", base=2)
        if "y" in log:
            axis.set_yscale("log")
        axis.legend()
    plt.show()
