"""Restormer, HCANet, SAFMN and their layers."""

from dlnotes.restoration.cafm import CAFM
from dlnotes.restoration.ccm import CCM
from dlnotes.restoration.channel_norm import ChannelNorm
from dlnotes.restoration.gdfn import GDFN
from dlnotes.restoration.mdta import MDTA
from dlnotes.restoration.msfn import MSFN
from dlnotes.restoration.plane_conv import PlaneConv3d
from dlnotes.restoration.safm import FMM, SAFM

from . import Case

MODELS = {
    "restormer": Case(
        {"dim": 8, "depths": (1, 1, 1, 1), "refinement": 1}, (3, 16, 16), other=(3, 8, 24), parameters=26_126_644,
        gmacs=("154.8820", (3, 256, 256)), attention=True, task="restore", wrong=((2, 3, 12, 16), (2, 3, 16, 20)),
        vary={"in_channels": 1, "dim": 16, "depths": (2, 1, 1, 1), "heads": (2, 2, 2, 2), "refinement": 2, "expansion": 2.0,
              "norm_bias": False}),
    "hcanet": Case(
        {"in_channels": 3, "dim": 8, "depths": (1, 1, 1)}, (3, 8, 8), other=(3, 4, 12), parameters=4_607_741,
        gmacs=("5.5327", (31, 64, 64)), attention=True, task="restore", wrong=((2, 3, 6, 8), (2, 3, 8, 10)),
        vary={"in_channels": 5, "dim": 16, "depths": (1, 2, 1), "heads": (2, 2, 2), "refinement": 2, "expansion": 2.0,
              "layout": "intended"}),
    "safmn": Case(
        {"scale": 2, "dim": 16, "depth": 2}, (3, 16, 16), other=(3, 9, 14), parameters=239_520,
        gmacs=("13.5425", (3, 180, 320)), task="restore", wrong=((2, 3, 7, 16), (2, 3, 16, 4)),
        vary={"scale": 3, "in_channels": 1, "dim": 32, "depth": 3, "levels": 2, "expansion": 3.0}),
}

MODULES = {
    ChannelNorm: Case({"channels": 6}, (6, 5, 7), other=(6, 1, 1), parameters=12,
                      vary={"channels": 5, "eps": 1e-2, "bias": False}),
    MDTA: Case({"channels": 16, "heads": 2}, (16, 6, 7), other=(16, 1, 3), parameters=4 * 16**2 + 27 * 16 + 2,
               vary={"channels": 12, "heads": 4}),
    GDFN: Case({"channels": 8}, (8, 6, 7), other=(8, 1, 3), parameters=3 * 8 * 21 + 2 * 21 * 9,
               vary={"channels": 6, "expansion": 2.0}),
    PlaneConv3d: Case({"in_channels": 4, "out_channels": 8}, (4, 6, 7), other=(4, 1, 3), parameters=8 * 4 * 27,
                      vary={"in_channels": 6, "out_channels": 4, "groups": 2, "bias": True}),
    CAFM: Case({"channels": 16, "heads": 2}, (16, 6, 7), other=(16, 3, 3), parameters=6_289,
               vary={"channels": 12, "heads": 4, "layout": "released"}),
    MSFN: Case({"channels": 8}, (8, 6, 7), other=(8, 1, 3), parameters=4 * 8 * 21 + 21 * (27 + 9 + 9),
               vary={"channels": 6, "expansion": 2.0}),
    SAFM: Case({"channels": 16}, (16, 9, 12), other=(16, 8, 8), parameters=432, wrong=((2, 16, 7, 12),),
               vary={"channels": 12, "levels": 2}),
    CCM: Case({"channels": 8}, (8, 6, 7), other=(8, 1, 3), parameters=9 * 8 * 16 + 16 + 16 * 8 + 8,
              vary={"channels": 6, "expansion": 1.5}),
    FMM: Case({"channels": 16}, (16, 9, 12), other=(16, 8, 8), parameters=5_664, wrong=((2, 16, 7, 12),),
              vary={"channels": 12, "levels": 2, "expansion": 1.5}),
}
