"""Other people's libraries, imported so that they work beside the torch that is here; loaded when first asked for.

``from dlnotes.libraries import torchvision`` is ``import torchvision``, and works beside a CPU build of torch as well. A
torchvision that was built for CUDA registers its operators only with a CUDA torch; beside a CPU torch its import fails with
"operator torchvision::nms does not exist". Defining the two schemas that it looks up is enough for everything that the course
uses: none of it calls these operators. After this line ``import torchvision`` works, too, and so does timm.

Raises ModuleNotFoundError, with the command that helps, where torchvision is not installed. Nothing in dlnotes needs torchvision
until it is asked for here.
"""

import torch

__all__ = ["torchvision"]

_schemas = None


def _define_missing_schemas() -> None:
    global _schemas
    if torch.version.cuda is not None:
        return
    try:
        torch.ops.torchvision.nms.default
    except (AttributeError, RuntimeError):
        _schemas = torch.library.Library("torchvision", "DEF")      # kept: the schemas live as long as this object
        _schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def __getattr__(name: str):
    if name != "torchvision":
        raise AttributeError(f"module 'dlnotes.libraries' has no attribute {name!r}; it offers torchvision")
    try:
        _define_missing_schemas()
        import torchvision
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise ModuleNotFoundError("dlnotes: expected torchvision for augmentation and picture folders, found none; pip install "
                                  "the torchvision that belongs to your torch (2.4 with 0.19, 2.13 with 0.28)",
                                  name="torchvision") from error
    globals()["torchvision"] = torchvision                          # asked once
    return torchvision
