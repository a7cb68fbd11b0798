"""One layer of shifted-window attention on a small map: who stands where, who may attend to whom, and which bias a pair gets.

The page computes everything from four numbers (``windows.js``): the partition into windows, the cyclic shift, the regions, the
mask and the relative position index of :mod:`dlnotes.attention.window`. As there, an axis that holds one window only is not
shifted. Source: Liu et al., "Swin Transformer", ICCV 2021, section 3.2, figure 4.
"""

import io
from typing import Any

import matplotlib.pyplot as plt
import torch
import traitlets
from einops import rearrange
from PIL import Image

from .. import plots
from ..attention.window import relative_position_index, shifted_regions, shifted_window_mask
from ._base import Widget

__all__ = ["WindowAttention"]

_STEPS = ("cut", "roll", "regions", "mask", "bias", "back")
_WINDOWS, _MOST = (2, 3, 4), 12


class WindowAttention(Widget):
    """Walk through one layer of windowed attention, with or without a shift, and ask each token what it may see.

    Args:
        size: (height, width) of the map in tokens, divisible by ``window``, at most 12.
        window: side of a window: 2, 3 or 4.
        shift: tokens by which the map is rolled up and left, from 0 to ``window - 1``. Half a window when None.
        query: (row, column) of the token that asks, in the map before the roll.
        step: ``"cut"``, ``"roll"``, ``"regions"``, ``"mask"``, ``"bias"`` or ``"back"``.

    Raises:
        ValueError: for sizes, a query or a step outside of these.
    """

    _name = "windows"
    _height = 900

    size = traitlets.List([8, 8]).tag(sync=True)
    window = traitlets.Int(4).tag(sync=True)
    shift = traitlets.Int(2).tag(sync=True)
    query = traitlets.List([0, 0]).tag(sync=True)
    key = traitlets.Int(0).tag(sync=True)               # place in the query's window, row by row
    step = traitlets.Enum(_STEPS, "mask").tag(sync=True)

    def __init__(self, size: tuple[int, int] = (8, 8), window: int = 4, shift: int | None = None,
                 query: tuple[int, int] = (0, 0), step: str = "mask") -> None:
        owner = "WindowAttention"
        if window not in _WINDOWS or isinstance(window, bool):
            raise ValueError(f"{owner}: expected window to be one of {', '.join(map(str, _WINDOWS))}, got {window!r}; larger ones "
                             "do not fit the page")
        pair = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
        if len(pair) != 2 or any(not isinstance(n, int) or n < window or n > _MOST or n % window for n in pair):
            raise ValueError(f"{owner}: expected size as (height, width), multiples of window={window} up to {_MOST}, got {size!r}; "
                             f"try {(2 * window, 2 * window)}")
        shift = window // 2 if shift is None else shift
        if not isinstance(shift, int) or isinstance(shift, bool) or not 0 <= shift < window:
            raise ValueError(f"{owner}: expected shift from 0 to {window - 1}, got {shift!r}; half a window is usual")
        if len(tuple(query)) != 2 or any(not isinstance(q, int) or not 0 <= q < n for q, n in zip(query, pair)):
            raise ValueError(f"{owner}: expected query as (row, column) inside {pair}, got {query!r}; counting starts at 0")
        if step not in _STEPS:
            raise ValueError(f"{owner}: expected step to be one of {', '.join(_STEPS)}, got {step!r}; spell it in lower case")
        super().__init__(size=list(pair), window=window, shift=shift, query=list(query), step=step)

    def _shifts(self) -> tuple[int, int]:
        rows, columns = (0 if side <= self.window else self.shift for side in self.size)
        return rows, columns

    def state(self) -> dict[str, Any]:
        """What the page says of the present query, computed by the package.

        Returns:
            ``"window"``, ``"place"`` and ``"region"`` of the query after the roll; ``"keys"``, the numbers of the tokens that it
            may attend to; ``"bias"``, the row of the table of biases for the query and the chosen key.
        """
        h, w = self.size
        m, shifts = self.window, self._shifts()
        number = torch.arange(h * w).reshape(h, w).roll((-shifts[0], -shifts[1]), (0, 1))               # h w
        tokens = rearrange(number, "(nh i) (nw j) -> (nh nw) (i j)", i=m, j=m)                          # windows n
        window, place = (tokens == self.query[0] * w + self.query[1]).nonzero()[0].tolist()
        allowed = shifted_window_mask(h, w, m, shifts)[window, place]                                   # n
        regions = rearrange(shifted_regions(h, w, m, shifts), "(nh i) (nw j) -> (nh nw) (i j)", i=m, j=m)
        return {"window": window, "place": place, "region": int(regions[window, place]),
                "keys": sorted(tokens[window][allowed].tolist()), "bias": int(relative_position_index(m)[place, self.key])}

    def summary(self) -> str:
        h, w = self.size
        return f"map {h} × {w}, windows of {self.window} × {self.window}, shift {self.shift}"

    def alt(self) -> str:
        h, w = self.size
        found = self.state()
        return (f"A map of {h} × {w} numbered tokens after a cyclic shift by {self.shift}, cut into windows of {self.window} × "
                f"{self.window}. Token {self.query[0] * w + self.query[1]} is outlined in window {found['window']}; "
                f"{len(found['keys'])} of the {self.window**2} tokens there are marked as allowed, the others are crossed out.")

    def still(self) -> bytes:
        h, w = self.size
        m, shifts, found = self.window, self._shifts(), self.state()
        number = torch.arange(h * w).reshape(h, w).roll((-shifts[0], -shifts[1]), (0, 1))               # h w
        mask = shifted_window_mask(h, w, m, shifts)[found["window"]]                                    # n n
        top, left = (m * at for at in divmod(found["window"], w // m))
        with plots.style():
            figure, (first, second) = plt.subplots(1, 2, figsize=(6.6, 3.4))
            for y in range(h):
                for x in range(w):
                    token = int(number[y, x])
                    inside = top <= y < top + m and left <= x < left + m
                    fill = plots.token("network") if inside and token in found["keys"] else plots.token("paper")
                    first.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=plots.token("line"), lw=0.6))
                    if inside and token not in found["keys"]:
                        first.plot([x + 0.2, x + 0.8], [y + 0.2, y + 0.8], color=plots.token("muted"), lw=0.8, ls="-")
                    first.text(x + 0.5, y + 0.5, str(token), ha="center", va="center", fontsize=8,
                               color="white" if inside and token in found["keys"] else plots.token("ink"))
                    if token == self.query[0] * w + self.query[1]:
                        first.add_patch(plt.Rectangle((x, y), 1, 1, fill=False, edgecolor=plots.token("reader"), lw=3, zorder=5))
            for k in range(0, h + 1, m):
                first.plot([0, w], [k, k], color=plots.token("ink"), lw=1.6, ls="-")
            for k in range(0, w + 1, m):
                first.plot([k, k], [0, h], color=plots.token("ink"), lw=1.6, ls="-")
            first.set(title="after the shift: query and keys", xlim=(-0.1, w + 0.1), ylim=(h + 0.1, -0.1), xticks=[], yticks=[],
                      aspect="equal")
            first.spines[:].set_visible(False)
            second.imshow(mask.float().numpy(), cmap=plt.get_cmap(plots.MAGNITUDE, 2), vmin=0, vmax=1)
            second.set(title=f"mask of window {found['window']}", xlabel="key", ylabel="query")
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        small = io.BytesIO()
        Image.open(stream).convert("RGB").quantize(48, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
        return small.getvalue()
