"""Same weights, same output: random weights of a trusted library carried over by ``load_weights``."""

import torchvision_shim  # noqa: F401  (before torchvision and timm)

import copy

import torch
from torch import nn

from dlnotes.checkpoints import load_weights


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Away from the special values of a fresh model: zeros, ones, 1e-6; every parameter and running statistic matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            p.copy_(p + 0.2 * noise if p.ndim < 2 else p + 0.02 * noise)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator, dtype=buffer.dtype))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype))
    return model


def relative_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape and theirs.abs().max() > 0
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def assert_same_as(ours: nn.Module, theirs: nn.Module, *shapes: tuple[int, ...], dialect: str,
                   modes=("eval", "train"), dtypes=(torch.float32, torch.float64)) -> None:
    """Largest difference over the largest value: 1e-5 in float32, 1e-10 in float64, at every shape, evaluating and training.

    Build both without dropout. ``dialect`` is the name that the report must give to the checkpoint's.
    """
    randomise(theirs)
    report = load_weights(ours, theirs.state_dict())
    assert report.dialect == dialect and not report.resized and not report.skipped
    for dtype in dtypes:
        limit = {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
        for mode in modes:
            for shape in shapes:
                a, b = (copy.deepcopy(m).to(dtype).train(mode == "train") for m in (ours, theirs))
                x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
                with torch.no_grad():
                    difference = relative_difference(a(x), b(x))
                assert difference <= limit, f"{dtype}, {mode}, {shape}: {difference:.2e}"
