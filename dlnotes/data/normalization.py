"""Normalized pictures for the network, and back again for the eye.

A network that was trained on normalized pictures expects them; a person, a plot and a saved PNG expect [0, 1]. Whoever
normalizes keeps the way back beside it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Normalize", "denormalize", "normalize"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's training pictures by channel (red, green, blue), pixels in [0, 1]."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of the same."""


def normalize(image: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """(image - mean) / std by channel. Undo it with :func:`denormalize`.

    Args:
        image: (c, h, w) or (b, c, h, w), floating point, in [0, 1]; or uint8, which is divided by 255 first.
        mean: one number per channel.
        std: one number per channel, above 0.

    >>> normalize(torch.full((1, 2, 2), 0.75), mean=[0.5], std=[0.25])[0, 0, 0]
    tensor(1.)
    """
    mean, std = _statistics("normalize", image, mean, std)
    image = image.float() / 255 if image.dtype == torch.uint8 else image
    return (image - mean) / std


def denormalize(image: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """image * std + mean by channel: back to pixels in [0, 1], to look at what the network saw. Arguments as above."""
    mean, std = _statistics("denormalize", image, mean, std)
    return image * std + mean


class Normalize:
    """:func:`normalize` as a transform of samples: ``transform=Normalize()``; after others, in ``v2.Compose([...])``.

    Args:
        mean: one number per channel.
        std: one number per channel, above 0.
    """

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD):
        self.mean, self.std = tuple(mean), tuple(std)

    def __call__(self, item: dict) -> dict:
        """The sample with ``"image"`` normalized."""
        return {**item, "image": normalize(item["image"], self.mean, self.std)}

    def undo(self, image: Tensor) -> Tensor:
        """Back to pixels in [0, 1]: (c, h, w) or (b, c, h, w)."""
        return denormalize(image, self.mean, self.std)


def _statistics(owner: str, image: Tensor, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation as (c, 1, 1) tensors beside the picture."""
    if not isinstance(image, Tensor) or image.ndim not in (3, 4):
        raise ValueError(f"{owner}: expected a tensor (c, h, w) or (b, c, h, w), got "
                         f"{tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__}; use read_picture")
    c = image.shape[-3]
    if len(mean) != c or len(std) != c:
        raise ValueError(f"{owner}: expected mean and std with c={c} numbers, got {len(mean)} and {len(std)}; "
                         "pass the statistics of your own channels")
    if min(std) <= 0:
        raise ValueError(f"{owner}: expected std above 0, got {tuple(std)}; a constant channel carries nothing, drop it")
    kind = {"dtype": image.dtype if image.is_floating_point() else torch.float32, "device": image.device}
    return torch.tensor(mean, **kind)[:, None, None], torch.tensor(std, **kind)[:, None, None]      # c 1 1
