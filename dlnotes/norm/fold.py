"""Folding BatchNorm into the layer before it: in evaluation mode it is one multiply-add per channel, and so is free.

``gamma (W x + b - mean) / std + beta`` is linear in x: with ``s = gamma / std`` it is the layer with weight ``s W`` and bias
``s (b - mean) + beta``. The folded network computes the same function with one pass over memory less per pair.
Source: Jacob et al., CVPR 2018, section 3.2, equation 14; the arithmetic is older than any paper on it.
"""

import copy

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .batch_norm import BatchNorm2d

__all__ = ["fold_batchnorm", "fold_model", "foldable_pairs"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *_TRANSPOSED)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNorm2d)


def fold_batchnorm(layer: nn.Module, bn: nn.Module) -> nn.Module:
    """One layer that computes ``bn(layer(x))`` as in evaluation mode.

    Args:
        layer: a convolution (also grouped), a transposed convolution or a linear layer. It is not changed.
        bn: PyTorch's BatchNorm, or ours, with running statistics, in evaluation mode.

    Returns:
        A new layer of the same kind, with a bias.

    Raises:
        TypeError: if ``layer`` or ``bn`` is something else.
        ValueError: if ``bn`` trains, has no running statistics, or another number of channels.

    >>> conv, bn = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    >>> x = torch.randn(2, 3, 9, 9)
    >>> torch.allclose(fold_batchnorm(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    if not isinstance(layer, _LAYERS):
        raise TypeError(f"fold_batchnorm: expected a convolution or a linear layer, got {type(layer).__name__}; "
                        "BatchNorm folds into linear maps only, not through an activation")
    if not isinstance(bn, _NORMS):
        raise TypeError(f"fold_batchnorm: expected a BatchNorm, got {type(bn).__name__}; other norms depend on the input, "
                        "so they are no fixed linear map")
    if bn.running_mean is None:
        raise ValueError("fold_batchnorm: expected a BatchNorm with running statistics, got track_running_stats=False; "
                         "it normalises with the batch even in evaluation mode")
    if bn.training:
        raise ValueError("fold_batchnorm: expected a BatchNorm in evaluation mode, got one in training mode; "
                         "call model.eval() first")
    channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    if len(bn.running_mean) != channels:
        raise ValueError(f"fold_batchnorm: expected a BatchNorm of {channels} channels, got {len(bn.running_mean)}; "
                         "fold the one that reads this layer's output")
    with torch.no_grad():
        gamma = torch.ones_like(bn.running_var) if bn.weight is None else bn.weight
        beta = torch.zeros_like(bn.running_mean) if bn.bias is None else bn.bias
        bias = torch.zeros_like(bn.running_mean) if layer.bias is None else layer.bias
        scale = gamma / (bn.running_var + bn.eps).sqrt()                        # o
        folded = copy.deepcopy(layer)
        folded.weight.copy_(_scale_outputs(layer, scale))
        folded.bias = nn.Parameter(scale * (bias - bn.running_mean) + beta, requires_grad=folded.weight.requires_grad)
    return folded


def _scale_outputs(layer: nn.Module, scale: Tensor) -> Tensor:
    """The weight with every output channel times its own number."""
    if isinstance(layer, _TRANSPOSED):                                          # (g c) o/g k...: outputs come second
        weight = rearrange(layer.weight, "(g c) o ... -> g c o ...", g=layer.groups)
        scale = rearrange(scale, "(g o) -> g 1 o", g=layer.groups)
        scaled = weight * scale.reshape(*scale.shape, *[1] * (weight.ndim - 3))
        return rearrange(scaled, "g c o ... -> (g c) o ...")
    return layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))     # o c/g k...


def foldable_pairs(model: nn.Module, *inputs) -> list[tuple[str, str]]:
    """Names of layers and of the BatchNorms that read their output directly, found by watching one forward pass.

    Both must be used once in the pass, and the layer must be a plain one (no subclass, no parametrisation, no weight that
    another layer shares). Whether something else reads the layer's output too cannot be seen here; :func:`fold_model` checks
    the result.

    Args:
        model: any module; run in evaluation mode and left as it was.
        *inputs: what its ``forward`` takes.

    >>> foldable_pairs(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()), torch.randn(1, 3, 2, 2))
    [('0', '1')]
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"foldable_pairs: expected an nn.Module, got {type(model).__name__}; wrap a function in a module")
    names = {module: name for name, module in model.named_modules()}
    calls, made, pairs = {}, {}, []

    def after(module, args, out):
        calls[module] = calls.get(module, 0) + 1
        tokens = isinstance(module, nn.Linear) and out.ndim > 2                 # (b, n, d): BatchNorm1d takes n for channels
        if type(module) in _LAYERS and not tokens:
            made[id(out)] = (module, out, out._version)                         # keeping the tensor keeps its id taken
        elif type(module) in _NORMS and args:
            layer, _, version = made.get(id(args[0]), (None, None, None))
            if layer is not None and args[0]._version == version:               # not changed in place since, as by a ReLU
                pairs.append((layer, module))

    modes = {module: module.training for module in names}
    hooks = [module.register_forward_hook(after) for module in names]
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    owners = [id(p) for module in names for p in module.parameters(recurse=False)]
    return [(names[layer], names[bn]) for layer, bn in pairs
            if calls[layer] == calls[bn] == 1 and bn.running_mean is not None
            and not parametrize.is_parametrized(layer) and owners.count(id(layer.weight)) == 1]


def fold_model(model: nn.Module, *inputs, tolerance: float = 1e-3) -> nn.Module:
    """A copy of the model for evaluation, every BatchNorm that follows a linear layer folded into it.

    The copy is run on ``inputs`` and must give what the model gives. A folded BatchNorm becomes ``nn.Identity``.

    Args:
        model: any module; it is not changed.
        *inputs: an example of what its ``forward`` takes.
        tolerance: largest difference over the largest value, for any tensor that comes out. Rounding in float32 stays far
            below.

    Returns:
        The copy, in evaluation mode, with the same class and names.

    Raises:
        ValueError: if nothing can be folded, or the copy computes something else (a layer's output is also used
            unnormalised).

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> fold_model(model, torch.randn(1, 3, 8, 8))
    Sequential(
      (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """
    pairs = foldable_pairs(model, *inputs)
    if not pairs:
        raise ValueError(f"fold_model: expected a BatchNorm that directly follows a linear layer, got none in "
                         f"{type(model).__name__}; see foldable_pairs")
    model, folded = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    for layer, bn in pairs:
        _replace(folded, layer, fold_batchnorm(folded.get_submodule(layer), folded.get_submodule(bn)))
        _replace(folded, bn, nn.Identity())
    with torch.no_grad():
        for before, now in zip(_tensors(model(*inputs)), _tensors(folded(*inputs)), strict=True):
            if not before.is_floating_point():
                continue
            error = (before - now).abs().max() / before.abs().max().clamp(min=torch.finfo(before.dtype).tiny)
            if not error <= tolerance:
                raise ValueError(f"fold_model: expected the same output after folding, got a difference of {error:.1e}; "
                                 "some layer's output is also used before its BatchNorm: fold pairs with fold_batchnorm")
    return folded


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)


def _tensors(output) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if not isinstance(output, (dict, list, tuple)):
        return []
    return [x for part in (output.values() if isinstance(output, dict) else output) for x in _tensors(part)]
