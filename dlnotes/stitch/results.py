"""What an ablation found: scores, verdicts, costs and references, as a table and as a picture."""

import os
from dataclasses import dataclass, field

from .citations import bibtex, key_of
from .statistics import Interval, mean_interval
from .tables import draw
from .verdict import Comparison

__all__ = ["Ablation"]


@dataclass
class Ablation:
    """The result of :func:`dlnotes.stitch.ablate`; ``print`` shows the table.

    Attributes:
        scores: variant -> seed -> name of a score -> value.
        judged: the score that the verdicts are about.
        baseline: the variant that the others were compared with.
        comparisons: variant -> :class:`dlnotes.stitch.Comparison`.
        costs: variant -> parameters and, where an input was given, multiply-adds.
        seconds: variant -> mean seconds of a cell, on whatever machine ran it.
        citations: variant -> what to cite for it.
        notes: what a reader must know to read the table.
    """

    scores: dict[str, dict[int, dict[str, float]]]
    judged: str
    baseline: str
    comparisons: dict[str, Comparison]
    costs: dict[str, dict[str, int]]
    seconds: dict[str, float]
    citations: dict[str, tuple[str, ...]]
    notes: tuple[str, ...] = field(default=())

    def values(self, variant: str, score: str | None = None) -> list[float]:
        """One score of a variant, seed by seed; the judged one by default."""
        return [cell[score or self.judged] for cell in self.scores[variant].values()]

    def interval(self, variant: str, level: float = 0.95) -> Interval | None:
        """The mean of the judged score with Student's interval, uncorrected; None where a score is not finite."""
        try:
            return mean_interval(self.values(variant), level)
        except ValueError:
            return None

    def table(self, format: str = "text", seconds: bool = False) -> str:
        """One row for each variant: mean, difference from the baseline, test, verdict and cost.

        Args:
            format: ``"text"``, ``"markdown"`` or ``"latex"``.
            seconds: also the time of a cell, which differs from run to run.
        """
        costs = list(next(iter(self.costs.values())))
        header = ["variant", f"{self.judged}, 95 % interval", "difference", "corrected interval", "p (Holm)", "effect",
                  "verdict", *(name.replace("_", "-") for name in costs), *(["seconds"] if seconds else [])]
        rows = []
        for variant in self.scores:
            mean, found = self.interval(variant), self.comparisons.get(variant)
            rows.append([variant, f"{mean.mean:.4g} ± {mean.high - mean.mean:.2g}" if mean else "not finite",
                         *(_judged(found) if found else ["", "", "", "", "baseline"]),
                         *(f"{self.costs[variant][name]:,}" for name in costs),
                         *([f"{self.seconds[variant]:.1f}"] if seconds else [])])
        reasons = [f"{found.variant}: {found.verdict}, {found.reason}." for found in self.comparisons.values()]
        keys = [[key_of(key) for key in self.citations[variant]] for variant in self.scores]
        return draw(header, rows, format, [*reasons, *self.notes], keys)

    def __str__(self) -> str:
        return self.table()

    def _repr_markdown_(self) -> str:
        return self.table("markdown")

    def bibtex(self) -> str:
        """BibTeX entries of the baseline and of every module that was stitched into it."""
        return bibtex(key for keys in self.citations.values() for key in keys)

    def plot(self, path: str | os.PathLike | None = None) -> None:
        """The differences from the baseline: a dot for each seed, a bar for the corrected interval, a line at no difference.

        Args:
            path: where to save the figure; shown when None.
        """
        import matplotlib.pyplot as plt

        from dlnotes.plots import style, token
        with style():
            figure, axis = plt.subplots(figsize=(6.4, 1.1 + 0.45 * len(self.comparisons)))
            axis.axvline(0, color=token("muted"), linewidth=1)
            for row, (variant, found) in enumerate(self.comparisons.items()):
                differences = [a - b for a, b in zip(self.values(variant), self.values(self.baseline))]
                colour = token("muted") if found.verdict == "not shown" else token("network")
                if found.difference is not None:
                    axis.plot([found.difference.low, found.difference.high], [row, row], color=colour, linewidth=3,
                              linestyle="-", solid_capstyle="butt", alpha=0.5)
                    axis.plot(found.difference.mean, row, marker="|", markersize=14, color=colour)
                axis.plot(differences, [row] * len(differences), linestyle="none", marker="o", markersize=4,
                          color=token("ink"), alpha=0.6)
            axis.set(yticks=range(len(self.comparisons)), xlabel=f"difference in {self.judged} from {self.baseline}",
                     yticklabels=[f"{variant}\n{found.verdict}" for variant, found in self.comparisons.items()])
            axis.set_ylim(len(self.comparisons) - 0.5, -0.5)                    # the first on top
            if path is None:
                plt.show()
            else:
                figure.savefig(path)
            plt.close(figure)


def _judged(found: Comparison) -> list[str]:
    """The cells of a comparison."""
    if found.difference is None:
        return ["", "", "", "", found.verdict]
    mean = found.difference.mean if abs(found.difference.mean) > 1e-12 else 0.0     # no -2.2e-17 for equal means
    return [f"{mean:+.3g}", f"{found.difference.low:+.3g} to {found.difference.high:+.3g}",
            f"{found.p_corrected:.2g}", "" if found.effect != found.effect else f"{found.effect:+.2f}", found.verdict]
