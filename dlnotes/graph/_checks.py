"""Checks of adjacency matrices, shared by both kinds of layer."""

import torch

__all__ = ["check_adjacency", "check_undirected"]


def check_adjacency(owner: str, adjacency: torch.Tensor, nodes: int | None = None,
                    like: torch.Tensor | None = None) -> None:
    """A square matrix of floats, for as many nodes, of the dtype and device of ``like``."""
    if not isinstance(adjacency, torch.Tensor) or not adjacency.is_floating_point():
        raise TypeError(f"{owner}: expected a floating-point adjacency (n, n), got "
                        f"{getattr(adjacency, 'dtype', type(adjacency).__name__)}; convert with adjacency.float()")
    n = adjacency.shape[-1] if nodes is None and adjacency.ndim else nodes
    if adjacency.shape != (n, n):
        raise ValueError(f"{owner}: expected an adjacency (n={n}, n={n}), one row and column for each node, got "
                         f"{tuple(adjacency.shape)}; x has its nodes in the second last axis")
    if like is None:
        return
    other_dtype = adjacency.dtype != like.dtype and not torch.is_autocast_enabled(like.device.type)
    if other_dtype or adjacency.device != like.device:
        raise TypeError(f"{owner}: expected an adjacency of {like.dtype} on {like.device}, as x, got {adjacency.dtype} on "
                        f"{adjacency.device}; convert with adjacency.to(x)")


def check_undirected(owner: str, adjacency: torch.Tensor) -> None:
    """Symmetric, not negative, zeros on the diagonal. Not under ``torch.compile`` and ``torch.export``, blind to values."""
    if torch.compiler.is_compiling():
        return
    for fault, found in (("negative weights", (adjacency < 0).any()),
                         ("an asymmetric one", not torch.equal(adjacency, adjacency.mT)),
                         ("edges from nodes to themselves", adjacency.diagonal().any())):
        if found:
            raise ValueError(f"{owner}: expected a symmetric adjacency, not negative, with zeros on the diagonal, got "
                             f"{fault}; use (a + a.T) / 2 and fill_diagonal_(0): self-loops are added here")
