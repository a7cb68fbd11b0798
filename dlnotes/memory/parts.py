"""The parts of a training step's memory, and why they do not add up to its peak.

Parameters, buffers and the optimizer's state are always there. Activations are kept by the forward pass and released one by
one in the backward pass, while the gradients arrive. The peak is therefore less than the sum of all parts, and where it
lies depends on the network: at the start of the backward pass where activations weigh most (a U-Net), at its end or in the
optimizer's step where weights do (a ViT with a small batch). So a part has two sizes, its own and that at the peak.
"""

from dataclasses import dataclass

__all__ = ["PARTS", "Memory", "in_words"]

PARTS = ("parameters", "buffers", "gradients", "optimizer_state", "activations", "temporary", "input")


def in_words(size: int) -> str:
    """A number of bytes as people say it; the units are powers of 1024.

    >>> in_words(343597383680), in_words(102400), in_words(12)
    ('320.0 GiB', '100.0 KiB', '12 B')
    """
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(size) >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} B"


@dataclass(frozen=True)
class Memory:
    """Bytes of one step, by part. Made by :func:`~dlnotes.memory.predict` and :func:`~dlnotes.memory.measure`.

    Attributes:
        parameters: the weights.
        buffers: what the model keeps and does not learn, such as running statistics.
        gradients: one number for each weight that learns, in the weights' dtype.
        optimizer_state: what the optimizer keeps between steps: nothing for plain SGD, one number for each weight with
            momentum, two for Adam.
        activations: what the forward pass leaves behind for the backward pass, output and loss included. Without gradients
            only the output.
        temporary: the most that was alive at one moment and is none of the other parts; None where it cannot be told apart.
        input: the batch.
        total: the peak, the most that was alive at one moment. This is what must fit.
        moment: when that was: ``"forward"``, ``"backward"`` or ``"optimizer step"``.
        at_peak: part -> bytes at that moment; they add up to ``total``. None where they cannot be told apart.
        title: what was predicted or measured, in words.
        assumptions: sentences that say what the numbers leave out or take for granted.
    """

    parameters: int
    buffers: int
    gradients: int
    optimizer_state: int
    activations: int
    temporary: int | None
    input: int
    total: int
    moment: str
    at_peak: dict[str, int] | None = None
    title: str = ""
    assumptions: tuple[str, ...] = ()

    def table(self) -> str:
        """The parts as text: their own size, and what of it is alive at the peak."""
        def cell(size: int | None) -> str:
            return f"{'unknown' if size is None else in_words(size):>12}"

        rows = [self.title] if self.title else []
        rows.append(f"{'':17}{'in itself':>12}{'at the peak':>14}  ({self.moment})")
        for part in PARTS:
            there = None if self.at_peak is None else self.at_peak[part]
            rows.append(f"{part.replace('_', ' '):17}{cell(getattr(self, part))}  {cell(there)}")
        rows.append(f"{'total':17}{'':12}  {cell(self.total)}")
        return "\n".join(rows)

    def __str__(self) -> str:
        return self.table()
