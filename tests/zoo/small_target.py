import torch

from dlnotes.small_target import CSAM, AsymmetricModulation, CSAMBlock

from . import Case


def two_maps(batch: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch, *shape), torch.randn(batch, *shape)


MODELS = {
    "acm_unet": Case({"in_channels": 3, "num_classes": 1, "width": 8, "blocks": 1, "stem": "tiny", "dropout": 0.0},
                     (3, 16, 16), (3, 32, 16), parameters=516_875, task="segment", batch_one=False,
                     vary={"in_channels": 1, "num_classes": 2, "width": 16, "blocks": 2, "stem": "strided", "dropout": 0.4},
                     wrong=((2, 3, 18, 16), (2, 3, 16, 17))),
    "dnanet": Case({"in_channels": 3, "num_classes": 1, "width": 16, "blocks": (1, 1), "residual": True,
                    "deep_supervision": True}, (3, 16, 16), (3, 8, 20), parameters=4_696_888,
                   gmacs=("13.9301", (3, 256, 256)), task="segment", wrong=((2, 3, 18, 16), (2, 3, 16, 17)),
                   vary={"in_channels": 1, "num_classes": 2, "width": 32, "blocks": (2, 1), "residual": False,
                         "deep_supervision": False}),
}
MODULES = {
    AsymmetricModulation: Case({"channels": 16, "reduction": 4}, (16, 8, 8), (16, 5, 9), parameters=2_728, inputs=two_maps,
                               batch_one=False, vary={"channels": 32, "reduction": 8}, wrong=((2, 16, 8, 9), (3, 16, 8, 8))),
    CSAM: Case({"channels": 32, "reduction": 16}, (32, 8, 8), (32, 5, 9), parameters=226,
               vary={"channels": 16, "reduction": 8}),
    CSAMBlock: Case({"in_channels": 16, "out_channels": 32, "residual": True}, (16, 8, 8), (16, 5, 9), parameters=14_850,
                    vary={"in_channels": 32, "out_channels": 16, "residual": False}),
}
