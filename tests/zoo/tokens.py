import torch
import torch.nn.functional as F

from dlnotes.attention.dual import ChannelAffinity, PositionAttention
from dlnotes.attention.non_local import NonLocal
from dlnotes.attention.window import WindowAttention
from dlnotes.models.swin import PatchMerging

from . import Case

PICTURE = (3, 224, 224)


def tokens(batch: int, shape: tuple[int, ...]):
    return tuple(torch.randint(1, 12, (batch, *shape)) for _ in range(2))


def learns_to_reverse(model) -> bool:
    """Six tokens of eight kinds, written backwards; 1 begins and 2 ends. It sees a few per cent of all such sequences."""
    def batch(size: int):
        source = torch.randint(3, 11, (size, 6))
        return source, F.pad(F.pad(source.flip(1), (1, 0), value=1), (0, 1), value=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(400):
        source, target = batch(64)
        loss = F.cross_entropy(model.train()(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            source, target = batch(100)
            written = model.eval().greedy(source, start=1, end=2, max_length=8)
            if written.shape == target.shape and (written == target).all(dim=1).float().mean() > 0.95:
                return True
    return False


# ---------------------------------------------------------------- models

SWIN = {"patch_size": 2, "dim": 16, "depths": (2, 2), "heads": (2, 4), "window_size": 4, "num_classes": 5, "drop_path": 0.0}
SWIN_VARY = {"patch_size": 4, "in_channels": 1, "num_classes": 7, "dim": 24, "depths": (2, 1), "heads": (4, 4),
             "window_size": 2, "mlp_ratio": 2.0, "drop_path": 0.4}


def swin(parameters: int, gmacs: str) -> Case:
    return Case(SWIN, (3, 32, 32), (3, 16, 48), parameters=parameters, gmacs=(gmacs, PICTURE), vary=SWIN_VARY,
                wrong=((2, 3, 24, 32), (2, 3, 32, 33)), attention=True)


MODELS = {
    "swin_t": swin(28_288_354, "4.4906"), "swin_s": swin(49_606_258, "8.7409"), "swin_b": swin(87_768_224, "15.4309"),
    "transformer": Case(
        {"source_vocabulary": 12, "target_vocabulary": 12, "dim": 32, "heads": 4, "depth": 1, "hidden": 64, "dropout": 0.0,
         "share_embeddings": False}, (6,), (9,), parameters=63_082_496, inputs=tokens, channels=False, attention=True,
        task=learns_to_reverse, vary={
            "source_vocabulary": 13, "target_vocabulary": 13, "dim": 40, "heads": 2, "depth": 2, "hidden": 32,
            "dropout": 0.2, "norm_first": True, "share_embeddings": True, "pad": 5}),
    "danet_head": Case({"in_channels": 16, "num_classes": 5, "channels": 16, "dropout": 0.0}, (16, 9, 12), (16, 6, 5),
                       parameters=23_954_619, gmacs=("274.4758", (2048, 96, 96)), task="segment", attention=True,
                       vary={"in_channels": 8, "num_classes": 7, "channels": 24, "dropout": 0.3}),
}

# ---------------------------------------------------------------- modules

MODULES = {
    WindowAttention: Case({"dim": 16, "heads": 2, "window_size": 4, "shift": 1}, (8, 12, 16), (4, 8, 16), channels=False,
                          parameters=4 * 16**2 + 4 * 16 + 2 * 7**2, wrong=((2, 8, 12, 17), (2, 9, 12, 16)),
                          vary={"dim": 32, "heads": 4, "window_size": 2, "shift": 2}),
    PatchMerging: Case({"dim": 8}, (4, 6, 8), (2, 8, 8), channels=False, parameters=2 * 32 + 32 * 16,
                       wrong=((2, 4, 5, 8), (2, 4, 6, 9)), vary={"dim": 6}),
    NonLocal: Case({"channels": 8, "inner": 4, "subsample": True}, (8, 6, 10), (8, 4, 4), parameters=3 * 36 + 40 + 16,
                   wrong=((2, 8, 6, 9),), vary={"channels": 10, "inner": 6, "kind": "dot_product", "subsample": False}),
    PositionAttention: Case({"channels": 16}, (16, 5, 7), (16, 3, 3), parameters=2 * (16 * 2 + 2) + 16 * 16 + 16 + 1,
                            vary={"channels": 32, "reduction": 4}),
    ChannelAffinity: Case({}, (8, 5, 7), (4, 3, 3), parameters=1, channels=False),
}
