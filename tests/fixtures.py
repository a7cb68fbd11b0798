"""The rule of the numeric fixtures: parameters and inputs made from sines, float64, evaluation mode.

Every parameter has ``p.flatten()[i] = 0.1 * sin(i + 1)``, the first input ``sin(0.37 i)``, the second ``cos(0.23 i)``.
What a module then gives was computed once with the authors' code; the tests hold mean, standard deviation, first and last value.
"""

import torch


def fill(module: torch.nn.Module) -> torch.nn.Module:
    """The module in float64, evaluation mode, with the fixtures' parameters; running statistics 0 and 1."""
    module = module.double().eval()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.1 * torch.sin(torch.arange(1, p.numel() + 1, dtype=torch.float64)).reshape(p.shape))
    return module


def wave(*shape: int, second: bool = False) -> torch.Tensor:
    """The fixtures' first (or second) input."""
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (torch.cos(0.23 * i) if second else torch.sin(0.37 * i)).reshape(shape)


def assert_figures(out: torch.Tensor, mean: float, std: float, first: float, last: float, relative: float = 1e-8) -> None:
    """Mean, population standard deviation, first and last value agree to the relative error (and 1e-11 near zero)."""
    flat = out.detach().flatten()
    got = (flat.mean(), flat.std(correction=0), flat[0], flat[-1])
    for name, ours, theirs in zip(("mean", "std", "first", "last"), got, (mean, std, first, last)):
        assert abs(ours.item() - theirs) <= relative * abs(theirs) + 1e-11, f"{name}: {ours.item():.9e}, expected {theirs:.9e}"
