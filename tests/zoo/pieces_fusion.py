import torch

from dlnotes.fusion import (ASPP, FPN, AddFusion, AttentionFusion, CascadeFusion, ConcatFusion, GatedFusion, GRUFusion,
                            HyperFusion, PyramidPooling, WeightedFusion)

from . import Case


def pair(batch: int, shape: tuple) -> tuple:
    return torch.randn(batch, *shape), torch.randn(batch, *shape)


def pair_to_learn(batch: int, shape: tuple) -> tuple:
    """For a fusion without parameters: the gradient has to have somewhere to go."""
    return tuple(x.requires_grad_() for x in pair(batch, shape))


def levels(batch: int, shape: tuple) -> tuple:
    c, h, w = shape
    return (torch.randn(batch, c, h, w), torch.randn(batch, c + 2, -(-h // 2), -(-w // 2)),
            torch.randn(batch, 4, -(-h // 4), -(-w // 4)))


def fusion(parameters: int, inputs=pair, **vary) -> Case:
    return Case({"channels": 8}, (8, 6, 6), other=(8, 5, 6), parameters=parameters, vary={"channels": 4} | vary,
                inputs=inputs, wrong=((2, 8, 6, 5), (3, 8, 6, 6)))


MODULES = {
    AddFusion: fusion(0, pair_to_learn),
    ConcatFusion: fusion(2 * 64 + 8),
    WeightedFusion: fusion(2, normalize="softmax"),
    CascadeFusion: fusion(64 + 9 * 64 + 2 * 16),
    GatedFusion: fusion(2 * 64 + 8),
    GRUFusion: fusion(2 * (3 * 9 * 64 + 24), kernel_size=1),
    AttentionFusion: fusion(4 * 64 + 4 * 8, heads=2),
    HyperFusion: fusion(16 * 2 + 2 + 2 * 144 + 144, kernel_size=1, reduction=2),
    FPN: Case({"channels": (3, 5, 4), "out_channels": 6}, (3, 12, 8), other=(3, 9, 7), inputs=levels, wrong=((2, 3, 16, 8),),
              parameters=(3 + 5 + 4) * 6 + 3 * 9 * 36 + 6 * 6, vary={"channels": (3, 5), "out_channels": 4}),
    PyramidPooling: Case({"channels": 8}, (8, 12, 12), other=(8, 7, 9), parameters=4 * (8 * 2 + 4), batch_one=False,
                         vary={"channels": 4, "bins": (1, 2)}),
    ASPP: Case({"channels": 8, "out_channels": 6, "rates": (1, 2, 3)}, (8, 9, 9), other=(8, 7, 5), batch_one=False,
               parameters=8 * 6 * (1 + 3 * 9 + 1) + 5 * 6 * 6 + 6 * 12,
               vary={"channels": 4, "out_channels": 4, "rates": (2, 3), "dropout": 0.1}),
}
