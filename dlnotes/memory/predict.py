"""Predict the memory of a training step without running it: every operation on pretended tensors, every storage counted.

``FakeTensorMode`` runs a model on tensors that have a shape, a dtype and a device, and no numbers. The whole step goes
through it, forward, loss, backward and optimizer, while a :class:`~dlnotes.memory.ledger.Ledger` notes which storages are
born and die. Nothing here knows a formula for a layer: what is saved for the backward pass is what PyTorch's own autograd
saves. The price is honesty about what happens *inside* an operation, which no tensor shows; ``assumptions`` says what is
taken for granted.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from .checkpointing import checkpoint_blocks
from .ledger import Ledger
from .parts import PARTS, Memory
from .step import check_request, describe, forward, make_optimizer, mean_square

__all__ = ["predict"]

_CPU = ("on the CPU: what oneDNN allocates for itself is not torch's, and not counted; in the backward pass of a "
        "convolution it copies tensors into an order of its own (as found on x86 with torch 2.13)")
_CUDA = ("on CUDA: blocks are rounded up to 512 bytes; the CUDA context, cuBLAS's and cuDNN's workspaces and what the "
         "allocator reserves beyond its blocks are not counted")
_ABSENT = ("no CUDA device here: operations are those of the CPU, so attention is taken as fused, and dropout as keeping "
           "its mask in the activations' dtype")


def predict(model: nn.Module, input_size: Sequence[int], batch_size: int = 1, dtype: torch.dtype = torch.float32,
            training: bool = True, optimizer: str | Callable | None = "sgd",
            checkpointing: str | Sequence[str] | None = None, *, loss: Callable[[Any], torch.Tensor] | None = None,
            autocast: torch.dtype | None = None, accumulating: bool = False, device: str = "cpu") -> Memory:
    """Bytes of one step in the middle of training, by part.

    The model is neither run nor changed, and may live on the ``meta`` device: a model of any size costs nothing here.

    - *parameters, buffers*: their bytes in ``dtype``, shared ones once.
    - *gradients*: born in the backward pass, one for each weight that learns.
    - *optimizer state*: what the optimizer holds after its first step.
    - *activations*: alive when the loss is there, and not before the forward pass. What autograd saved, what
      checkpointing keeps, weights cast by autocast, the output.
    - *temporary*: everything else, born and gone in between.
    - *total*: the most that is alive at one moment.

    Args:
        model: any network that takes one tensor.
        input_size: of one sample, without the batch: (channels, height, width).
        batch_size: samples.
        dtype: of weights and input.
        training: a whole step in training mode. Otherwise a forward pass in evaluation mode without gradients.
        optimizer: ``"sgd"``, ``"momentum"``, ``"adam"``, ``"adamw"``, a function from a list of weights to an optimizer, or
            None: no step.
        checkpointing: names of the blocks to checkpoint, as in :func:`~dlnotes.memory.checkpoint_blocks`.
        loss: from the model's output to a scalar; by default its mean square. A loss that reads numbers off its target (to
            check them, say) cannot be pretended.
        autocast: mixed precision in ``torch.float16`` or ``torch.bfloat16``; weights, gradients and loss stay in float32.
        accumulating: gradients of earlier batches are there already, as in all batches of an accumulated step but the first.
        device: ``"cpu"`` or ``"cuda"``: whose kernels.

    Returns:
        A :class:`~dlnotes.memory.Memory`.

    Raises:
        ValueError, TypeError: if an argument is none of these; what the model says of an input that does not suit it.
        RuntimeError: if the model's shapes depend on the numbers in its tensors.

    >>> from dlnotes.models import create
    >>> with torch.device("meta"):
    ...     resnet50 = create("resnet50")
    >>> memory = predict(resnet50, (3, 224, 224), batch_size=32, optimizer="adamw")
    >>> memory.parameters == 4 * 25_557_032, memory.optimizer_state // memory.parameters, memory.moment
    (True, 2, 'backward')
    """
    check_request("predict", model, input_size, batch_size, dtype, optimizer, loss, autocast, device)
    here = device if device == "cpu" or torch.cuda.is_available() else "cpu"            # whose kernels can be pretended
    cuda = device != "cpu"
    ledger = Ledger(round_up=_round_512, hidden=_nothing) if cuda else Ledger(hidden=_inside)
    pretending = FakeTensorMode(allow_non_fake_inputs=True)
    with pretending:
        twin = _twin(model, dtype, here).train(training)
        x = torch.empty((batch_size, *input_size), dtype=dtype, device=here)
        if checkpointing:
            checkpoint_blocks(twin, checkpointing)
        stepper = make_optimizer(optimizer, twin, device) if training else None
        if stepper is not None:
            _settle(stepper)
        ledger.label(twin.parameters(), "parameters")
        ledger.label(twin.buffers(), "buffers")
        ledger.label([x], "input")
        ledger.label(_state(stepper), "optimizer_state")
        if accumulating and training:
            for weight in twin.parameters():
                weight.grad = torch.empty_like(weight) if weight.requires_grad else None
            ledger.label(_gradients(twin), "gradients")
    try:
        with pretending, ledger, torch.set_grad_enabled(training):
            _step(ledger, twin, x, mean_square if loss is None else loss, stepper, here, autocast)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise RuntimeError(f"predict: expected a model and a loss whose shapes do not depend on the numbers in them, got "
                           f"{error.func} in {type(model).__name__}; measure() runs the step instead") from error
    replay = ledger.replay()
    sizes = {part: ledger.size(part) for part in PARTS if part != "temporary"}
    assumptions = (_CPU,) if not cuda else (_CUDA, _ABSENT) if here == "cpu" else (_CUDA,)
    return Memory(**sizes, temporary=replay.largest["temporary"], total=replay.peak, moment=replay.phase or "forward",
                  at_peak=replay.at_peak, assumptions=assumptions,
                  title="predicted, " + describe(model, input_size, batch_size, dtype, training, optimizer, autocast, device,
                                                 accumulating, checkpointing))


def _step(ledger: Ledger, model: nn.Module, x: torch.Tensor, loss: Callable, stepper, device: str, autocast) -> None:
    ledger.phase = "forward"
    held = forward(model, x, loss if torch.is_grad_enabled() else None, device, autocast)
    ledger.label_living("activations")
    if not torch.is_grad_enabled():
        return
    _, value = held
    ledger.phase = "backward"
    if value.requires_grad:
        value.backward()
    ledger.label(_gradients(model), "gradients")
    ledger.phase = "optimizer step"
    if stepper is not None:
        stepper.step()


def _twin(model: nn.Module, dtype: torch.dtype, device: str) -> nn.Module:
    """A copy of the model whose tensors are pretended: ``deepcopy`` is told beforehand what each tensor becomes."""
    def pretend(x: torch.Tensor) -> torch.Tensor:
        kind = dtype if x.is_floating_point() else x.dtype
        return torch.empty_strided(x.shape, x.stride(), dtype=kind, device=device)

    memo: dict[int, Any] = {}
    loose = (x for module in model.modules() for x in vars(module).values() if isinstance(x, torch.Tensor))
    for x in chain(model.parameters(), model.buffers(), loose):
        memo[id(x)] = nn.Parameter(pretend(x), x.requires_grad) if isinstance(x, nn.Parameter) else pretend(x)
    return copy.deepcopy(model, memo)


def _settle(stepper: torch.optim.Optimizer) -> None:
    """One step on empty gradients, after which the optimizer has its state."""
    weights = [weight for group in stepper.param_groups for weight in group["params"]]
    for weight in weights:
        weight.grad = torch.empty_like(weight)
    stepper.step()
    for weight in weights:
        weight.grad = None


def _state(stepper: torch.optim.Optimizer | None) -> list[torch.Tensor]:
    states = [] if stepper is None else stepper.state.values()
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def _gradients(model: nn.Module) -> list[torch.Tensor]:
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


def _round_512(size: int) -> int:
    return -(-size // 512) * 512


def _nothing(operation, arguments) -> int:
    return 0


def _inside(operation, arguments) -> int:
    """What the backward pass of a convolution holds within oneDNN, whose own order of numbers has channels in blocks of 16.

    First the gradient that comes in and the input are copied into that order, then the weights' gradient out of it.
    """
    if operation is not torch.ops.aten.convolution_backward.default:
        return 0
    incoming, x, weight = arguments[:3]
    weights = weight.numel() * weight.element_size()
    channels_last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)  # is read as it is
    depthwise = weight.shape[1] == 1
    return weights if channels_last or depthwise else max(weights, _in_blocks(incoming) + _in_blocks(x))


def _in_blocks(x: torch.Tensor, block: int = 16) -> int:
    channels = x.shape[1]
    return x.numel() // channels * -(-channels // block) * block * x.element_size()
