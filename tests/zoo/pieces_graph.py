import torch

from dlnotes.graph import GAT, GCN, GATLayer, GCNLayer
from dlnotes.svd import LowRankConv2d, LowRankLinear

from . import Case

RING = torch.zeros(5, 5)
RING[range(5), [1, 2, 3, 4, 0]] = RING[[1, 2, 3, 4, 0], range(5)] = 1.0


def graph_case(tiny: dict, parameters: int, **vary) -> Case:
    return Case({"in_features": 6} | tiny, (5, 6), parameters=parameters, vary={"in_features": 7} | vary,
                wrong=((2, 5, 7), (2, 4, 6)), inputs=lambda batch, shape: (torch.randn(batch, *shape), RING))


MODULES = {
    GCNLayer: graph_case({"out_features": 4}, 24, out_features=3, bias=True),
    GCN: graph_case({}, 6 * 16 + 16 * 2, hidden=8, num_classes=3, dropout=0.1),
    GATLayer: graph_case({"out_features": 4, "heads": 2}, 6 * 8 + 2 * 8, out_features=3, heads=3, concat=False, slope=0.5,
                         dropout=0.5),
    GAT: graph_case({"hidden": 3, "heads": 2}, 6 * 6 + 2 * 6 + 6 * 2 + 2 * 2, hidden=4, num_classes=3, heads=3, out_heads=2,
                    dropout=0.1),
    LowRankLinear: Case({"in_features": 6, "out_features": 5, "rank": 2}, (6,), other=(6,), parameters=2 * 11 + 5,
                        vary={"in_features": 7, "out_features": 4, "rank": 3, "bias": False}, wrong=((2, 3, 7),)),
    LowRankConv2d: Case({"in_channels": 3, "out_channels": 5, "kernel_size": 3, "rank": 2}, (3, 8, 8), other=(3, 7, 9),
                        parameters=2 * (27 + 5) + 5, wrong=((2, 4, 8, 8),),
                        vary={"in_channels": 4, "out_channels": 4, "kernel_size": (3, 1), "rank": 4, "stride": 2,
                              "padding": 1, "dilation": 2, "bias": False, "scheme": "spatial"}),
}
