"""Where did the first NaN come from? Run the batch once more and watch what enters and leaves every module.

A NaN spreads: one is enough, and a few layers later everything is NaN. The place to look at is the first value that was not
finite. While the network runs, the modules that have begun and not ended form a stack, so the first bad value has an owner:
a module whose input was fine and whose output is not; or, if a bad value is handed to a module, whoever computed it between
its own parts; or the batch itself. If the whole way forward is clean, the loss function or the gradient is the place.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .sampler import Batch, restore_torch_state

__all__ = ["NonFiniteLoss", "explain", "find_non_finite", "first_non_finite_gradient"]


class NonFiniteLoss(FloatingPointError):
    """The loss or its gradient is NaN or infinite; the weights are still those from before this update.

    Attributes:
        update: number of the update that failed (1 for the first).
        epoch: its epoch (1 for the first).
        samples: names of the batch's samples where the data set gives names, else their indices.
        module: name of the module where the first bad value appeared; None if it was none of the modules.
    """

    def __init__(self, message: str, update: int = 0, epoch: int = 0, samples: tuple = (), module: str | None = None):
        super().__init__(message)
        self.update, self.epoch, self.samples, self.module = update, epoch, tuple(samples), module

    def __reduce__(self):                                           # so that it survives the way from another process
        return type(self), (str(self), self.update, self.epoch, self.samples, self.module)


def find_non_finite(model: nn.Module, run: Callable[[], Any]) -> tuple[str | None, str] | None:
    """The first value that is not finite while ``run`` sends a batch through the model.

    Args:
        model: any network; it is watched with hooks, which are removed afterwards.
        run: calls the model, and may do more.

    Returns:
        (name of the module, a sentence about it); the name is None where the batch itself is to blame. None if every input
        and output of every module was finite.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Softplus(), nn.Flatten())
    >>> _ = nn.init.constant_(net[0].bias, float("inf"))
    >>> find_non_finite(net, lambda: net(torch.zeros(1, 2)))
    ('0', "inf first in the output of '0' (Linear); its bias is not finite either")
    """
    stack: list[str] = []
    found: list[tuple[str | None, str]] = []
    names = {module: name for name, module in model.named_modules()}

    def before(module: nn.Module, inputs: tuple, keywords: dict) -> None:
        kind = _bad(inputs) or _bad(keywords)
        if kind and not found:
            if stack:
                found.append((stack[-1], f"{kind} first in the forward of {_named(model, stack[-1])}, before "
                                         f"{_named(model, names[module])}"))
            else:
                found.append((None, f"{kind} in the batch itself"))
        stack.append(names[module])

    def after(module: nn.Module, inputs: tuple, output: Any) -> None:
        stack.pop()
        kind = _bad(output)
        if kind and not found:
            weights = [name for name, p in module.named_parameters(recurse=False) if _bad(p)]
            verb = "is" if len(weights) == 1 else "are"
            also = f"; its {' and '.join(weights)} {verb} not finite either" if weights else ""
            found.append((names[module], f"{kind} first in the output of {_named(model, names[module])}{also}"))

    hooks = [module.register_forward_pre_hook(before, with_kwargs=True) for module in names]
    hooks += [module.register_forward_hook(after) for module in names]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def first_non_finite_gradient(model: nn.Module, run: Callable[[], torch.Tensor]) -> tuple[str | None, str] | None:
    """The first gradient on the way back that is not finite.

    Args:
        model: any network.
        run: calls the model and returns the loss, which is sent backward here. The parameters' ``grad`` is left as it was.

    Returns:
        (name of the module, a sentence), or None if every gradient was finite.
    """
    found: list[tuple[str | None, str]] = []
    names = {module: name for name, module in model.named_modules()}

    def watch(module: nn.Module, inputs: tuple, output: Any) -> None:
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, name=names[module]: note(name, gradient))

    def note(name: str, gradient: torch.Tensor) -> None:
        if (kind := _bad(gradient)) and not found:
            found.append((name, f"{kind} first in the gradient that arrives at the output of {_named(model, name)}"))

    with _forward_hooks(model, watch):
        loss = run()
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    bad = [name for name, gradient in zip(parameters, gradients) if gradient is not None and _bad(gradient)]
    if not found and bad:
        owner = bad[-1].rpartition(".")[0]
        found.append((owner, f"{_bad(gradients[list(parameters).index(bad[-1])])} in the gradient of {bad[-1]}"))
    return found[0] if found else None


def explain(run: Any, loss: float, norm: float | None, batches: Iterable[Batch], generators: Any) -> NonFiniteLoss:
    """Run the batches of a failed update (or of the validation) once more, watched, and say what was found.

    Args:
        run: the :class:`~dlnotes.training.loop.Run` that stopped.
        loss: the mean loss of the update, or of the validation.
        norm: of the update's gradient, one of the two not finite; None for the validation.
        batches: this process's batches.
        generators: states of torch's generators from before the update, so that dropout falls as it did.
    """
    training = norm is not None
    model = run.network if training else run.judged
    if training:
        restore_torch_state(generators)
    found = None
    with torch.set_grad_enabled(training):
        for batch in batches:
            x, y = run.inputs(batch)
            found = _what_is_wrong(model, x, y, run, backward=training and math.isfinite(loss))
            if found is not None:
                names = batch.content.get("name") if isinstance(batch.content, dict) else None
                names = list(names) if names is not None else [f"number {i}" for i in batch.indices]
                bad = [name for name, one in zip(names, x) if _bad(one)] if isinstance(x, torch.Tensor) else []
                found = (bad or names, *found)
                break
    everywhere = [found]
    if run.accelerator.num_processes > 1:
        from accelerate.utils import gather_object

        everywhere = gather_object(everywhere)
    samples, module, sentence = next((f for f in everywhere if f), ([], None, "it did not happen again in a second run"))
    what, value = ("gradient", norm) if training and math.isfinite(loss) else ("loss", loss)
    update, epoch = run.at.update + training, run.at.epoch + 1
    when = f"at update {update} (epoch {epoch})" if training else f"in the validation after epoch {epoch}"
    listed = ", ".join(map(str, samples[:16])) + (f" and {len(samples) - 16} more" if len(samples) > 16 else "")
    kept = "the weights are those from before this update; " if training else ""
    return NonFiniteLoss(f"fit: expected a finite {what}, got {value} {when}: {sentence}; samples of the batch: "
                         f"{listed or 'unknown'}; {kept}look at these samples, lower lr, or set clip",
                         update, epoch, tuple(samples), module)


def _what_is_wrong(model: nn.Module, x: Any, y: Any, run: Any, backward: bool) -> tuple[str | None, str] | None:
    """Name of a module or None, and a sentence; None if this batch is fine."""
    from accelerate.utils import convert_to_fp32

    def forward() -> torch.Tensor:
        with run.accelerator.autocast():
            output = model(x)
        forward.loss = run.loss(convert_to_fp32(output), y)
        return forward.loss

    found = find_non_finite(model, forward)
    if found is None and not torch.isfinite(forward.loss):
        found = (None, f"{kind} in the target" if (kind := _bad(y)) else
                 f"every value in the network was finite, and the loss function made {forward.loss.item()} of them")
    return first_non_finite_gradient(model, forward) if found is None and backward else found


@contextmanager
def _forward_hooks(model: nn.Module, hook: Callable):
    handles = [module.register_forward_hook(hook) for module in model.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _named(model: nn.Module, name: str) -> str:
    return f"{name!r} ({type(model.get_submodule(name)).__name__})" if name else f"the network ({type(model).__name__})"


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    return [t for part in value for t in _tensors(part)] if isinstance(value, (list, tuple, type({}.values()))) else []


def _bad(value: Any) -> str | None:
    """``"nan"``, ``"inf"`` or None."""
    kinds = [kind for t in _tensors(value) if t.is_floating_point() or t.is_complex()
             for kind, test in (("nan", torch.isnan), ("inf", torch.isinf)) if test(t).any()]
    return kinds[0] if kinds else None
