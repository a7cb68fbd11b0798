"""Pictures of unequal size in one batch: pad below and right to the largest, and say which pixels are real.

PyTorch's own collating stacks tensors and stops at the first pair that differs. Padding costs computation on nothing, and
normalization and pooling see it, so keep the sizes in a batch alike; the masks never mistake padding for background.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["pad_collate", "unpad"]


def pad_collate(items: Sequence[dict], *, multiple: int = 1, fill: float = 0.0, ignore_index: int = -100) -> dict:
    """Samples of any size as one batch; for ``DataLoader(collate_fn=pad_collate)``, or with ``functools.partial``.

    Args:
        items: dicts with the same keys. Pictures (c, h, w) are padded with ``fill``, masks (h, w) with ``ignore_index``,
            other tensors and numbers are stacked, anything else becomes a list.
        multiple: height and width of the batch are multiples of it (16 for a U-Net of four levels).
        fill: value of the padding of pictures.
        ignore_index: number that losses and metrics leave out.

    Returns:
        The batch: ``"image"`` (b, c, H, W), ``"mask"`` (b, H, W), ...; and ``"valid"`` (b, H, W), True on real pixels,
        ``"size"`` (b, 2), height and width before padding.

    Raises:
        ValueError: if there are no items, their keys or channels differ, or picture and mask differ in size.

    >>> batch = pad_collate([{"image": torch.ones(3, 4, 6)}, {"image": torch.ones(3, 5, 2)}], multiple=4)
    >>> tuple(batch["image"].shape), batch["size"].tolist(), batch["valid"].sum(dim=(1, 2)).tolist()
    ((2, 3, 8, 8), [[4, 6], [5, 2]], [24, 10])
    """
    if not items:
        raise ValueError("pad_collate: expected at least one sample, got none; is the loader's batch empty?")
    keys = list(items[0])
    if any(set(item) != set(keys) for item in items) or "image" not in keys:
        raise ValueError(f"pad_collate: expected samples with the same keys, 'image' among them, got "
                         f"{sorted({tuple(item) for item in items})}; give every sample the same keys")
    if not isinstance(multiple, int) or isinstance(multiple, bool) or multiple < 1:
        raise ValueError(f"pad_collate: expected multiple to be an integer of at least 1, got {multiple!r}; 1 pads no "
                         "further than needed")
    sizes = [tuple(item["image"].shape[-2:]) for item in items]
    tall, wide = (-(-max(side) // multiple) * multiple for side in zip(*sizes))
    batch = {}
    for key in keys:
        values = [item[key] for item in items]
        if isinstance(values[0], Tensor) and key in ("image", "target", "mask"):
            batch[key] = _stack_padded(key, values, sizes, (tall, wide), ignore_index if key == "mask" else fill)
        elif isinstance(values[0], Tensor):
            batch[key] = torch.stack(values)
        elif isinstance(values[0], (bool, int, float)):
            batch[key] = torch.tensor(values)
        else:
            batch[key] = values
    size = torch.tensor(sizes)                                                              # b 2
    rows = torch.arange(tall)[None, :, None] < size[:, 0, None, None]                       # b H 1
    columns = torch.arange(wide)[None, None, :] < size[:, 1, None, None]                    # b 1 W
    return {**batch, "valid": rows & columns, "size": size}


def _stack_padded(key: str, values: list[Tensor], sizes: list[tuple[int, int]], room: tuple[int, int],
                  fill: float) -> Tensor:
    """Tensors (..., h, w) laid into the upper left corner of (b, ..., H, W)."""
    if len({(x.shape[:-2], x.dtype) for x in values}) != 1:
        raise ValueError(f"pad_collate: expected every {key!r} with the same channels and dtype, got "
                         f"{sorted({f'{tuple(x.shape)} {x.dtype}' for x in values})}; read with channels=3, or 1")
    batch = values[0].new_full((len(values), *values[0].shape[:-2], *room), fill)           # b ... H W
    for place, x, (height, width) in zip(batch, values, sizes):
        if tuple(x.shape[-2:]) != (height, width):
            raise ValueError(f"pad_collate: expected {key!r} of the size of its picture, {height} × {width}, got "
                             f"{tuple(x.shape[-2:])}; check_dataset lists such pairs")
        place[..., :height, :width] = x
    return batch


def unpad(batch: Tensor, size: Tensor) -> list[Tensor]:
    """The parts of a padded batch (or of what a network made of it) that are real.

    Args:
        batch: (b, ..., H, W).
        size: (b, 2), as :func:`pad_collate` gave it.

    Returns:
        b tensors (..., h, w), views.

    Raises:
        ValueError: if the sizes do not belong to this batch.
    """
    if len(batch) != len(size) or (size > torch.tensor(batch.shape[-2:])).any():
        raise ValueError(f"unpad: expected the sizes of this batch of shape {tuple(batch.shape)}, got {size.tolist()}; pass "
                         "batch['size'], and a prediction of the size of the input")
    return [x[..., :height, :width] for x, (height, width) in zip(batch, size.tolist())]
