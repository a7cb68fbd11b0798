"""What an attention over a feature map needs: bytes and multiply-adds of seven ways to attend, for sizes that you choose."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import traitlets

from .. import plots
from ..attention import attention_cost, measure_peak
from ._base import Widget, out_of_memory

__all__ = ["WAYS", "AttentionCost", "way_cost"]

WAYS = {"explicit": "all pairs, stored", "fused": "all pairs, fused kernel", "stride": "keys at stride 4",
        "window": "windows of 8 × 8", "local": "7 × 7 neighbours", "channel": "channels (MDTA)", "linear": "linear"}
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_LIMIT = 2**30  # what a live measurement may take


def way_cost(way: str, h: int, w: int, batch: int = 1, heads: int = 8, width: int = 64, size: int = 4) -> dict[str, float]:
    """Extra bytes and multiply-adds of one way to attend over a map, forward, without gradients.

    Args:
        way: a key of ``WAYS``.
        h, w: of the map, in positions; there are h · w tokens.
        batch: number of samples.
        heads: number of heads.
        width: of the tokens, all heads together.
        size: bytes of a number.

    Returns:
        ``{"bytes", "multiply_adds"}``. Bytes count what is held besides q, k, v: tables of scores and weights, or the output
        and what little comes with it where there are no tables over positions. ``"local"`` supposes a kernel that reads the
        neighbours in place; unfolding them stores 49 copies of keys and values more. Multiply-adds count both products, not
        the softmax.

    Raises:
        ValueError: for another way, or for sizes that are not positive.

    >>> way_cost("explicit", 128, 256, batch=10)["bytes"] == 2 * 320 * 2**30
    True
    """
    if way not in WAYS:
        raise ValueError(f"way_cost: expected one of {', '.join(WAYS)}, got {way!r}")
    for name, value in {"h": h, "w": w, "batch": batch, "heads": heads, "width": width, "size": size}.items():
        if value < 1:
            raise ValueError(f"way_cost: expected {name} of at least 1, got {value}")
    n, d = h * w, width / heads
    keys = {"explicit": n, "fused": n, "stride": -(-h // 4) * -(-w // 4), "window": 64, "local": 49}
    if way == "channel":
        return {"bytes": 2 * batch * heads * d * d * size + batch * n * width * size, "multiply_adds": 2 * batch * n * width * d}
    if way == "linear":
        return {"bytes": batch * heads * (d * d + d) * size + batch * n * width * size, "multiply_adds": 2 * batch * n * width * d}
    pairs = batch * heads * n * keys[way]
    if way == "window":  # the map is padded to whole windows
        pairs = batch * heads * (-(-h // 8)) * (-(-w // 8)) * 64 * 64
    extra = batch * n * width * size + 4 * batch * heads * n if way == "fused" else 2 * pairs * size
    return {"bytes": extra, "multiply_adds": 2 * pairs * d}


class AttentionCost(Widget):
    """Bytes and multiply-adds of attention over a feature map, against the number of tokens and a budget.

    Args:
        h, w: of the feature map, from 8 to 512 positions; powers of two.
        batch: from 1 to 64.
        heads: 1, 2, 4, 8 or 16.
        width: of the tokens: 64, 128, 256, 512 or 1024, all heads together.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"``.
        budget: memory of the device, in GiB.

    Raises:
        ValueError: for sizes outside of these.

    With a kernel, *Measure here* runs the stored and the fused form once, on CUDA where there is one, if the stored one
    needs at most 1 GiB.
    """

    _name = "cost"
    _height = 820

    h = traitlets.Int(128).tag(sync=True)
    w = traitlets.Int(256).tag(sync=True)
    batch = traitlets.Int(10).tag(sync=True)
    heads = traitlets.Int(8).tag(sync=True)
    width = traitlets.Int(128).tag(sync=True)
    dtype = traitlets.Enum(tuple(_BYTES), "float32").tag(sync=True)
    budget = traitlets.Int(24).tag(sync=True)
    way = traitlets.Enum(tuple(WAYS), "explicit").tag(sync=True)
    ways = traitlets.Dict(WAYS).tag(sync=True)
    measured = traitlets.Unicode("").tag(sync=True)

    def __init__(self, h: int = 128, w: int = 256, batch: int = 10, heads: int = 8, width: int = 128,
                 dtype: str = "float32", budget: int = 24) -> None:
        allowed: Mapping[str, Any] = {"h": [2**p for p in range(3, 10)], "w": [2**p for p in range(3, 10)], "batch": range(1, 65),
                                      "heads": [1, 2, 4, 8, 16], "width": [64, 128, 256, 512, 1024], "dtype": list(_BYTES),
                                      "budget": range(1, 1025)}
        given = {"h": h, "w": w, "batch": batch, "heads": heads, "width": width, "dtype": dtype, "budget": budget}
        for name, value in given.items():
            if value not in allowed[name]:
                some = allowed[name]
                words = f"{some.start} to {some.stop - 1}" if isinstance(some, range) else f"one of {', '.join(map(str, some))}"
                raise ValueError(f"AttentionCost: expected {name} {words}, got {value!r}")
        super().__init__(**given)

    def cost(self, way: str) -> dict[str, float]:
        """What :func:`way_cost` says of one way at the present sizes."""
        return way_cost(way, self.h, self.w, self.batch, self.heads, self.width, _BYTES[self.dtype])

    def handle(self, message: Any) -> None:
        """Measure the stored and the fused form: ``{"type": "measure"}``."""
        if isinstance(message, dict) and message.get("type") == "measure":
            self.measured = self._measure()

    def _measure(self) -> str:
        predicted = attention_cost(self.h * self.w, self.width // self.heads, self.heads, self.batch)
        if predicted.explicit_extra_bytes > _LIMIT:
            return (f"Not measured: the stored form would need {predicted.explicit_extra_bytes / 2**30:.1f} GiB in float32; "
                    f"choose sizes that need at most 1 GiB.")
        device = self._device()
        size = (self.batch, self.heads, self.h * self.w, self.width // self.heads)
        setup = (f"from dlnotes.attention import attention, explicit_attention\n"
                 f"q, k, v = (torch.randn{size}.to({str(device)!r}) for _ in range(3))\n"
                 f"attention(q[:, :, :64], k, v), explicit_attention(q[:, :, :64], k, v)")
        try:
            found = [measure_peak(f"{name}(q, k, v)", setup, device=device.type) / 2**20
                     for name in ("explicit_attention", "attention")]
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            return f"Not measured: {error}"
        return (f"Measured on {device.type} in float32: stored {found[0]:,.0f} MiB (predicted "
                f"{predicted.explicit_extra_bytes / 2**20:,.0f}), fused {found[1]:,.0f} MiB.")

    def summary(self) -> str:
        return f"map {self.h} × {self.w}, batch {self.batch}, {self.heads} heads, {self.dtype}"

    def alt(self) -> str:
        gib = self.cost("explicit")["bytes"] / 2**30
        return (f"Extra memory of seven ways to attend over a {self.h} × {self.w} map, on a logarithmic scale against a budget of "
                f"{self.budget} GiB. Storing all pairs takes {gib:,.3g} GiB; a fused kernel, windows, neighbours and attention "
                f"over channels take far less.")

    def still(self) -> bytes:
        with plots.style():
            figure, axes = plt.subplots(figsize=(6.4, 2.8))
            sizes = [self.cost(way)["bytes"] / 2**20 for way in WAYS]
            bars = axes.barh(list(WAYS.values()), sizes, color=plots.token("network"))
            axes.bar_label(bars, [f"{size:,.3g} MiB" for size in sizes], padding=3, fontsize=8)
            axes.axvline(self.budget * 1024, color=plots.token("reader"))
            axes.set(xscale="log", xlabel="extra memory, MiB", title=f"Attention over {self.h} × {self.w} positions, "
                     f"batch {self.batch}, {self.heads} heads", xlim=(min(sizes) / 4, max(*sizes, self.budget * 1024) * 60))
            axes.invert_yaxis()
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()
