"""Input checks shared by the attention files: one sentence with what was expected, what came, and the remedy."""

import torch

__all__ = ["broadcast", "check_count", "check_mask", "check_qkv"]


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that all broadcast to, or None. ``torch.broadcast_shapes`` loads sympy at its first call, some 35 MiB."""
    result = [1] * max(map(len, shapes))
    for shape in shapes:
        for axis in range(-len(shape), 0):
            if shape[axis] != 1:
                if result[axis] not in (1, shape[axis]):
                    return None
                result[axis] = shape[axis]
    return tuple(result)


def check_count(function: str, **values: int) -> None:
    """Each named value must be a whole number of at least one."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{function}: expected {name} to be an integer of at least 1, got {value!r}; "
                             "pass a whole number")


def check_qkv(function: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor | None = None) -> None:
    """Queries (..., n, d), keys (..., m, d), values (..., m, e): same dtype and device, leading axes that broadcast."""
    named = {"q": q, "k": k}
    if v is not None:
        named["v"] = v
    for name, x in named.items():
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"{function}: expected {name} to be a tensor, got {type(x).__name__}; "
                            "use torch.as_tensor first")
        if not x.is_floating_point():
            raise TypeError(f"{function}: expected {name} of a floating dtype, got {x.dtype}; convert with {name}.float()")
        if x.ndim < 2 or x.shape[-1] == 0:
            raise ValueError(f"{function}: expected {name} of shape (..., tokens, width), got {tuple(x.shape)}; "
                             "x.unsqueeze(0) adds a missing axis")
        if x.dtype != q.dtype or x.device != q.device:
            raise ValueError(f"{function}: expected q and {name} of the same dtype and device, "
                             f"got {q.dtype} on {q.device} and {x.dtype} on {x.device}; "
                             f"write {name}.to(q)")
    shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in named.items())
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"{function}: expected q and k of the same width (last axis), got {shapes}; "
                         "project both to one width first")
    if v is not None and v.shape[-2] != k.shape[-2]:
        raise ValueError(f"{function}: expected as many values as keys (second last axis), got {shapes}; "
                         "make both from the same tokens")
    if broadcast(*(x.shape[:-2] for x in named.values())) is None:
        raise ValueError(f"{function}: expected leading axes that broadcast, got {shapes}; "
                         "bring all to (b, heads, tokens, width)")


def check_mask(function: str, mask: torch.Tensor, scores: tuple[int, ...], dtype: torch.dtype) -> None:
    """A boolean mask, or a float mask of the scores' dtype, that broadcasts to the scores' shape (..., n, m)."""
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"{function}: expected mask to be a tensor, got {type(mask).__name__}; use torch.as_tensor first")
    if mask.dtype not in (torch.bool, dtype):
        raise TypeError(f"{function}: expected a boolean mask (True = may attend) or one of dtype {dtype} to be added, "
                        f"got {mask.dtype}; convert with mask.bool() or mask.to({dtype})")
    if broadcast(mask.shape, scores) != tuple(scores):
        raise ValueError(f"{function}: expected a mask that broadcasts to the scores {tuple(scores)}, "
                         f"got {tuple(mask.shape)}; its last two axes are (queries, keys)")
