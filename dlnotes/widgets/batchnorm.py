"""Batch normalisation at work: batches of real activations pass through one layer, and its two memories can be watched.

Python ships activations of a few channels as integers; the page computes every statistic (``batchnorm.js``), with the
arithmetic of ``nn.BatchNorm2d`` and :class:`dlnotes.norm.BatchNorm2d`: the batch is normalised with its biased variance, the
running average collects the unbiased one. Source: Ioffe and Szegedy, ICML 2015, with PyTorch's exponential average.
"""

import io
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from torch import nn

from .. import plots
from ._base import Widget
from .batchnorm_streams import LAYER, STREAMS, layer_inputs, norm_layers, order, stream

__all__ = ["BatchNormStatistics"]

_STEPS, _EVALUATIONS = 60, 10                       # batches that the page can go through
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_BUDGET = 200_000                                   # bytes of activations


class BatchNormStatistics(Widget):
    """Step through training batches of one BatchNorm, and watch batch statistics, running statistics and the output.

    Args:
        training: activations (n, c, h, w) that training batches are drawn from, one shuffled pass after the other.
            Three channels of the shipped digit network when None. With ``model``, what that network reads, (n, ...).
        evaluation: activations (m, c, h, w), or what the network reads, to evaluate on; ``training`` again when None.
        model: any network with BatchNorm layers; :func:`~dlnotes.widgets.batchnorm_streams.layer_inputs` says how it is run and
            which three channels and which pixels are kept. With a kernel the reader looks at its other layers, too.
        layer: which of its BatchNorm layers, by its name in ``model.named_modules()``. The first when None; the second of the
            shipped network.
        batch: pictures in a batch: 1, 2, 4, 8, 16, 32 or 64.
        momentum: weight of the new batch in the running statistics, from 0 to 1; None for the plain average.
        eps: added to the variance, above 0.
        gamma, beta: scale (0 to 3) and shift (-3 to 3), the same for all channels.
        mode: ``"train"`` or ``"eval"``.
        step: training batches that have passed, 0 to 60.
        channel: counted from 0.
        pooled: replace each map by its mean, so that a picture has one value in each channel.
        source: what evaluation reads: ``"held-out"`` or ``"dimmed"`` of the bundled pictures.

    Raises:
        TypeError: if activations are not floating-point tensors, or ``model`` is no module.
        ValueError: for other shapes, values, layers or settings.
    """

    _name = "batchnorm"
    _height = 1000

    training = traitlets.Bytes().tag(sync=True)             # int16, n × c × h × w
    evaluations = traitlets.List().tag(sync=True)           # names of the evaluation streams
    evaluation = traitlets.Bytes().tag(sync=True)           # int16, streams × m × c × h × w
    shape = traitlets.List().tag(sync=True)                 # [n, m, c, h, w]
    unit = traitlets.Float().tag(sync=True)                 # value = unit * integer
    orders = traitlets.Bytes().tag(sync=True)               # uint16, which training picture, then which evaluation picture
    own = traitlets.Bool().tag(sync=True)
    layers = traitlets.List().tag(sync=True)                # those that a kernel can show
    layer = traitlets.Unicode().tag(sync=True)              # the present one; "" for activations that were passed
    revision = traitlets.Int(0).tag(sync=True)              # counts what Python sent
    batch = traitlets.Int(4).tag(sync=True)
    momentum = traitlets.Float(0.1, allow_none=True).tag(sync=True)
    eps = traitlets.Float(1e-5).tag(sync=True)
    gamma = traitlets.Float(1.0).tag(sync=True)
    beta = traitlets.Float(0.0).tag(sync=True)
    mode = traitlets.Enum(("train", "eval"), "train").tag(sync=True)
    step = traitlets.Int(24).tag(sync=True)
    evaluated = traitlets.Int(1).tag(sync=True)             # which evaluation batch, from 1
    channel = traitlets.Int(0).tag(sync=True)
    pooled = traitlets.Bool(False).tag(sync=True)
    source = traitlets.Int(0).tag(sync=True)                # index into evaluations

    def __init__(self, training: torch.Tensor | None = None, evaluation: torch.Tensor | None = None, *,
                 model: nn.Module | None = None, layer: str | None = None, batch: int = 4,
                 momentum: float | None = 0.1, eps: float = 1e-5, gamma: float = 1.0, beta: float = 0.0,
                 mode: str = "train", step: int = 24, channel: int = 0, pooled: bool = False,
                 source: str = "held-out") -> None:
        own = training is not None
        if not own and (evaluation is not None or model is not None):
            what = "activations beside those for evaluation" if model is None else "inputs for the model"
            raise ValueError(f"BatchNormStatistics: expected training {what}, got None; pass training=... as well")
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(f"BatchNormStatistics: expected model to be a torch.nn.Module, got {type(model).__name__}")
        if own and model is None and layer is not None:
            raise ValueError(f"BatchNormStatistics: expected a model with a layer {layer!r}, got activations; pass model=... "
                             "and what it reads")
        self._model, self._inputs = model, (training, training if evaluation is None else evaluation)
        if model is not None:
            layers = norm_layers(model)
            layer = layer or next(iter(layers), "")
        else:
            layers, layer = ([], "") if own else ([f"stages.{i}.norm" for i in range(4)], layer or LAYER)
        state = self._load(layer)
        names = state["evaluations"]
        wanted = names[0] if own and source == "held-out" else source
        if wanted not in names:
            raise ValueError(f"BatchNormStatistics: expected source to be one of {', '.join(names)}, got {source!r}")
        _check_settings(batch, momentum, eps, gamma, beta, mode, step, channel, state["shape"][2])
        super().__init__(**state, own=own, layers=layers, batch=batch, momentum=momentum,
                         eps=float(eps), gamma=float(gamma), beta=float(beta), mode=mode,
                         step=max(step, 1) if mode == "train" else step, channel=channel, pooled=bool(pooled),
                         source=names.index(wanted))

    def _load(self, layer: str) -> dict[str, Any]:
        """The traits that depend on the layer."""
        if self._inputs[0] is None:
            train, sets = stream("training", layer), {name: stream(name, layer) for name in STREAMS[1:]}
        else:
            pair = self._inputs if self._model is None else layer_inputs(self._model, layer, *self._inputs)
            for name, x in zip(("training", "evaluation"), pair):
                _check_maps(name, x)
            train, sets = pair[0], {"yours": pair[1]}
        train, held = train.detach().cpu().double(), [x.detach().cpu().double() for x in sets.values()]
        if held[0].shape[1:] != train.shape[1:]:
            raise ValueError(f"BatchNormStatistics: expected both activations with one c, h and w, got "
                             f"{tuple(train.shape)} and {tuple(held[0].shape)}; take both from the same layer")
        n, c, h, w = train.shape
        held = torch.stack(held)                                                            # sets m c h w
        unit = 2.0 ** math.ceil(math.log2(max(train.abs().max(), held.abs().max(), 1e-30) / 32767))
        packed = [(x / unit).round().to(torch.int16).numpy().tobytes() for x in (train, held)]
        if sum(map(len, packed)) > _BUDGET:
            raise ValueError(f"BatchNormStatistics: expected at most {_BUDGET:,} bytes of activations, got "
                             f"{sum(map(len, packed)):,}; take fewer channels or pixels, for example x[:, :3, ::8, ::8]")
        steps = torch.cat([order(n), order(held.shape[1], _EVALUATIONS * max(_BATCHES))]).numpy().astype(np.uint16)
        return {"training": packed[0], "evaluation": packed[1], "evaluations": list(sets), "unit": unit, "layer": layer,
                "shape": [n, held.shape[1], c, h, w], "orders": steps.tobytes()}

    def handle(self, message: Any) -> None:
        """Look at another layer: ``{"type": "layer", "name": "stages.0.norm"}``."""
        if not isinstance(message, dict) or message.get("type") != "layer" or message.get("name") not in self.layers:
            return
        state = self._load(message["name"])
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
            self.channel = min(self.channel, self.shape[2] - 1)
            self.revision += 1

    def _maps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Training maps (n, c, h, w) and the chosen evaluation maps (m, c, h, w), float64, pooled where it is asked for."""
        n, m, c, h, w = self.shape
        train, held = (torch.from_numpy(np.frombuffer(raw, np.int16).astype(np.float64)) * self.unit
                       for raw in (self.training, self.evaluation))
        pair = train.reshape(n, c, h, w), held.reshape(-1, m, c, h, w)[self.source]
        return tuple(x.mean((2, 3), keepdim=True) for x in pair) if self.pooled else pair

    def run(self) -> tuple[nn.BatchNorm2d, torch.Tensor, torch.Tensor]:
        """PyTorch's own layer in the present state, with the batch that is shown, in float64.

        Returns:
            The layer, its last input (b, c, h, w), its output (b, c, h, w).

        Raises:
            ValueError: from PyTorch, in training with one value per channel.
        """
        train, held = self._maps()
        which = torch.from_numpy(np.frombuffer(self.orders, np.uint16).astype(np.int64))
        first, b = _STEPS * max(_BATCHES), self.batch
        bn = nn.BatchNorm2d(self.shape[2], eps=self.eps, momentum=self.momentum).double()
        nn.init.constant_(bn.weight, self.gamma)
        nn.init.constant_(bn.bias, self.beta)
        x = y = train[:0]
        possible = b * train.shape[2] * train.shape[3] > 1 or self.mode == "train"
        for t in range(self.step if possible else 0):
            x = train[which[b * t: b * (t + 1)]]                                            # b c h w
            y = bn(x)
        if self.mode == "eval":
            x = held[which[first + b * (self.evaluated - 1): first + b * self.evaluated]]   # b c h w
            y = bn.eval()(x)
        return bn, x, y.detach()

    def summary(self) -> str:
        n, _, c, h, w = self.shape
        what = "digits network" if not self.own else f"layer {self.layer}" if self.layer else "your activations"
        return f"{what}, {c} channels, batch of {self.batch}, momentum {self.momentum}, {self.mode} mode, step {self.step}"

    def alt(self) -> str:
        return (f"Left: histograms of channel {self.channel} before and after BatchNorm, for a batch of {self.batch}. Right: mean "
                "and variance of each training batch as scattered dots, the running statistics as slow lines between them.")

    def still(self) -> bytes:
        c, b = self.channel, self.batch
        train, _ = self._maps()
        which = order(len(train))
        bn = nn.BatchNorm2d(self.shape[2], momentum=self.momentum).double()
        batches = [train[which[b * t: b * (t + 1)]] for t in range(self.step)]
        means, variances, running = [], [], [(0.0, 1.0)]
        for x in batches if b * train[0, 0].numel() > 1 else []:
            bn(x)
            means.append(x[:, c].mean().item())
            variances.append(x[:, c].var(unbiased=False).item())
            running.append((bn.running_mean[c].item(), bn.running_var[c].item()))
        with plots.style():
            figure, axes = plt.subplots(2, 2, figsize=(6.6, 3.8))
            try:
                _, x, y = self.run()
                shown = [(x[:, c].flatten(), "before", "value of x"), (y[:, c].flatten(), "after", "value of y")]
            except ValueError:
                shown = []
            for axis, (values, title, label) in zip(axes[:, 0], shown):
                axis.hist(values.numpy(), bins=24, color=plots.token("network"))
                axis.set(title=f"Channel {c}, {title}", xlabel=label, ylabel="values")
            for axis, dots, k, title in ((axes[0, 1], means, 0, "mean"), (axes[1, 1], variances, 1, "variance")):
                axis.plot(range(1, len(dots) + 1), dots, "o", ms=3, color=plots.token("network"), label="batch")
                axis.plot([pair[k] for pair in running], color=plots.token("ink"), ls="-", label="running")
                axis.set(title=f"{title.capitalize()}", xlabel="training batches seen", ylabel=title)
            axes[0, 1].legend(fontsize=8)
            file = io.BytesIO()
            figure.savefig(file, format="png")
            plt.close(figure)
        return file.getvalue()


def _check_maps(name: str, x: Any) -> None:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        raise TypeError(f"BatchNormStatistics: expected {name} to be a floating-point tensor, got "
                        f"{x.dtype if isinstance(x, torch.Tensor) else type(x).__name__}; pass activations (n, c, h, w)")
    if x.ndim != 4 or 0 in x.shape or len(x) > 65535:
        raise ValueError(f"BatchNormStatistics: expected {name} of shape (n, c, h, w) with no empty axis, got {tuple(x.shape)}; "
                         "a batch of vectors (n, c) becomes x[:, :, None, None]")
    if not x.isfinite().all():
        raise ValueError(f"BatchNormStatistics: expected {name} with finite values, got NaN or infinity; "
                         "replace them with torch.nan_to_num")


def _check_settings(batch, momentum, eps, gamma, beta, mode, step, channel, channels) -> None:
    for name, value, known in (("batch", batch, _BATCHES), ("mode", mode, ("train", "eval"))):
        if value not in known:
            raise ValueError(f"BatchNormStatistics: expected {name} to be one of {', '.join(map(str, known))}, got {value!r}")
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"BatchNormStatistics: expected momentum in [0, 1] or None, got {momentum!r}; it weighs the new batch")
    if not 0 < eps < math.inf:
        raise ValueError(f"BatchNormStatistics: expected eps above 0, got {eps!r}; the usual value is 1e-5")
    for name, value, low, high in (("gamma", gamma, 0, 3), ("beta", beta, -3, 3), ("step", step, 0, _STEPS),
                                   ("channel", channel, 0, channels - 1)):
        if not low <= value <= high:
            raise ValueError(f"BatchNormStatistics: expected {name} from {low} to {high}, got {value!r}")
