from dlnotes.conv import DepthwiseSeparableConv2d
from dlnotes.norm import BatchNorm2d

from . import Case

MODULES = {
    DepthwiseSeparableConv2d: Case(
        {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1, "bias": True},
        (4, 8, 7), other=(4, 5, 9), parameters=4 * 9 + 4 + 4 * 6 + 6, wrong=((2, 4, 2, 8), (2, 4, 8, 2)),
        vary={"in_channels": 5, "out_channels": 7, "kernel_size": 5, "stride": 2, "padding": 1, "dilation": 2,
              "bias": False}),
    BatchNorm2d: Case(
        {"num_features": 4, "eps": 1e-5, "momentum": 0.1}, (4, 6, 5), other=(4, 3, 3), parameters=8,
        vary={"num_features": 5, "eps": 1e-2, "momentum": None}),
}
