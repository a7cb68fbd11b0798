"""All models by name: ``create("vit_b_16", num_classes=10)``. A model's file is imported when it is first asked for."""

from difflib import get_close_matches
from importlib import import_module

import torch
from torch import nn

from dlnotes._check import check_integers

__all__ = ["create", "example_input", "list_models"]

# module of this package -> its models; the module has a function of each name
_MODELS = {
    "lenet": "lenet5", "cnn": "simple_cnn", "mobilenet": "mobilenet_v2", "shufflenet": "shufflenet_v2_x1_0",
    "efficientnet": "efficientnet_b0 efficientnet_v2_s", "hybridsn": "hybridsn",
    "unet": "unet", "unet_2015": "unet_2015", "unet_transformer": "unet_transformer", "unet_stitched": "unet_stitched",
    "resnet": "resnet18 resnet34 resnet50 resnet101 resnet152", "resnext": "resnext50_32x4d resnext101_32x8d",
    "resnest": "resnest50 resnest101", "se_resnet": "se_resnet50", "sknet": "sknet50", "cbam_resnet": "cbam_resnet50",
    "eca_resnet": "eca_resnet50", "convnext": "convnext_tiny convnext_small convnext_base",
    "vit": "vit_b_16 vit_b_32 vit_l_16 deit_tiny deit_small vit_digits", "swin": "swin_t swin_s swin_b",
    "transformer": "transformer",
    "restormer": "restormer", "safmn": "safmn", "camixersr": "camixersr", "hcanet": "hcanet", "oknet": "oknet",
    "dea_net": "dea_net", "acm_unet": "acm_unet", "dnanet": "dnanet", "danet": "danet_head",
}
_HOME = {name: module for module, names in _MODELS.items() for name in names.split()}
# what the canonical version reads, without the batch axis, where that is not a picture (3, 224, 224)
_INPUT = {
    "lenet5": (1, 32, 32), "simple_cnn": (3, 32, 32), "hybridsn": (1, 30, 25, 25), "vit_digits": (1, 64, 64),
    "unet": (3, 512, 512), "unet_2015": (1, 572, 572), "unet_transformer": (3, 384, 384), "unet_stitched": (3, 256, 256),
    "restormer": (3, 256, 256), "safmn": (3, 180, 320), "camixersr": (3, 64, 64), "hcanet": (31, 64, 64),
    "oknet": (3, 256, 256), "dea_net": (3, 256, 256), "acm_unet": (3, 256, 256), "dnanet": (3, 256, 256),
    "danet_head": (2048, 96, 96),
}


def list_models() -> list[str]:
    """Names that :func:`create` knows, in alphabetical order.

    >>> "deit_tiny" in list_models()
    True
    """
    return sorted(_HOME)


def create(name: str, **config) -> nn.Module:
    """Build a model with fresh random weights.

    Args:
        name: one of :func:`list_models`.
        **config: replaces values of the canonical configuration, for example ``num_classes=10``; each model's own
            documentation lists them.

    Returns:
        The model, in training mode, on torch's default device.

    Raises:
        ValueError: if there is no such name; the message offers the nearest ones.
        TypeError: if the model has no such setting.

    >>> create("vit_digits").num_classes
    10
    """
    if name not in _HOME:
        near = get_close_matches(str(name), _HOME, n=3, cutoff=0.4)
        offer = f"did you mean {' or '.join(near)}" if near else f"the names are {', '.join(list_models())}"
        raise ValueError(f"create: expected the name of a model, got {name!r}; {offer}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)(**config)


def example_input(name: str, batch: int = 1) -> tuple[torch.Tensor, ...]:
    """Random input of the size that a canonical model is usually quoted with: ``create(name)(*example_input(name))``.

    Args:
        name: one of :func:`list_models`.
        batch: number of samples.

    Returns:
        One picture (batch, channels, height, width), or a cube (batch, 1, bands, height, width) for ``hybridsn``, or source
        and target token numbers, both (batch, 32), for ``transformer``; always a tuple of positional inputs.

    Raises:
        ValueError: if there is no such name, or ``batch`` is no positive integer.

    >>> example_input("vit_digits")[0].shape
    torch.Size([1, 1, 64, 64])
    """
    check_integers("example_input", batch=batch)
    if name not in _HOME:
        raise ValueError(f"example_input: expected the name of a model, got {name!r}; the names are {', '.join(list_models())}")
    if name == "transformer":
        return torch.randint(1, 1000, (batch, 32)), torch.randint(1, 1000, (batch, 32))
    return (torch.randn(batch, *_INPUT.get(name, (3, 224, 224))),)
