"""The small trained networks that ship with the course, by name: ``load_pretrained("unet_digits")`` reads digits at once.

Each is a file of tensors, ``dlnotes/weights/NAME.safetensors``, and a card beside it, ``NAME.json``, which says what network
it is, the command that made it, its data, and its scores on held-out data. What is loaded is built from the card: nothing is
written twice. ``tools/train_weights.py`` makes them; ``vit_digits`` is made by ``tools/train_digits_vit.py``.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dlnotes._check import check_choice

from . import create

__all__ = ["list_pretrained", "load_pretrained", "model_card"]

_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
_REMEDY = "train it again with tools/train_weights.py, or reinstall dlnotes"


def list_pretrained() -> list[str]:
    """Names that :func:`load_pretrained` knows, in alphabetical order.

    >>> "unet_digits" in list_pretrained()
    True
    """
    return sorted(path.stem for path in _WEIGHTS.glob("*.json"))


def model_card(name: str) -> dict[str, Any]:
    """What there is to know about a shipped network.

    Args:
        name: one of :func:`list_pretrained`.

    Returns:
        Among others ``"model"`` and ``"config"`` (as for :func:`~dlnotes.models.create`), ``"command"``, ``"seed"``,
        ``"data"``, ``"parameters"`` and ``"scores"``, by name, on ``"held_out_pictures"`` pictures that training never saw.

    Raises:
        ValueError: if there is no network of that name, or its card is damaged.

    >>> model_card("cnn_digits_8x8")["scores"]["accuracy"] >= 0.985
    True
    """
    check_choice("model_card", list_pretrained(), name=name)
    path = _WEIGHTS / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"model_card: expected JSON in {path}, got a damaged file ({error}); {_REMEDY}") from error


def load_pretrained(name: str) -> nn.Module:
    """A shipped network with its trained weights, in evaluation mode on the CPU.

    Args:
        name: one of :func:`list_pretrained`.

    Returns:
        The network; its card says what it reads: mostly pictures as floats in [0, 1].

    Raises:
        ValueError: if there is no network of that name, or its file is damaged or holds other tensors.
        FileNotFoundError: if the file of the weights is missing.

    >>> from dlnotes.digits import DigitsOnTextures
    >>> images, labels, masks = DigitsOnTextures("held-out").batch(range(4))
    >>> load_pretrained("unet_digits")(images).shape                # ground, and the digits 0 to 9
    torch.Size([4, 11, 64, 64])
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_choice("load_pretrained", list_pretrained(), name=name)
    card, path = model_card(name), _WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"load_pretrained: expected the weights at {path}, found no file; {_REMEDY}")
    with torch.device("cpu"):
        model = create(card["model"], **card.get("config", {}))
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"load_pretrained: expected the weights of {name} in {path}, got a damaged or different file "
                         f"({reason}); {_REMEDY}") from error
    return model.eval()
