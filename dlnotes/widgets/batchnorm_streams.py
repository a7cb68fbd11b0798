"""What arrives in front of a BatchNorm: three channels and a grid of pixels of it, for :class:`BatchNormStatistics`.

Any network gives them; those of the shipped digit network come by name.
"""

import math
from functools import cache

import torch
from torch import nn

from ..norm import BatchNorm2d

__all__ = ["STREAMS", "layer_inputs", "norm_layers", "order", "stream"]

STREAMS = ("training", "held-out", "dimmed")
"""The bundled activations: of pictures that the network was trained on, of others, and of the same others at half brightness."""

LAYER = "stages.1.norm"
_CHANNELS = (4, 24, 19)         # of the 32 of that layer: three with different means
_BYTES = 40_000                 # of 16 bits each, so that a page stays small
_AT_ONCE = 64                   # pictures in a pass


def norm_layers(model: nn.Module) -> list[str]:
    """Names of the BatchNorm layers for maps, torch's and :class:`dlnotes.norm.BatchNorm2d`, in the model's order.

    >>> norm_layers(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
    ['1']
    """
    return [name for name, module in model.named_modules() if isinstance(module, (nn.BatchNorm2d, BatchNorm2d))]


def layer_inputs(model: nn.Module, layer: str, *inputs: torch.Tensor, channels: tuple[int, ...] | None = None) -> list[torch.Tensor]:
    """What arrives in front of a layer when the network reads ``inputs``, thinned out to what a page can carry.

    The network runs in evaluation mode, without gradients, on the device and in the dtype of its parameters, and is left as it was.

    Args:
        model: any network.
        layer: one of :func:`norm_layers`.
        inputs: one or more tensors that the network takes as its only argument, (n, ...) each.
        channels: which ones to keep. The one with the lowest mean over the first of the inputs, the middle and the highest when None.

    Returns:
        (n, 3 or fewer, h', w') for each of the inputs, on the CPU, float32: every s-th pixel, with the smallest s that keeps all in
        20,000 values.

    Raises:
        TypeError: if an input is no tensor, or empty.
        ValueError: if there is no such layer, it is not reached, or no map arrives at it.

    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8))
    >>> [maps.shape for maps in layer_inputs(net, "1", torch.rand(5, 1, 12, 12))]
    [torch.Size([5, 3, 10, 10])]
    """
    known = norm_layers(model)
    if layer not in known:
        raise ValueError(f"layer_inputs: expected layer to be one of {', '.join(known) or 'none'}, the BatchNorm2d layers of "
                         f"{type(model).__name__}, got {layer!r}")
    for x in inputs:
        if not isinstance(x, torch.Tensor) or x.ndim == 0 or len(x) == 0:
            raise TypeError(f"layer_inputs: expected inputs as tensors (n, ...), got "
                            f"{tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__}; stack the pictures into a batch")
    like = next(model.parameters())
    arrived: list[torch.Tensor] = []
    hook = model.get_submodule(layer).register_forward_pre_hook(lambda _, args: arrived.append(args[0].detach().float().cpu()))
    modes = {module: module.training for module in model.modules()}
    model.eval()
    maps = []
    try:
        with torch.no_grad():
            for x in inputs:
                for part in x.split(_AT_ONCE):
                    model(part.to(like.device, like.dtype))
                maps.append(torch.cat(arrived) if arrived else None)                        # n c h w
                arrived.clear()
    finally:
        hook.remove()
        for module, mode in modes.items():
            module.training = mode
    for x, y in zip(inputs, maps):
        if y is None or y.ndim != 4 or len(y) != len(x):
            raise ValueError(f"layer_inputs: expected {layer!r} to see a map (c, h, w) of each input once, got "
                             f"{'nothing' if y is None else tuple(y.shape)} for {len(x)} inputs; choose another layer")
    if channels is None:
        ranked = maps[0].mean((0, 2, 3)).argsort().tolist()
        channels = tuple(dict.fromkeys(ranked[i] for i in (0, len(ranked) // 2, -1)))
    stride = 1
    while 2 * sum(len(y) * len(channels) * math.prod(math.ceil(side / stride) for side in y.shape[2:]) for y in maps) > _BYTES:
        if stride > max(max(y.shape[2:]) for y in maps):
            raise ValueError(f"layer_inputs: expected at most {_BYTES // 2:,} values of one pixel each, got "
                             f"{sum(map(len, maps)):,} pictures; take fewer")
        stride += 1
    return [y[:, list(channels), min(stride // 2, y.shape[2] - 1)::stride, min(stride // 2, y.shape[3] - 1)::stride] for y in maps]


@cache
def _activations(layer: str) -> dict[str, torch.Tensor]:
    from ..digits import DigitsOnTextures
    from ..models.pretrained import load_pretrained

    training, _, _ = DigitsOnTextures("train", size=192, seed=5).batch(range(192))          # 192 1 64 64
    held_out, _, _ = DigitsOnTextures("held-out", size=64, seed=5).batch(range(64))         # 64 1 64 64
    maps = layer_inputs(load_pretrained("cnn_digits"), layer, training, held_out, held_out / 2,
                        channels=_CHANNELS if layer == LAYER else None)
    return {name: (x * 2**11).round().clamp(-2**15, 2**15 - 1) / 2**11 for name, x in zip(STREAMS, maps)}


def stream(name: str = "training", layer: str = LAYER) -> torch.Tensor:
    """The widget's own activations: three channels in front of a BatchNorm of the shipped ``cnn_digits``, by default its second.

    Args:
        name: one of ``STREAMS``.
        layer: ``"stages.0.norm"`` to ``"stages.3.norm"``.

    Returns:
        (192, 3, h, w) for ``"training"``, (64, 3, h, w) for the others; h and w are 4 in front of the second BatchNorm.

    Raises:
        ValueError: if there is no such stream or layer.

    >>> stream("held-out").shape
    torch.Size([64, 3, 4, 4])
    """
    if name not in STREAMS:
        raise ValueError(f"stream: expected one of {', '.join(STREAMS)}, got {name!r}")
    return _activations(layer)[name].clone()


def order(pictures: int, count: int = 3840) -> torch.Tensor:
    """Which picture comes when: one shuffled pass after the other, the same in every run.

    Args:
        pictures: how many there are.
        count: length of the result; 60 batches of 64 by default.

    Returns:
        (count,) indices.

    >>> order(192).shape
    torch.Size([3840])
    """
    g = torch.Generator().manual_seed(0)
    passes = [torch.randperm(pictures, generator=g) for _ in range(math.ceil(count / pictures))]
    return torch.cat(passes)[:count]
