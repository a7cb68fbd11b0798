"""Record what happens inside any network, without editing it: activations by module name, and attention weights.

Activations come from forward hooks. Attention comes from a ``TorchFunctionMode``, which sees three things while the model
runs: ``F.scaled_dot_product_attention``, ``F.multi_head_attention_forward``, and a softmax over the last axis whose result
goes (possibly through dropout, masking or a change of shape) into a matrix product. Fused kernels never make the matrix of
weights, so it is computed here beside them; the model's own output stays as it is. A kernel that hides all three (a compiled
or scripted model, a hand-written CUDA kernel) is out of sight, and ``record`` then says that it found nothing.
"""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["RecordedAttention", "Recording", "record"]


class RecordedAttention(torch.Tensor):
    """Attention weights of one call, (..., heads, queries, keys): an ordinary tensor that knows where it comes from.

    Attributes:
        module: name of the module that attended, such as ``"blocks.0.attn"``; ``""`` is the model itself.
        logits: the scores before the softmax, same shape, masks included (-inf where nothing may be attended to).

    Whatever you compute from it is a plain tensor.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl     # as nn.Parameter does
    module: str
    logits: torch.Tensor | None

    @property
    def weights(self) -> torch.Tensor:
        """The weights as a plain tensor."""
        return self.as_subclass(torch.Tensor)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"RecordedAttention(module={self.module!r}, shape={tuple(self.shape)})"


class Recording:
    """What :func:`record` fills.

    Attributes:
        activations: module name -> a copy of its output; of the last call, where a module is called more than once.
        attention: one :class:`RecordedAttention` per call, in the order of calls.
    """

    def __init__(self) -> None:
        self.activations: dict[str, Any] = {}
        self.attention: list[RecordedAttention] = []

    def __repr__(self) -> str:
        return f"Recording({len(self.activations)} activations, {len(self.attention)} attentions)"


@contextmanager
def record(model: nn.Module, modules: str | Iterable[str] | None = None, attention: bool = False) -> Iterator[Recording]:
    """Record a model while it runs inside the ``with`` block.

    Args:
        model: any network.
        modules: names as in ``model.named_modules()``, ``*`` allowed (``"blocks.*.mlp"``). None means every module without
            children, or none at all where ``attention`` is on.
        attention: record attention weights too. It costs the full matrix of every attention call.

    Yields:
        A :class:`Recording`. Everything in it is detached and copied, on the model's device.

    Raises:
        TypeError: if ``model`` is not a module.
        ValueError: if no module has such a name.
        RuntimeError: at the end of the block, if a wanted module did not run, or no attention was seen.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True))
    >>> with record(model) as seen:
    ...     out = model(torch.randn(3, 4))
    >>> {name: tuple(x.shape) for name, x in seen.activations.items()}, (seen.activations["0"] < 0).any().item()
    ({'0': (3, 8), '1': (3, 8)}, True)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"record: expected a torch.nn.Module, got {type(model).__name__}; pass the model itself")
    names = {module: name for name, module in model.named_modules()}
    wanted = _wanted(names, modules, attention)
    seen, stack = Recording(), []
    started = False

    def enter(module, _args):
        nonlocal started
        started = True
        stack.append(names[module])

    def leave(module, _args, output):
        stack.pop()
        if module in wanted and output is not None:
            seen.activations[names[module]] = _copy(output)

    with ExitStack() as cleanup:
        for module in names:
            cleanup.callback(module.register_forward_pre_hook(enter).remove)
            cleanup.callback(module.register_forward_hook(leave, always_call=True).remove)
        if attention:
            cleanup.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
            torch.backends.mha.set_fastpath_enabled(False)          # its one kernel for the whole layer shows nothing
            cleanup.enter_context(_Watch(seen.attention, stack))
        yield seen

    if not started:
        raise RuntimeError("record: expected the model to be called inside the with block, got no call; indent the call")
    silent = [names[module] for module in wanted if names[module] not in seen.activations]
    if modules is not None and silent:
        raise RuntimeError(f"record: expected every module asked for to run, but nothing came from {', '.join(silent)}")
    if attention and not seen.attention:
        raise RuntimeError(f"record: expected attention in {type(model).__name__}, saw none: no "
                           "scaled_dot_product_attention, no multi_head_attention_forward, no softmax over the last axis "
                           "before a matrix product; record an uncompiled model")


def _wanted(names: dict[nn.Module, str], modules: str | Iterable[str] | None, attention: bool) -> set[nn.Module]:
    if modules is None:
        return set() if attention else {module for module in names if not any(True for _ in module.children())}
    wanted = set()
    for pattern in [modules] if isinstance(modules, str) else modules:
        if not isinstance(pattern, str):
            raise TypeError(f"record: expected names of modules, got {type(pattern).__name__}")
        found = {module for module, name in names.items() if fnmatchcase(name, pattern)}
        if not found:
            near = get_close_matches(pattern, names.values(), n=3, cutoff=0.3)
            raise ValueError(f"record: expected the name of a module, got {pattern!r}"
                             + (f"; near names are {', '.join(near)}" if near else "; see model.named_modules()"))
        wanted |= found
    return wanted


def _copy(output: Any) -> Any:
    """A detached copy: a later in-place operation must not reach what was recorded."""
    if isinstance(output, torch.Tensor):
        return output.detach().clone()
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*map(_copy, output))
    if isinstance(output, (tuple, list)):
        return type(output)(map(_copy, output))
    if isinstance(output, dict):
        return {key: _copy(value) for key, value in output.items()}
    return output


_SOFTMAX = {torch.softmax, torch.Tensor.softmax, F.softmax, torch.special.softmax}
_PRODUCT = {torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.__rmatmul__, torch.bmm,
            torch.Tensor.bmm, torch.mm, torch.Tensor.mm, torch.einsum, torch.baddbmm, torch.Tensor.baddbmm,
            torch.linalg.matmul}
_SAME_WEIGHTS = {                                   # what weights may pass through on their way into the product
    F.dropout, torch.dropout, torch.Tensor.masked_fill, torch.masked_fill, torch.Tensor.contiguous, torch.Tensor.clone,
    torch.Tensor.to, torch.Tensor.type, torch.Tensor.type_as, torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16,
    torch.Tensor.view, torch.Tensor.reshape, torch.reshape, torch.Tensor.flatten, torch.flatten, torch.Tensor.unsqueeze,
    torch.unsqueeze, torch.Tensor.squeeze, torch.squeeze, torch.Tensor.expand, torch.Tensor.transpose, torch.transpose,
    torch.Tensor.permute, torch.permute, torch.Tensor.mT.__get__, torch.Tensor.T.__get__, torch.nan_to_num,
    torch.Tensor.nan_to_num,
}


class _Watch(TorchFunctionMode):
    """Sees every torch function that the model calls, and notes those that are attention."""

    def __init__(self, found: list[RecordedAttention], stack: list[str]):
        super().__init__()
        self.found, self.stack = found, stack
        self.candidates: dict[int, tuple[torch.Tensor, list]] = {}     # id -> (the tensor, kept alive; [logits, weights])

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not self.stack:                                          # not inside the model
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self._note(*_sdpa_weights(*args, **kwargs))
            return func(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            self._note(*_mha_weights(args, kwargs))
            return func(*args, **kwargs)
        if func in _PRODUCT:
            self._product(args)
            return func(*args, **kwargs)
        if func in _SOFTMAX:
            logits = args[0] if args else kwargs["input"]
            dim = kwargs["dim"] if "dim" in kwargs else args[1] if len(args) > 1 else None
            before = logits.detach().clone()
            out = func(*args, **kwargs)
            if dim in (-1, out.ndim - 1) and out.ndim >= 2:
                self.candidates[id(out)] = (out, [before, out.detach().clone()])
            return out
        out = func(*args, **kwargs)
        if func in _SAME_WEIGHTS:
            known = self.candidates.get(id(args[0] if args else kwargs.get("input")))
            if known is not None and isinstance(out, torch.Tensor):
                self.candidates[id(out)] = (out, known[1])
        return out

    def _product(self, args: tuple) -> None:
        operands = [x for arg in args for x in (arg if isinstance(arg, (tuple, list)) else [arg])]
        for x in operands:
            _, softmax = self.candidates.get(id(x), (None, None))
            if softmax:
                self._note(*softmax)
                softmax.clear()                                     # one softmax, one entry
                self.candidates = {key: value for key, value in self.candidates.items() if value[1]}

    def _note(self, logits: torch.Tensor, weights: torch.Tensor) -> None:
        entry = weights.as_subclass(RecordedAttention)
        entry.module, entry.logits = self.stack[-1], logits
        self.found.append(entry)


@torch.no_grad()
def _sdpa_weights(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """Logits and weights of one call of ``F.scaled_dot_product_attention``, dropout left out."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    logits = (query.detach() * scale) @ key.detach().mT             # (..., heads, n, m)
    if is_causal:
        attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if attn_mask is not None:
        attn_mask = attn_mask.detach()
        logits = logits.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else logits + attn_mask
    weights = logits.softmax(dim=-1)
    return logits, weights.masked_fill((logits == float("-inf")).all(dim=-1, keepdim=True), 0.0)


class _Softmax(TorchDispatchMode):
    """Keeps input and output of the last softmax, one level below the functions of ``torch.nn.functional``."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._softmax.default, torch.ops.aten.softmax.int):      # the second in inference mode
            self.logits, self.weights = args[0], out
        return out


_MHA = inspect.signature(F.multi_head_attention_forward)


@torch.no_grad()
def _mha_weights(args, kwargs):
    """Logits and weights of one call of ``F.multi_head_attention_forward``, by asking it for them, dropout left out."""
    call = _MHA.bind(*args, **kwargs)
    call.arguments |= {"need_weights": True, "average_attn_weights": False, "training": False}
    with _Softmax() as softmax:
        F.multi_head_attention_forward(*call.args, **call.kwargs)
    heads, batched = call.arguments["num_heads"], call.arguments["query"].ndim == 3
    shape = (-1, heads) if batched else (heads,)                    # (b heads) n m -> b heads n m
    return tuple(x.reshape(*shape, *x.shape[-2:]).clone() for x in (softmax.logits, softmax.weights))
