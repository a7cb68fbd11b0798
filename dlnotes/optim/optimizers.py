"""Optimisers: given the gradient of one parameter, and what is remembered of earlier ones, how far does it move?

Each class is its update rule, written in the letters of its paper: SGD with momentum and Nesterov's form of it (Sutskever et
al., ICML 2013, section 2), RMSprop (Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012; centred,
with momentum: Graves, arXiv 1308.0850, section 4.2), Adam (Kingma and Ba, ICLR 2015, algorithm 1) and AdamW
(Loshchilov and Hutter, ICLR 2019, algorithm 2). What is remembered lies open in ``optimizer.state[p]``.

They subclass ``torch.optim.Optimizer`` for its surface (``zero_grad``, groups of parameters with their own settings,
``state_dict``, schedulers, ``GradScaler``), and follow PyTorch where it departs from the papers; tests/test_optim.py ties
both together in float64. The departures: velocities sum gradients, and the learning rate multiplies them afterwards, where
Sutskever et al. and Graves put the rate inside; under ``nesterov=True`` the parameters are the point ahead at which the
gradient is taken, θ + μv in Sutskever's letters; RMSprop adds eps outside the root, Graves inside; AdamW multiplies the
decay by the learning rate, and not only by its schedule. Left out are ``dampening``, ``amsgrad``, ``maximize``, sparse and
complex tensors.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

__all__ = ["SGD", "Adam", "AdamW", "RMSprop"]


class Optimizer(torch.optim.Optimizer):
    """The loop over the parameters; a subclass says in ``update`` how one of them moves."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move every parameter that has a gradient; one whose ``grad`` is None stays, whatever its momentum.

        Args:
            closure: computes the loss and its gradients anew, where the caller wants that; its loss is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            settings = {name: group[name] for name in self.defaults if name in group}
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad, self.state[p], **settings)
        return loss

    def update(self, p: Tensor, g: Tensor, state: dict, **settings) -> None:
        """Change ``p``, whose gradient is ``g``, in place; keep in ``state`` what the next step needs."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict) -> None:
        """A further list of parameters, with settings of their own: ``{"params": [...], "lr": 0.01}``; checked here."""
        _check_settings(type(self).__name__, self.defaults, param_group)
        super().add_param_group(param_group)                        # fills in the defaults
        for p in self.param_groups[-1]["params"]:
            if not p.is_floating_point():
                raise TypeError(f"{type(self).__name__}: expected real floating-point parameters, got {p.dtype}; "
                                "use torch.optim for others")


class SGD(Optimizer):
    """Stochastic gradient descent: against the gradient, with a velocity that remembers the gradients before it.

    ``v = momentum * v + g``, then ``p -= lr * v``. With ``nesterov`` the step is ``lr * (g + momentum * v)``: it looks one
    stride of the velocity ahead.

    Args:
        params: parameters, or groups of them as dictionaries with settings of their own.
        lr: learning rate.
        momentum: share of the velocity that survives a step; 0 for none.
        weight_decay: adds ``weight_decay * p`` to the gradient: the gradient of half of it times the squared norm.
        nesterov: Nesterov's form; needs momentum.

    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w ** 2).sum().backward()
    ...     optimizer.step()
    >>> w.detach(), optimizer.state[w]              # 1 - 0.1 * 2 = 0.8, then v = 0.9 * 2 + 1.6 = 3.4
    (tensor([0.4600]), {'v': tensor([3.4000])})
    """

    def __init__(self, params: Iterable, lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov})

    def update(self, p: Tensor, g: Tensor, state: dict, lr: float, momentum: float, weight_decay: float,
               nesterov: bool) -> None:
        g = g + weight_decay * p
        if momentum:
            v = state["v"] = momentum * state.get("v", 0) + g
            g = g + momentum * v if nesterov else v
        p -= lr * g


class RMSprop(Optimizer):
    """Each gradient is divided by the root of a running mean of its squares: large and small ones make steps alike.

    Args:
        params: parameters, or groups of them as dictionaries with settings of their own.
        lr: learning rate.
        alpha: share of the running mean that survives a step.
        eps: added to the root, so that nothing is divided by zero.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        momentum: of a velocity that sums the divided gradients; 0 for none.
        centered: subtract the square of the mean gradient first, so that the root is a standard deviation.
    """

    def __init__(self, params: Iterable, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum: float = 0.0, centered: bool = False):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
                                  "centered": centered})

    def update(self, p: Tensor, g: Tensor, state: dict, lr: float, alpha: float, eps: float, weight_decay: float,
               momentum: float, centered: bool) -> None:
        g = g + weight_decay * p
        s = state["s"] = alpha * state.get("s", 0) + (1 - alpha) * g**2             # mean of the squares
        if centered:
            m = state["m"] = alpha * state.get("m", 0) + (1 - alpha) * g
            s = s - m**2                                                            # variance
        step = g / (s.sqrt() + eps)
        if momentum:
            step = state["v"] = momentum * state.get("v", 0) + step
        p -= lr * step


class Adam(Optimizer):
    """Mean of the gradients over the root of the mean of their squares: momentum and RMSprop, both corrected at the start.

    Running means that start at zero are too small at first; dividing by ``1 - beta**t`` takes that out exactly. The first
    step has length ``lr`` in every coordinate, whatever the scale of the loss.

    Args:
        params: parameters, or groups of them as dictionaries with settings of their own.
        lr: learning rate.
        betas: shares of the two running means that survive a step.
        eps: added to the root.
        weight_decay: adds ``weight_decay * p`` to the gradient, so the decay is divided by the root too: see :class:`AdamW`.

    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> optimizer = Adam([w], lr=0.01)
    >>> (w * torch.tensor([1e-3, 1e3])).sum().backward()
    >>> optimizer.step()
    >>> w.detach()                                  # gradients of 0.001 and 1000, one stride
    tensor([0.9900, 0.9900])
    """

    def __init__(self, params: Iterable, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def update(self, p: Tensor, g: Tensor, state: dict, lr: float, betas: tuple[float, float], eps: float,
               weight_decay: float) -> None:
        g = g + weight_decay * p
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g          # mean of the gradients
        v = state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g**2       # mean of their squares
        m, v = m / (1 - betas[0]**t), v / (1 - betas[1]**t)                         # the zeros at the start, taken out
        p -= lr * m / (v.sqrt() + eps)


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameter shrinks by itself, and the decay never meets the running means.

    Args:
        params, lr, betas, eps: as :class:`Adam`.
        weight_decay: each step first multiplies the parameter by ``1 - lr * weight_decay``.
    """

    def __init__(self, params: Iterable, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, p: Tensor, g: Tensor, state: dict, lr: float, betas: tuple[float, float], eps: float,
               weight_decay: float) -> None:
        p *= 1 - lr * weight_decay
        super().update(p, g, state, lr, betas, eps, weight_decay=0.0)


def _check_settings(owner: str, defaults: dict, group: dict) -> None:
    unknown = sorted(set(group) - set(defaults) - {"params", "param_names", "initial_lr"})
    if unknown:
        raise ValueError(f"{owner}: expected settings among {', '.join(defaults)}, got {', '.join(unknown)}; "
                         "correct the name")
    settings = defaults | group
    for name in ("lr", "momentum", "weight_decay", "eps"):
        if name in settings and (isinstance(settings[name], str) or not settings[name] >= 0):
            raise ValueError(f"{owner}: expected {name} of at least 0, got {settings[name]!r}; pass 0.0 to switch it off")
    if len(settings.get("betas", (0, 0))) != 2:
        raise ValueError(f"{owner}: expected two betas, got {settings['betas']!r}; (0.9, 0.999) is usual")
    shares = {f"betas[{i}]": beta for i, beta in enumerate(settings.get("betas", ()))} | {"alpha": settings.get("alpha", 0)}
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{owner}: expected {name} in [0, 1), got {share!r}; it is the share of the past that a "
                             "running mean keeps")
    if settings.get("nesterov") and settings["momentum"] == 0:
        raise ValueError(f"{owner}: expected momentum above 0 for nesterov=True, got momentum={settings['momentum']!r}; "
                         "pass for example momentum=0.9")
