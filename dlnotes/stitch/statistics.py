"""The few tests that a fair comparison over seeds needs, written out: intervals, paired tests, and Holm's correction.

Two networks trained with the same seed share the first weights and the order of the data, so their scores go up and down
together. A paired test looks at the differences, seed by seed, and what the seeds have in common cancels.

Sources: Student, "The Probable Error of a Mean", Biometrika 1908; Fisher, "The Design of Experiments", 1935 (flipping
signs); Wilcoxon, Biometrics Bulletin 1945; Holm, Scandinavian Journal of Statistics 1979; Efron, JASA 1987 (BCa bootstrap).
The distribution functions themselves come from scipy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from dlnotes._check import check_choice

__all__ = ["Interval", "TestResult", "bootstrap_interval", "effect_size", "holm", "mean_interval", "paired_t", "permutation",
           "smallest_p", "wilcoxon"]

_EXACT = 16             # up to so many pairs all ways to flip their signs are tried; beyond, as many are drawn


@dataclass(frozen=True)
class Interval:
    """A mean, and where the true one may lie at some level of confidence."""

    mean: float
    low: float
    high: float
    level: float

    def includes(self, value: float) -> bool:
        """Whether the value lies inside, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class TestResult:
    """A statistic, and how often chance alone would give one at least as far from its middle (two-sided)."""

    __test__ = False                                                # not a test of pytest's
    statistic: float
    p: float


def _sample(owner: str, values: Sequence[float], at_least: int = 2) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < at_least or not np.isfinite(x).all():
        raise ValueError(f"{owner}: expected at least {at_least} finite numbers, got {x.tolist()}; run more seeds, and "
                         "leave out none that failed without saying so")
    return x


def _level(owner: str, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"{owner}: expected level between 0 and 1, got {level!r}; 0.95 is usual")


def _differences(owner: str, a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    a, b = _sample(owner, a), _sample(owner, b)
    if len(a) != len(b):
        raise ValueError(f"{owner}: expected pairs, one of each for every seed, got {len(a)} and {len(b)} numbers; compare "
                         "equal seeds")
    return a - b


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of a mean: mean ± t · s / √n, with n - 1 degrees of freedom.

    Args:
        values: at least two.
        level: of confidence.

    Raises:
        ValueError: if there are fewer, or one is not finite.

    >>> interval = mean_interval([0.80, 0.82, 0.84])
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.77, 0.87)
    """
    from scipy.special import stdtrit
    _level("mean_interval", level)
    x = _sample("mean_interval", values)
    half = stdtrit(len(x) - 1, (1 + level) / 2) * x.std(ddof=1) / len(x) ** 0.5
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half), level)


def bootstrap_interval(values: Sequence[float], level: float = 0.95, resamples: int = 9999, seed: int = 0) -> Interval:
    """The BCa bootstrap interval of a mean: quantiles of the means of resamples, corrected for bias and skewness.

    It assumes no shape of distribution, but with few values it is too short: a resample cannot be wider than the sample.

    Args:
        values: at least two.
        level: of confidence.
        resamples: drawn with replacement.
        seed: of the draws.

    Raises:
        ValueError: if there are fewer values, or one is not finite.
    """
    from scipy.special import ndtr, ndtri
    _level("bootstrap_interval", level)
    x = _sample("bootstrap_interval", values)
    mean, n = x.mean(), len(x)
    if np.ptp(x) == 0:
        return Interval(float(mean), float(mean), float(mean), level)
    means = x[np.random.default_rng(seed).integers(0, n, (resamples, n))].mean(axis=1)          # resamples
    below = ((means < mean).mean() + (means <= mean).mean()) / 2
    bias = ndtri(below)                                                                         # Efron's z0
    without_one = (x.sum() - x) / (n - 1)                                                       # n, the jackknife
    off = without_one.mean() - without_one
    skew = (off**3).sum() / (6 * (off**2).sum() ** 1.5)                                         # Efron's a
    z = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, ndtr(bias + z / (1 - skew * z)))
    return Interval(float(mean), float(low), float(high), level)


def paired_t(a: Sequence[float], b: Sequence[float]) -> TestResult:
    """Student's paired t test: is the mean of the differences further from 0 than their spread allows?

    It takes the differences as normal. With all differences equal t is infinite, and says nothing.

    >>> paired_t([3, 5, 4, 6], [1, 2, 3, 3]).p < 0.05
    True
    """
    from scipy.special import stdtr
    d = _differences("paired_t", a, b)
    error = d.std(ddof=1) / len(d) ** 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        t = d.mean() / error
    return TestResult(float(t), float(2 * stdtr(len(d) - 1, -abs(t))))


def permutation(a: Sequence[float], b: Sequence[float], seed: int = 0) -> TestResult:
    """Fisher's sign-flip test: without a true difference, each difference is as likely to have the other sign.

    All 2ⁿ ways for up to 16 pairs, else 2¹⁶ drawn ones. It assumes nothing else, but needs many pairs: with five, the
    smallest p is 2/32.

    >>> permutation([3, 5, 4, 6], [1, 2, 3, 3]).p
    0.125
    """
    d = _differences("permutation", a, b)
    return TestResult(float(d.mean()), _flipped(d, seed))


def wilcoxon(a: Sequence[float], b: Sequence[float], seed: int = 0) -> TestResult:
    """Wilcoxon's signed-rank test: the sign-flip test on the ranks of the differences' sizes.

    Differences of zero are left out, ties share their mean rank. The statistic is the smaller sum of ranks.

    >>> wilcoxon([3, 5, 4, 6], [1, 2, 3, 2])
    TestResult(statistic=0.0, p=0.125)
    """
    from scipy.stats import rankdata
    d = _differences("wilcoxon", a, b)
    d = d[d != 0]
    if not len(d):
        return TestResult(0.0, 1.0)
    ranks = np.sign(d) * rankdata(abs(d))
    return TestResult(float(min(ranks[ranks > 0].sum(), abs(ranks[ranks < 0].sum()))), _flipped(ranks, seed))


def _flipped(d: np.ndarray, seed: int) -> float:
    """Share of the sign flips whose sum is at least as far from 0 as the sum itself."""
    if len(d) <= _EXACT:
        signs = np.array(list(product((1, -1), repeat=len(d))))                                 # 2^n n
        extra = 0
    else:
        signs = np.random.default_rng(seed).choice((1, -1), (2**_EXACT, len(d)))                # 2^16 n
        extra = 1                                                   # the sample itself is one of the ways
    far = abs(signs @ d) >= abs(d.sum()) * (1 - 1e-12)
    return float((far.sum() + extra) / (len(far) + extra))


def smallest_p(n: int, test: str) -> float:
    """The smallest p that a test can give for n pairs.

    >>> smallest_p(5, "wilcoxon"), smallest_p(5, "t")
    (0.0625, 0.0)
    """
    check_choice("smallest_p", TESTS, test=test)
    return 0.0 if test == "t" else 2 / 2 ** min(n, _EXACT)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: with m tests, the chance of even one false alarm stays below the level.

    The smallest p is multiplied by m, the next by m - 1, and so on; none may come out smaller than one before it.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    m, adjusted, largest = len(p_values), [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def effect_size(a: Sequence[float], b: Sequence[float]) -> float:
    """Cohen's d of pairs: the mean difference in standard deviations of the differences, t / √n. nan if they do not vary.

    >>> effect_size([2, 4, 6], [1, 2, 3])
    2.0
    """
    d = _differences("effect_size", a, b)
    return float(d.mean() / d.std(ddof=1)) if d.std(ddof=1) > 0 else float("nan")


TESTS = {"t": paired_t, "wilcoxon": wilcoxon, "permutation": permutation}
"""Paired tests by name."""
