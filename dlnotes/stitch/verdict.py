"""Better, worse, or not shown: what scores over seeds allow to say about variants of a network.

Each variant is compared with the baseline seed by seed. With m variants, looking m times at 5 % finds something by chance
more often than in 5 % of the studies, so Holm's procedure sets the level of each look: α/m for the smallest p, α/(m - 1) for
the next, and on until one does not pass; there it stops, for the others too. The interval of each difference is drawn at the
level at which its variant was looked at. So for the t test, interval and test cannot disagree: a difference is called real
if and only if its interval leaves out zero. With another test both must agree.

Source: Holm, Scandinavian Journal of Statistics 1979; that seeds are the unit: Bouthillier et al., "Accounting for Variance
in Machine Learning Benchmarks", MLSys 2021.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlnotes._check import check_choice

from .statistics import TESTS, Interval, effect_size, holm, mean_interval, smallest_p

__all__ = ["Comparison", "compare"]

_SAME = 1e-9            # differences that vary less than this, relative to the scores, are equal but for rounding


@dataclass(frozen=True)
class Comparison:
    """One variant against the baseline.

    Attributes:
        variant: its name.
        difference: mean difference, variant minus baseline, and its interval at the corrected level; None where a score is
            not finite.
        p: of the paired test; 1 where the test says nothing.
        p_corrected: after Holm's correction over all variants.
        effect: mean difference in standard deviations of the differences (Cohen's d of pairs); nan where the test says
            nothing.
        verdict: ``"better"``, ``"worse"`` or ``"not shown"``.
        reason: why, in a sentence.
    """

    variant: str
    difference: Interval | None
    p: float
    p_corrected: float
    effect: float
    verdict: str
    reason: str


def compare(scores: Mapping[str, Sequence[float]], baseline: str, *, alpha: float = 0.05, better: str = "higher",
            test: str = "t") -> list[Comparison]:
    """Compare every variant with the baseline, over the same seeds in the same order.

    Args:
        scores: variant -> one score per seed; nan where a run failed to give one.
        baseline: the variant that the others are compared with.
        alpha: chance, at most, of calling any difference real when none is.
        better: ``"higher"`` for accuracies, ``"lower"`` for errors.
        test: ``"t"``, ``"wilcoxon"`` or ``"permutation"``.

    Returns:
        One :class:`Comparison` for every other variant, in their order.

    Raises:
        ValueError: if there are fewer than two seeds, unequal numbers of them, or an argument is none of these.

    >>> scores = {"plain": [0.70, 0.72, 0.71, 0.73], "noise": [0.71, 0.71, 0.72, 0.72], "good": [0.80, 0.81, 0.82, 0.82]}
    >>> [(c.variant, c.verdict) for c in compare(scores, "plain")]
    [('noise', 'not shown'), ('good', 'better')]
    """
    check_choice("compare", scores, baseline=baseline)
    check_choice("compare", ("higher", "lower"), better=better)
    check_choice("compare", TESTS, test=test)
    if not 0 < alpha < 1:
        raise ValueError(f"compare: expected alpha between 0 and 1, got {alpha!r}; 0.05 is usual")
    sizes = {len(values) for values in scores.values()}
    if len(sizes) > 1 or min(sizes) < 2:
        raise ValueError(f"compare: expected one score for each of at least 2 seeds, the same for all, got {sorted(sizes)}; "
                         "one run tells nothing of what chance does: train with more seeds, better 3 or more")
    base = np.asarray(scores[baseline], dtype=np.float64)
    others = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items() if name != baseline}
    silent = {name: reason for name, values in others.items() if (reason := _says_nothing(values, base))}
    p = {name: 1.0 if name in silent else TESTS[test](values, base).p for name, values in others.items()}
    corrected = dict(zip(p, holm(list(p.values()))))
    looks = _looks(p, alpha)
    found = []
    for name, values in others.items():
        finite = np.isfinite(values).all() and np.isfinite(base).all()
        interval = mean_interval(values - base, 1 - alpha / looks[name]) if finite else None
        reason = silent.get(name) or _too_few(len(base), test, alpha / looks[name]) or _in_words(interval)
        real = name not in silent and corrected[name] <= alpha and not interval.includes(0.0)
        verdict = "not shown" if not real else "better" if (interval.mean > 0) == (better == "higher") else "worse"
        effect = np.nan if name in silent else effect_size(values, base)
        found.append(Comparison(name, interval, p[name], corrected[name], effect, verdict, reason))
    return found


def _says_nothing(values: np.ndarray, base: np.ndarray) -> str | None:
    """Why no test can be made of these, or None."""
    failed = int((~np.isfinite(values)).sum()), int((~np.isfinite(base)).sum())
    if any(failed):
        return (f"{failed[0]} of {len(values)} seeds gave no finite score, and {failed[1]} of the baseline's: leaving them "
                "out would flatter")
    differences = values - base
    if np.ptp(differences) <= _SAME * max(abs(values).max(), abs(base).max()):
        return ("equal scores on every seed" if abs(differences).max() <= _SAME * max(abs(base).max(), 1e-300)
                else "the same difference on every seed: its spread cannot be judged; use more seeds")
    return None


def _looks(p: Mapping[str, float], alpha: float) -> dict[str, int]:
    """By how much Holm divides α for each variant: m, m - 1, ..., and no further once one has not passed."""
    divisor, passing, looks = len(p), True, {}
    for rank, name in enumerate(sorted(p, key=p.get)):
        if passing:
            divisor = len(p) - rank
            passing = p[name] <= alpha / divisor
        looks[name] = divisor
    return looks


def _too_few(n: int, test: str, level: float) -> str | None:
    least = smallest_p(n, test)
    return (f"{n} seeds cannot show anything here: the smallest p of this test is {least:.2g}, and {level:.2g} is needed"
            if least > level else None)


def _in_words(interval: Interval) -> str:
    side = "includes" if interval.includes(0.0) else "leaves out"
    ends = f"{interval.low:+.3g} to {interval.high:+.3g}"
    return f"the {100 * interval.level:.3g} % interval of the difference, {ends}, {side} 0"
