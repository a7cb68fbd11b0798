"""What all metrics share: they are fed batch by batch, keep a few sums, and can add up the sums of several processes.

The mean of the batches' scores is not the score of the set: batches differ in size, and ratios do not average. So every
metric here keeps counts, adds counts, and divides once at the end.
"""

import torch

__all__ = ["Metric"]


class Metric:
    """Base class: subclasses name tensors of sums in ``sums`` and say what to ``compute`` from them."""

    def __init__(self, **sums: torch.Tensor):
        self._zero = {name: x.clone() for name, x in sums.items()}
        self.reset()

    def reset(self) -> None:
        """Forget everything that was seen."""
        self.sums = {name: x.clone() for name, x in self._zero.items()}

    def _add(self, **more: torch.Tensor) -> None:
        for name, x in more.items():
            self.sums[name] = self.sums[name] + x.to(self.sums[name])

    def state(self) -> dict[str, torch.Tensor]:
        """Copies of the sums."""
        return {name: x.clone() for name, x in self.sums.items()}

    def merge(self, *others: "Metric") -> "Metric":
        """Add what other metrics of the same kind have seen (another process, another part of the data).

        Raises:
            TypeError: if one of them is of another kind.
        """
        for other in others:
            if type(other) is not type(self) or {k: v.shape for k, v in other.sums.items()} != {
                    k: v.shape for k, v in self.sums.items()}:
                raise TypeError(f"{type(self).__name__}.merge: expected a {type(self).__name__} of the same settings, got "
                                f"{type(other).__name__}; build both with the same arguments")
            self._add(**other.sums)
        return self

    def reduce(self) -> "Metric":
        """Add the sums of all processes of the running job, on every process; without such a job nothing happens.

        Feed each process its own samples (and none twice), then call this once before :meth:`compute`.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
            for name, x in self.sums.items():
                on_device = x.to(device)
                torch.distributed.all_reduce(on_device)
                self.sums[name] = on_device.to(x.device)
        return self

    def compute(self) -> dict[str, float]:
        """The scores of everything seen since the last :meth:`reset`."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v:.4g}' for k, v in self.compute().items())})"


def ratio(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """part / whole in float64, NaN where there is nothing to divide by: not 0, which would be a verdict."""
    part, whole = part.double(), whole.double()
    return torch.where(whole == 0, torch.nan, part / whole.masked_fill(whole == 0, 1.0))
