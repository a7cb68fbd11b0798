"""Learning-rate schedules: a schedule is a function from the step (0, 1, 2, ...) to a factor on the learning rate.

Nothing is remembered between steps, so a schedule can be plotted, composed and resumed anywhere. Give one to PyTorch with
``torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)``; a step is then whatever you call ``scheduler.step()`` after, an
epoch or an update. Each equals the scheduler of ``torch.optim.lr_scheduler`` that its docstring names.

Sources: cosine and restarts: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5. Gradual warm-up: Goyal et al., "Accurate,
Large Minibatch SGD", arXiv 1706.02677, section 2.2. Departure: a lowest rate is given here as a share of the first one.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from dlnotes._check import check_integers

__all__ = ["Schedule", "constant", "cosine", "cosine_restarts", "exponential", "halving", "linear", "multi_step", "sequence",
           "step_decay", "warm_up"]

Schedule = Callable[[int], float]


def constant(factor: float = 1.0) -> Schedule:
    """The same factor at every step."""
    _check_factor("constant", factor=factor)
    return lambda step: factor


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """Multiply by ``factor`` after each ``every`` steps. ``StepLR(step_size=every, gamma=factor)``."""
    check_integers("step_decay", every=every)
    _check_factor("step_decay", factor=factor)
    return lambda step: factor ** (step // every)


def halving(every: int) -> Schedule:
    """Half the rate after each ``every`` steps: :func:`step_decay` with 0.5.

    >>> [halving(2)(step) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    return step_decay(every, 0.5)


def multi_step(milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """Multiply by ``factor`` at each of the milestones. ``MultiStepLR(milestones, gamma=factor)``.

    >>> [multi_step([2, 5], factor=0.5)(step) for step in (0, 1, 2, 4, 5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    milestones = _check_milestones("multi_step", milestones)
    _check_factor("multi_step", factor=factor)
    return lambda step: factor ** bisect_right(milestones, step)


def exponential(factor: float) -> Schedule:
    """Multiply by ``factor`` at every step. ``ExponentialLR(gamma=factor)``."""
    _check_factor("exponential", factor=factor)
    return lambda step: factor**step


def linear(start: float, end: float, steps: int) -> Schedule:
    """From ``start`` to ``end`` in a straight line, then stay. ``LinearLR(start_factor, end_factor, total_iters=steps)``.

    >>> [linear(0.25, 1.0, steps=3)(step) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    check_integers("linear", steps=steps)
    _check_factor("linear", start=start, end=end)
    return lambda step: start + (end - start) * min(step, steps) / steps


def cosine(steps: int, floor: float = 0.0) -> Schedule:
    """Half a cosine from 1 to ``floor``. ``CosineAnnealingLR(T_max=steps, eta_min=floor * lr)``.

    As PyTorch's, it is a wave: after ``steps`` it climbs again, and is back at 1 after twice as many. End training there.

    >>> [round(cosine(4)(step), 3) for step in (0, 1, 2, 3, 4, 8)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 1.0]
    """
    check_integers("cosine", steps=steps)
    _check_factor("cosine", floor=floor)
    return lambda step: floor + (1 - floor) * (1 + math.cos(math.pi * step / steps)) / 2


def cosine_restarts(first: int, multiply: int = 1, floor: float = 0.0) -> Schedule:
    """Cosines from 1 to ``floor``, each starting anew. ``CosineAnnealingWarmRestarts(T_0=first, T_mult=multiply, ...)``.

    Args:
        first: steps of the first period.
        multiply: how many times longer each period is than the one before.
        floor: share of the rate to which each period falls.
    """
    check_integers("cosine_restarts", first=first, multiply=multiply)
    _check_factor("cosine_restarts", floor=floor)

    def schedule(step: int) -> float:
        length = first
        while step >= length and multiply > 1:                      # skip the periods that are over
            step, length = step - length, length * multiply
        return cosine(length, floor)(step % length)
    return schedule


def sequence(schedules: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """One schedule after the other; each starts from its own step 0. ``SequentialLR(schedulers=..., milestones=...)``.

    Args:
        schedules: at least one.
        milestones: the steps at which the second, third, ... take over.

    >>> schedule = sequence([constant(0.1), halving(2)], milestones=[3])
    >>> [schedule(step) for step in range(7)]
    [0.1, 0.1, 0.1, 1.0, 1.0, 0.5, 0.5]
    """
    milestones = _check_milestones("sequence", milestones)
    if len(schedules) != len(milestones) + 1:
        raise ValueError(f"sequence: expected one milestone between each two schedules, got {len(schedules)} schedules and "
                         f"{len(milestones)} milestones; a milestone is the step at which the next one takes over")

    def schedule(step: int) -> float:
        i = bisect_right(milestones, step)
        return schedules[i](step - milestones[i - 1] if i else step)
    return schedule


def warm_up(steps: int, then: Schedule, start: float = 0.1) -> Schedule:
    """Climb in a straight line from ``start`` to 1, then follow another schedule from its step 0.

    Goyal et al. climb over five epochs from 1/k, for a batch and a rate k times the usual ones. They count epochs from the
    very first: their drops at 30, 60 and 80 are ``multi_step([25, 55, 75])`` behind ``warm_up(5, ...)``.

    Args:
        steps: length of the climb; at this step the factor is that of ``then`` at 0.
        then: any schedule.
        start: factor of the first step; with 0 that step would not move at all.

    >>> schedule = warm_up(3, cosine(4), start=0.25)
    >>> [round(schedule(step), 3) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    check_integers("warm_up", steps=steps)
    return sequence([linear(start, 1.0, steps), then], [steps])


def _check_factor(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{owner}: expected {name} to be a number of at least 0, got {value!r}; 1.0 keeps the rate")


def _check_milestones(owner: str, milestones: Sequence[int]) -> list[int]:
    check_integers(owner, **{f"milestones[{i}]": step for i, step in enumerate(milestones)})
    if list(milestones) != sorted(milestones):
        raise ValueError(f"{owner}: expected milestones in ascending order, got {list(milestones)}; sort them")
    return list(milestones)
