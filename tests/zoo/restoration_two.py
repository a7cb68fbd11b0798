import torch

from dlnotes.restoration.camixer import CAMixer, Predictor
from dlnotes.restoration.cga import CGAFusion, ChannelMap, ContentGuidedAttention, PixelMap, SpatialMap
from dlnotes.restoration.deab import DEAB, DEB
from dlnotes.restoration.deconv import DetailEnhancedConv
from dlnotes.restoration.okm import OmniKernel

from . import Case


def two_maps(batch, shape):
    return torch.randn(batch, *shape), torch.randn(batch, *shape)


def with_hint(batch, shape):
    return torch.randn(batch, *shape), torch.randn(batch, 2, *shape[1:])


MODELS = {
    "dea_net": Case({"width": 4, "depths": (1, 1, 1)}, (3, 16, 16), other=(3, 16, 24), parameters=3_653_377,
                    gmacs=("32.2249", (3, 256, 256)), task="restore", wrong=((2, 3, 18, 16), (2, 3, 12, 16)),
                    vary={"in_channels": 1, "width": 8, "depths": (2, 1, 1), "training_form": True, "released": True}),
    "oknet": Case({"width": 8, "depth": 1, "kernel_size": 7}, (3, 16, 16), other=(3, 8, 20), parameters=4_427_689,
                  gmacs=("36.3213", (3, 256, 256)), task="restore", wrong=((2, 3, 18, 16), (2, 3, 4, 16)),
                  vary={"in_channels": 1, "width": 12, "depth": 2, "kernel_size": 5}),
    "camixersr": Case({"width": 16, "depths": (1,), "scale": 2, "window_size": 4}, (3, 8, 8), other=(3, 5, 11),
                      parameters=765_322, task="restore", attention=True, compile=False, export=False, wrong=((2, 3, 2, 8),),
                      vary={"in_channels": 1, "width": 12, "depths": (1, 1), "scale": 3, "window_size": 8, "ratio": 1.0}),
}

MODULES = {                                             # reduction 2: of a bottleneck of two units, ReLU may silence both
    CGAFusion: Case({"channels": 16, "reduction": 2}, (16, 6, 8), other=(16, 4, 5), parameters=2_235, inputs=two_maps,
                    vary={"channels": 8, "reduction": 4, "released": True}, wrong=((2, 16, 3, 8), (2, 16, 6, 9))),
    ContentGuidedAttention: Case({"channels": 16, "reduction": 2}, (16, 6, 8), other=(16, 4, 5), parameters=1_963,
                                 vary={"channels": 8, "reduction": 4}, wrong=((2, 16, 3, 8),)),
    ChannelMap: Case({"channels": 16, "reduction": 2}, (16, 6, 8), other=(16, 1, 5), parameters=280,
                     vary={"channels": 8, "reduction": 4}),
    SpatialMap: Case({}, (16, 6, 8), other=(3, 4, 5), parameters=99, channels=False, wrong=((2, 16, 3, 8),)),
    PixelMap: Case({"channels": 16}, (16, 6, 8), other=(16, 4, 5), parameters=1_584, inputs=two_maps, vary={"channels": 8},
                   wrong=((2, 16, 3, 8), (2, 16, 6, 9))),
    DetailEnhancedConv: Case({"channels": 8}, (8, 6, 8), other=(8, 1, 5), parameters=2_152, vary={"channels": 4}),
    DEB: Case({"channels": 8}, (8, 6, 8), other=(8, 1, 5), parameters=1_168, vary={"channels": 4, "training_form": True}),
    DEAB: Case({"channels": 16, "reduction": 2}, (16, 6, 8), other=(16, 4, 5), parameters=6_603, wrong=((2, 16, 3, 8),),
               vary={"channels": 8, "reduction": 4, "training_form": True}),
    Predictor: Case({"channels": 12, "window_size": 4}, (16, 8, 12), other=(16, 4, 4), parameters=267,
                    vary={"channels": 16, "window_size": 2}, wrong=((2, 16, 8, 10),)),
    CAMixer: Case({"channels": 12, "window_size": 4}, (12, 8, 12), other=(12, 4, 4), parameters=1_131, inputs=with_hint,
                  vary={"channels": 16, "window_size": 2, "ratio": 1}, wrong=((2, 12, 8, 10), (3, 12, 8, 12))),
    OmniKernel: Case({"channels": 8, "kernel_size": 7}, (8, 6, 9), other=(8, 1, 5), parameters=992,
                     vary={"channels": 4, "kernel_size": 5}),
}
