from dlnotes.attention.coordinate import CoordinateAttention
from dlnotes.models.lenet import LeNet5Original
from dlnotes.models.mbconv import FusedMBConv, InvertedResidual, MBConv

from . import Case

PICTURE = (3, 224, 224)

# ---------------------------------------------------------------- models

MOBILENET = {"stages": ((1, 8, 1, 1), (4, 16, 2, 2)), "num_classes": 5, "width": 1.0, "dropout": 0.0}
SHUFFLENET = {"widths": (8, 16, 24, 32, 48), "depths": (2, 1, 2), "num_classes": 5}
B0 = {"stages": (("mbconv", 1, 3, 1, 8, 1), ("mbconv", 4, 5, 2, 16, 2)), "num_classes": 5, "stem": 8, "last": 32,
      "dropout": 0.0, "drop_path": 0.0, "eps": 1e-5}
V2 = B0 | {"stages": (("fused", 1, 3, 1, 8, 2), ("fused", 4, 3, 2, 16, 2), ("mbconv", 4, 3, 2, 16, 1)), "eps": 1e-3}
EFFICIENTNET_VARY = {"stages": (("fused", 2, 3, 1, 8, 1),), "in_channels": 1, "num_classes": 7, "stem": 16, "last": 24,
                     "dropout": 0.3, "drop_path": 0.4, "eps": 1e-2}
CONVNEXT = {"depths": (1, 2), "widths": (16, 32), "num_classes": 5, "drop_path": 0.0, "layer_scale": 0.1}
CONVNEXT_VARY = {"depths": (1, 1), "widths": (16, 24), "in_channels": 1, "num_classes": 7, "drop_path": 0.4,
                 "layer_scale": 1e-6}


def convnext(parameters: int, gmacs: str) -> Case:
    return Case(CONVNEXT, (3, 32, 32), (3, 24, 40), parameters=parameters, gmacs=(gmacs, PICTURE), vary=CONVNEXT_VARY,
                wrong=((2, 3, 36, 32), (2, 3, 4, 4)))


MODELS = {
    "lenet5": Case({}, (1, 32, 32), parameters=61_706, gmacs=("0.000416520", (1, 32, 32)),
                   vary={"in_channels": 3, "num_classes": 5}, wrong=((2, 1, 28, 28), (2, 1, 32, 36))),
    "simple_cnn": Case({"widths": (8, 16)}, (3, 16, 16), (3, 21, 12), parameters=24_346,
                       vary={"in_channels": 1, "num_classes": 5, "widths": (8, 12), "kernel_size": 5}),
    "mobilenet_v2": Case(MOBILENET, (3, 32, 32), (3, 27, 40), parameters=3_504_872, gmacs=("0.3008", PICTURE),
                         vary={"stages": ((2, 8, 1, 2),), "in_channels": 1, "num_classes": 7, "width": 2.0, "dropout": 0.3,
                               "coordinate_attention": True}),
    "shufflenet_v2_x1_0": Case(SHUFFLENET, (3, 64, 64), (3, 57, 80), parameters=2_278_604, gmacs=("0.1449", PICTURE),
                               vary={"widths": (8, 16, 24, 32, 64), "depths": (1, 1, 1), "in_channels": 1, "num_classes": 7,
                                     "released": True}),
    "efficientnet_b0": Case(B0, (3, 32, 32), (3, 27, 40), parameters=5_288_548, gmacs=("0.3858", PICTURE),
                            vary=EFFICIENTNET_VARY),
    "efficientnet_v2_s": Case(V2, (3, 32, 32), (3, 27, 40), parameters=21_458_488, gmacs=("2.8499", PICTURE),
                              vary=EFFICIENTNET_VARY | {"eps": 1e-5}),
    "hybridsn": Case({"bands": 15, "num_classes": 5, "window": 11, "dropout": 0.0}, (1, 15, 11, 11), parameters=5_122_176,
                     gmacs=("0.247683392", (1, 30, 25, 25)),
                     vary={"bands": 14, "num_classes": 7, "window": 9, "dropout": 0.3},
                     wrong=((2, 1, 14, 11, 11), (2, 1, 15, 13, 11), (2, 15, 11, 11))),
    "convnext_tiny": convnext(28_589_128, "4.4555"), "convnext_small": convnext(50_223_688, "8.6837"),
    "convnext_base": convnext(88_591_464, "15.3547"),
}

# ---------------------------------------------------------------- modules

MODULES = {
    CoordinateAttention: Case({"channels": 16}, (16, 8, 6), (16, 5, 9), parameters=(16 * 8 + 8) + 2 * 8 + 2 * (8 * 16 + 16),
                              vary={"channels": 24, "reduction": 1}),
    LeNet5Original: Case({}, (1, 32, 32), parameters=60_000, wrong=((2, 1, 28, 28),)),
    InvertedResidual: Case({"in_channels": 8, "out_channels": 8}, (8, 6, 7), (8, 9, 4),
                           parameters=2 * 8 * 48 + 9 * 48 + 4 * 48 + 16,
                           vary={"in_channels": 12, "out_channels": 12, "stride": 2, "expansion": 1,
                                 "coordinate_attention": True}),
    MBConv: Case({"in_channels": 8, "out_channels": 8}, (8, 6, 7), (8, 9, 4),
                 parameters=8 * 48 * 2 + 9 * 48 + 4 * 48 + 16 + 2 * 48 * 2 + 2 + 48,
                 vary={"in_channels": 12, "out_channels": 12, "kernel_size": 5, "stride": 2, "expansion": 1,
                       "drop_path": 0.4, "eps": 1e-2}),
    FusedMBConv: Case({"in_channels": 16, "out_channels": 16}, (16, 6, 7), (16, 9, 4), parameters=10_400,
                      vary={"in_channels": 12, "out_channels": 12, "kernel_size": 5, "stride": 2, "expansion": 1,
                            "drop_path": 0.4, "eps": 1e-2}),
}
