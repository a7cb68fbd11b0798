"""Import torchvision (and timm, which needs it) beside a CPU build of torch.

A torchvision that was built for CUDA registers its operators only with a CUDA torch; beside a CPU torch its import fails
with "operator torchvision::nms does not exist". Defining the two schemas that it looks up is enough for
everything that the tests use: none of them calls these operators. Import this module before torchvision or timm.
"""

import torch

_library = None

if torch.version.cuda is None:
    try:
        torch.ops.torchvision.nms.default
    except (AttributeError, RuntimeError):
        _library = torch.library.Library("torchvision", "DEF")      # kept: the schemas live as long as this object
        _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
