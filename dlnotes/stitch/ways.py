"""Four ways to combine a part f of a network with a module m from elsewhere: add, nest, parallel, replace.

    add         y = f(x);  y + m(y)         m reads what f made, and its answer is added
    nest        m(f(x))                     m stands behind f, in its stream
    parallel    f(x) + m(x)                 m reads what f reads, beside it
    replace     m(x)                        f is gone

The names are this course's; none of the four belongs to a paper. With a scale γ = 0 (Bachlechner et al., "ReZero", UAI
2021) the first three begin as f alone: whatever the stitched network does better or worse was learned, not caused by a
random start.
"""

import torch
from torch import nn

__all__ = ["WAYS", "ShapeChange"]


class ShapeChange(ValueError):
    """A stitched module gave another shape than the part beside it."""


class Stitch(nn.Module):
    """A place of a network and the module stitched to it. Subclasses say how the two are combined.

    Its parameters are named ``place.*``, ``inserted.*`` and ``gamma``. What a network asks of the part that stood here, such
    as ``self.head.weight``, is still found.

    Args:
        place: f; in :class:`Replace` it is not kept.
        inserted: m.
        zero_init: multiply what m contributes by a learned number γ that starts at 0.
        citation: what ``insert`` was told to cite for m.
        name: of the place, for messages.
    """

    def __init__(self, place: nn.Module, inserted: nn.Module, zero_init: bool = False, citation: tuple[str, ...] = (),
                 name: str = "its place"):
        super().__init__()
        self.place: nn.Module | None = place
        self.inserted = inserted
        self.citation, self.name = citation, name
        self.gamma = nn.Parameter(torch.zeros(1)) if zero_init else None

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            parts = map(self.__dict__.get("_modules", {}).get, ("place", "inserted"))
            here = next((part for part in parts if part is not None), None)
            if here is None or name.startswith("__"):
                raise
            return getattr(here, name)

    def scaled(self, contribution: torch.Tensor) -> torch.Tensor:
        """γ times what m contributes; without ``zero_init`` all of it."""
        return contribution if self.gamma is None else self.gamma.to(contribution.dtype) * contribution

    def same_shape(self, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """z, if it has the shape of y: a sum that broadcasts would be a silent mistake."""
        if z.shape != y.shape:
            raise ShapeChange(f"{type(self).__name__}: expected {type(self.inserted).__name__} at {self.name} to give "
                              f"{tuple(y.shape)}, as {type(self.place).__name__} does, got {tuple(z.shape)}; end the module "
                              "in a layer that brings it to that shape")
        return z


class Add(Stitch):
    """y + m(y) with y = f(x)."""

    def forward(self, *args, **kwargs) -> torch.Tensor:
        y = self.place(*args, **kwargs)
        return y + self.scaled(self.same_shape(y, self.inserted(y)))


class Nest(Stitch):
    """m(f(x)). With γ: y + γ (m(y) - y), which goes from y at γ = 0 to m(y) at γ = 1."""

    def forward(self, *args, **kwargs) -> torch.Tensor:
        y = self.place(*args, **kwargs)
        z = self.same_shape(y, self.inserted(y))
        return z if self.gamma is None else y + self.scaled(z - y)


class Parallel(Stitch):
    """f(x) + m(x)."""

    def forward(self, *args, **kwargs) -> torch.Tensor:
        y = self.place(*args, **kwargs)
        return y + self.scaled(self.same_shape(y, self.inserted(*args, **kwargs)))


class Replace(Stitch):
    """m(x). The old part and its weights are not kept."""

    def __init__(self, place: nn.Module, inserted: nn.Module, zero_init: bool = False, citation: tuple[str, ...] = (),
                 name: str = "its place"):
        if zero_init:
            raise ValueError("Replace: expected zero_init=False, got True; a module that stands alone cannot begin as the "
                             "part that it replaces: take how='parallel' or how='nest'")
        super().__init__(place, inserted, citation=citation, name=name)
        self.place = None

    def forward(self, *args, **kwargs) -> torch.Tensor:
        return self.inserted(*args, **kwargs)


WAYS = {"add": Add, "nest": Nest, "parallel": Parallel, "replace": Replace}
