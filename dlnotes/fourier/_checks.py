"""Checks shared by the files of this package. Each failure says what was expected, what came, and the remedy."""

import torch

REAL = (torch.float32, torch.float64)
COMPLEX = (torch.complex64, torch.complex128)
NORMS = ("backward", "ortho", "forward")


def check_tensor(x, where: str, *, name: str = "x", kinds: tuple = REAL, dims: int | None = None) -> None:
    """Raise unless ``x`` is a tensor of one of the dtypes ``kinds`` with ``dims`` axes (default: at least two)."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{where}: expected {name} to be a torch.Tensor, got {type(x).__name__}; "
                        f"convert it with torch.as_tensor")
    if x.dtype not in kinds:
        names = ", ".join(str(kind).removeprefix("torch.") for kind in kinds)
        remedy = "take the real part first" if x.is_complex() else (
            "transform it first" if kinds == COMPLEX else "convert it with .float() (half precision has no FFT on the CPU)")
        raise TypeError(f"{where}: expected {name} of dtype {names}, got {x.dtype}; {remedy}")
    if dims is None and x.ndim < 2:
        raise ValueError(f"{where}: expected {name} of shape (..., h, w), got {tuple(x.shape)}; add axes with [None]")
    if dims is not None and x.ndim != dims:
        axes = {2: "(h, w)", 4: "(b, c, h, w)"}[dims]
        raise ValueError(f"{where}: expected {name} of shape {axes}, got {tuple(x.shape)}; add or index axes to match")
    if 0 in x.shape:
        raise ValueError(f"{where}: expected a picture with at least one pixel, got {name} of shape {tuple(x.shape)}; "
                         f"check the slice that made it")


def check_same(a: torch.Tensor, b: torch.Tensor, where: str, names: tuple[str, str]) -> None:
    """Raise unless the two tensors agree in shape and dtype."""
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(f"{where}: expected {names[0]} and {names[1]} of one shape and dtype, got {tuple(a.shape)} "
                         f"{a.dtype} and {tuple(b.shape)} {b.dtype}; crop, resize or convert one to match")


def check_size(where: str, **sizes: int) -> None:
    """Raise unless every size is an integer of at least one."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{where}: expected {name} to be an integer of at least 1, got {size!r}; "
                             f"pass for example x.shape[-1]")


def check_norm(norm: str, where: str) -> None:
    """Raise unless ``norm`` is one of torch.fft's three normalisations."""
    if norm not in NORMS:
        raise ValueError(f"{where}: expected norm to be one of {', '.join(NORMS)}, got {norm!r}; 'ortho' preserves energy")
