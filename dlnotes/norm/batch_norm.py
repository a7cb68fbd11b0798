"""BatchNorm for feature maps: in training it normalises with the batch, afterwards with an average of what it has seen.

Source: Ioffe & Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2. As in PyTorch, and unlike algorithm 2, the
average of the past is exponential. Two variances are in play: the batch is divided by the *biased* one (the spread of these
very numbers), while the average collects the *unbiased* one (an estimate of the spread of all data). State and outputs are
those of ``nn.BatchNorm2d``. This is the version to read; models use ``nn.BatchNorm2d``, which is fused.
"""

import torch
from torch import Tensor, nn

from dlnotes._check import check_input, check_integers

from .functional import norm_forward, statistics

__all__ = ["BatchNorm2d"]


class BatchNorm2d(nn.Module):
    """Batch normalisation of (b, c, h, w): one mean and variance for each channel.

    Args:
        num_features: channels.
        eps: added to the variance.
        momentum: weight of the *new* batch in the running statistics (other libraries name one minus this). None: plain
            average over all batches seen.

    Raises:
        ValueError: if a value is out of range.

    >>> bn = BatchNorm2d(1)
    >>> out = bn(torch.tensor([0., 2.]).reshape(2, 1, 1, 1))                    # mean 1; variance 1 biased, 2 unbiased
    >>> out.flatten().round(decimals=3).tolist(), [round(bn.running_mean.item(), 3), round(bn.running_var.item(), 3)]
    ([-1.0, 1.0], [0.1, 1.1])
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1):
        super().__init__()
        check_integers("BatchNorm2d", num_features=num_features)
        if not eps >= 0:
            raise ValueError(f"BatchNorm2d: expected eps of at least 0, got {eps!r}; the usual value is 1e-5")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm2d: expected momentum in [0, 1] or None, got {momentum!r}; it weighs the new batch")
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))                    # gamma
        self.bias = nn.Parameter(torch.zeros(num_features))                     # beta
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to (b, c, h, w).

        Raises:
            ValueError: for other axes or channels; in training also for a single value per channel, which is its own mean.
            TypeError: for another dtype than that of the weights.
        """
        check_input("BatchNorm2d", x, "b c h w", c=len(self.weight), like=self.weight)
        if not self.training:
            scale = self.weight * (self.running_var + self.eps).rsqrt()         # c
            shift = self.bias - self.running_mean * scale                       # c: one multiply-add per pixel
            return x * scale[:, None, None] + shift[:, None, None]              # b c h w
        if x.numel() // x.shape[1] == 1:
            raise ValueError(f"BatchNorm2d: expected more than one value per channel in training, got {tuple(x.shape)}; "
                             "use a larger batch, or GroupNorm, which needs no batch")
        self._remember(x.detach())
        return norm_forward(x, self.weight, self.bias, "batch", eps=self.eps)[0]

    @torch.no_grad()
    def _remember(self, x: Tensor) -> None:
        """Move the running statistics towards those of this batch."""
        mean, variance = (part.flatten() for part in statistics(x, "batch"))    # c, c
        count = x.numel() // x.shape[1]
        unbiased = variance * count / (count - 1)                               # c
        self.num_batches_tracked += 1
        step = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean += step * (mean - self.running_mean)
        self.running_var += step * (unbiased - self.running_var)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}"
