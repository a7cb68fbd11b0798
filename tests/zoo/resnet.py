from dlnotes.attention.cbam import CBAM, ChannelAttention, SpatialAttention
from dlnotes.attention.eca import ECA
from dlnotes.attention.selective_kernel import SelectiveKernel
from dlnotes.attention.squeeze_excitation import SqueezeExcitation
from dlnotes.models.cbam_resnet import CBAMBottleneck
from dlnotes.models.eca_resnet import ECABottleneck
from dlnotes.models.preactivation import PreActBasicBlock, PreActBottleneck
from dlnotes.models.residual import ResidualNetwork
from dlnotes.models.resnest import ResNeStBottleneck, SplitAttention
from dlnotes.models.resnet import BasicBlock, Bottleneck
from dlnotes.models.resnext import ConcatenatedPaths, GroupedBottleneck, SummedPaths
from dlnotes.models.se_resnet import SEBottleneck
from dlnotes.models.sknet import SKUnit

from . import Case

SIZE, ODD = (3, 40, 40), (3, 33, 50)
NETWORK = {"layers": (1, 1, 1, 1), "in_channels": 3, "num_classes": 5, "width": 8}
OTHER = {"layers": (2, 1, 1, 1), "in_channels": 1, "num_classes": 7, "width": 16}


def case(tiny: dict, vary: dict, parameters: int, gmacs: str, at: int = 224, **more) -> Case:
    return Case(NETWORK | tiny, SIZE, ODD, parameters, (gmacs, (3, at, at)), OTHER | vary, **more)


def resnet(parameters: int, gmacs: str) -> Case:
    vary = {"block": "basic", "stem": "3x3", "stride_in": "1x1", "shortcut": "none", "preactivation": True,
            "zero_init": True}
    return case({"block": "bottleneck"}, vary, parameters, gmacs)


def resnext(parameters: int, gmacs: str) -> Case:
    return case({"groups": 2, "group_width": 4}, {"groups": 4, "group_width": 8}, parameters, gmacs)


def resnest(parameters: int, gmacs: str, at: int) -> Case:
    return case({"stem_width": 4}, {"stem_width": 8, "radix": 1, "cardinality": 2}, parameters, gmacs, at, batch_one=False)


MODELS = {
    "resnet18": resnet(11_689_512, "1.8141"), "resnet34": resnet(21_797_672, "3.6638"),
    "resnet50": resnet(25_557_032, "4.0892"), "resnet101": resnet(44_549_160, "7.8014"),
    "resnet152": resnet(60_192_808, "11.5136"),
    "resnext50_32x4d": resnext(25_028_904, "4.2305"), "resnext101_32x8d": resnext(88_791_336, "16.4140"),
    "resnest50": resnest(27_483_240, "5.3712", 224), "resnest101": resnest(48_275_016, "13.3215", 256),
    "se_resnet50": case({}, {"stride_in": "1x1", "reduction": 8}, 28_088_024, "4.0917"),
    "cbam_resnet50": case({}, {"reduction": 8, "kernel_size": 3}, 28_089_624, "4.0956"),
    "eca_resnet50": case({"kernel_sizes": (3, 5, 5, 7)}, {"kernel_sizes": (3, 3, 5, 7)}, 25_557_112, "4.0893"),
    "sknet50": case({"groups": 4}, {"groups": 2, "branches": 3, "reduction": 2, "minimum": 8}, 27_479_784, "4.4627",
                    batch_one=False),
}

MAP, ODD_MAP = (32, 6, 7), (32, 5, 4)
BLOCK = {"in_channels": 32, "width": 16, "stride": 2}
PATHS = {"in_channels": 32, "inner": 16, "out_channels": 64, "stride": 2, "groups": 4}


def block(tiny: dict, vary: dict, **more) -> Case:
    return Case(BLOCK | tiny, MAP, ODD_MAP, vary={"in_channels": 16, "width": 32, "stride": 1} | vary, **more)


def paths() -> Case:
    vary = {"in_channels": 16, "inner": 32, "out_channels": 32, "stride": 1, "groups": 2}
    return Case(PATHS, MAP, ODD_MAP, 32 * 16 + 4 * 4 * 4 * 9 + 16 * 64 + 2 * (16 + 16 + 64) + 32 * 64 + 2 * 64, vary=vary)


MODULES = {
    SqueezeExcitation: Case({"channels": 32}, MAP, ODD_MAP, 2 * 32 * 2 + 2 + 32, vary={"channels": 64, "reduction": 8}),
    ECA: Case({}, MAP, ODD_MAP, 3, vary={"kernel_size": 5}, channels=False),
    ChannelAttention: Case({"channels": 32}, MAP, ODD_MAP, 2 * 32 * 2 + 2 + 32, vary={"channels": 64, "reduction": 8}),
    SpatialAttention: Case({}, MAP, ODD_MAP, 2 * 49 + 2, vary={"kernel_size": 3}, channels=False),
    CBAM: Case({"channels": 32}, MAP, ODD_MAP, 2 * 32 * 2 + 2 + 32 + 2 * 49 + 2,
               vary={"channels": 64, "reduction": 8, "kernel_size": 3}),
    SelectiveKernel: Case({"channels": 32}, MAP, ODD_MAP, 2 * (32 * 9 + 64) + 32 * 32 + 64 + 32 * 64, batch_one=False,
                          vary={"channels": 64, "stride": 2, "groups": 8, "branches": 3,
                                "reduction": {"reduction": 2, "minimum": 4}, "minimum": 8}),
    SplitAttention: Case({"channels": 64}, (64, 6, 7), (64, 5, 4), 43_488, batch_one=False,
                         vary={"channels": 32, "radix": 1, "cardinality": 2, "stride": 2, "reduction": 2}),
    BasicBlock: block({}, {"shortcut": "none"}),
    Bottleneck: block({}, {"stride_in": "1x1", "shortcut": "zero-padding"}),
    PreActBasicBlock: block({"width": 32}, {"width": 64, "shortcut": "none"}),
    PreActBottleneck: block({}, {"stride_in": "1x1", "shortcut": "zero-padding"}),
    SEBottleneck: block({}, {"stride_in": "1x1", "reduction": 8}),
    CBAMBottleneck: block({}, {"reduction": 8, "kernel_size": 3}),
    ECABottleneck: block({}, {"kernel_size": 5}),
    SKUnit: block({}, {"groups": 8, "branches": 3, "reduction": {"reduction": 2, "minimum": 4}, "minimum": 8},
                  batch_one=False),
    ResNeStBottleneck: block({}, {"radix": 1, "cardinality": 2}, batch_one=False),
    SummedPaths: paths(), ConcatenatedPaths: paths(), GroupedBottleneck: paths(),
    ResidualNetwork: Case({"block": BasicBlock} | NETWORK, SIZE, ODD,
                          vary={"block": Bottleneck, "stem_channels": 4} | OTHER),
}
