"""Does the module help? The same network with it and without it, over several seeds, judged honestly.

A cell of the grid is one training: one variant, one seed. Cells with the same seed share the baseline's first weights and
all random numbers of the training. Finished cells are kept on disk, so that a killed run goes on where it was, and the
result is the same whatever number of processes shared the work. What is done with the scores is in :mod:`dlnotes.stitch.verdict`.
"""

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from dlnotes._check import check_choice, check_integers
from dlnotes.conv.cost import count_parameters, multiply_adds
from dlnotes.device import same_random_state

from .cells import check_importable, make, run_here, run_in_processes
from .citations import cite
from .insert import insert
from .ledger import Ledger
from .results import Ablation
from .statistics import TESTS
from .verdict import compare

__all__ = ["Insertion", "ablate"]


@dataclass(frozen=True)
class Insertion:
    """One call of :func:`dlnotes.stitch.insert`, to be made later, on a fresh baseline for every seed.

    Attributes:
        where, module, how, zero_init, inputs, settings, layout, as_map, grid, citation: as in ``insert``. For several
            processes a factory must be a function that can be imported, not a lambda.

    >>> stitched = Insertion("0", "se")(nn.Sequential(nn.Conv2d(3, 16, 3)))
    >>> type(stitched[0].inserted).__name__
    'SqueezeExcitation'
    """

    where: str | Iterable[str]
    module: str | Callable[..., nn.Module]
    how: str = "nest"
    zero_init: bool = False
    inputs: Any = None
    settings: Mapping = field(default_factory=dict)
    layout: str | None = None
    as_map: bool | None = None
    grid: tuple[int, int] | None = None
    citation: str | Iterable[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.where, str):
            object.__setattr__(self, "where", tuple(self.where))            # a generator could be read only once

    def __call__(self, model: nn.Module) -> nn.Module:
        """A copy of the model with the module stitched in."""
        return insert(model, **{each.name: getattr(self, each.name) for each in fields(self)})

    def describe(self) -> dict:
        """What the module is, in numbers and names that can be written down and compared."""
        return {each.name: _describe(getattr(self, each.name)) for each in fields(self) if each.name != "citation"}


def ablate(build: Callable[[], nn.Module], train_and_score: Callable[[nn.Module, int], Mapping[str, float]],
           variants: Mapping[str, Insertion | Sequence[Insertion] | None], seeds: Sequence[int], folder: str | os.PathLike,
           *, baseline: str = "baseline", score: str | None = None, better: str = "higher", alpha: float = 0.05,
           test: str = "t", inputs: torch.Tensor | None = None, config: Mapping | None = None,
           citation: str | Iterable[str] = (), processes: int = 1, threads: int | None = None,
           progress: bool = False) -> Ablation:
    """Train every variant with every seed, and say of each whether it is better than the baseline.

    For every cell all random generators are seeded, ``build()`` makes the baseline, the variant's insertions are made, the
    generators are seeded again, and ``train_and_score(model, seed)`` does the rest. Choose ``score`` and ``test`` before you
    look at results.

    Args:
        build: returns a fresh baseline network.
        train_and_score: trains the network and returns its scores on held-out data, by name.
        variants: name -> an :class:`Insertion`, several (made one after the other), or None for the network as it is.
            Without an entry called ``baseline``, one is added.
        seeds: at least two, better five or more: few seeds show large differences only.
        folder: results go to ``folder/results.jsonl`` cell by cell. A second call does what is left; new seeds and variants
            may be added, and nothing else may change, the source of both functions included.
        baseline: the variant that the others are compared with.
        score: which score is judged; the first by default. The others are kept, and get no verdict.
        better: ``"higher"`` or ``"lower"``.
        alpha: chance, at most, of any verdict of better or worse where no variant differs from the baseline.
        test: ``"t"``, ``"wilcoxon"`` or ``"permutation"``, paired over seeds.
        inputs: a batch for which multiply-adds are counted.
        config: whatever else the results depend on (epochs, data, learning rate); recorded and compared.
        citation: what to cite for the baseline where it is not a network of this package; ``"own"`` if it is yours.
        processes: how many cells run at once. More than one needs functions that can be imported from a file.
        threads: of torch in every cell; as many as now by default. It may change the last digits of results.
        progress: print a line for every finished cell.

    Returns:
        An :class:`Ablation`: print it, or take ``table("latex")``, ``bibtex()`` and ``plot()``.

    Raises:
        ValueError, TypeError: if an argument does not fit; if the configuration has changed, naming the change; if the
            source of a module is unknown and no ``citation`` was given.
        RuntimeError: if a cell fails; what is finished is kept.
    """
    variants, seeds = _check(build, train_and_score, variants, seeds, baseline, processes, threads)
    check_choice("ablate", ("higher", "lower"), better=better)
    check_choice("ablate", TESTS, test=test)
    if not 0 < alpha < 1:
        raise ValueError(f"ablate: expected alpha between 0 and 1, got {alpha!r}; 0.05 is usual")
    ledger = Ledger(folder)
    with same_random_state(), torch.random.fork_rng():
        costs, citations = _examine(build, variants, seeds[0], inputs, citation)
    done = ledger.open({"build": _describe(build), "train_and_score": _describe(train_and_score),
                        "config": _describe(dict(config or {})),
                        "variants": {name: [step.describe() for step in steps] for name, steps in variants.items()}})
    cells = [(name, seed) for seed in seeds for name in variants if (name, seed) not in done]
    threads = threads or torch.get_num_threads()
    run = run_in_processes if processes > 1 else run_here
    for (name, seed), scores, seconds in run(build, train_and_score, variants, cells, processes, threads):
        _check_scores(name, seed, scores, score, next(iter(done.values()), None))
        done[name, seed] = ledger.append(name, seed, scores, seconds)
        if progress:
            print(f"{name}, seed {seed}: " + ", ".join(f"{key} {value:.4g}" for key, value in scores.items()), flush=True)
    return _judge(variants, seeds, done, baseline, score, better, alpha, test, costs, citations)


def _check(build, train_and_score, variants, seeds, baseline, processes, threads) -> tuple[dict, list[int]]:
    for name, function in (("build", build), ("train_and_score", train_and_score)):
        if not callable(function):
            raise TypeError(f"ablate: expected {name} to be a function, got {type(function).__name__}; "
                            "pass it without calling it")
    check_integers("ablate", processes=processes, threads=1 if threads is None else threads)
    if not isinstance(variants, Mapping) or not variants:
        raise TypeError(f"ablate: expected variants by name, got {type(variants).__name__}; write {{'SE': Insertion(...)}}")
    seeds = list(seeds)
    check_integers("ablate", at_least=0, **{f"seeds[{i}]": seed for i, seed in enumerate(seeds)})
    if len(seeds) < 2 or len(set(seeds)) != len(seeds):
        raise ValueError(f"ablate: expected at least 2 different seeds, got {seeds}; one run tells nothing of what chance "
                         "does: use 3, better 5 or more")
    steps = {} if baseline in variants else {baseline: []}
    for name, given in variants.items():
        steps[name] = [] if given is None else [given] if isinstance(given, Insertion) else list(given)
        for step in steps[name]:
            if not isinstance(step, Insertion):
                raise TypeError(f"ablate: expected variant {name!r} to be an Insertion, several, or None, got "
                                f"{type(step).__name__}; write Insertion(where, module)")
    if len(steps) < 2:
        raise ValueError("ablate: expected a variant beside the baseline, got none; write {'SE': Insertion(...)}")
    if processes > 1:
        check_importable(build, train_and_score, steps)
    return steps, seeds


def _examine(build, variants, seed: int, inputs, citation) -> tuple[dict, dict]:
    """Make every variant once, before hours are spent: what it costs, and what to cite for it."""
    costs, citations = {}, {}
    for name, steps in variants.items():
        model = make(build, steps, seed)
        citations[name] = cite(model, citation)
        costs[name] = {"parameters": count_parameters(model)}
        if inputs is not None:
            costs[name]["multiply_adds"] = multiply_adds(model, inputs)
    return costs, citations


def _describe(thing) -> Any:
    """Numbers and names as they are; of a function its name and a digest of its source, so that an edit is noticed."""
    if isinstance(thing, (str, int, float, bool, type(None))):
        return thing
    if isinstance(thing, Mapping):
        return {str(key): _describe(value) for key, value in thing.items()}
    if isinstance(thing, torch.Tensor):
        return f"tensor {tuple(thing.shape)}"
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [_describe(value) for value in (sorted(thing) if isinstance(thing, (set, frozenset)) else thing)]
    if not callable(thing):
        return repr(thing)
    inner = getattr(thing, "func", thing)                           # functools.partial
    name = getattr(inner, "__qualname__", type(inner).__name__)
    try:
        source = hashlib.sha256(inspect.getsource(inner).encode()).hexdigest()[:12]
    except (OSError, TypeError):
        source = "no source"
    described = {"name": name, "source": source}
    if inner is not thing:
        described |= {"args": _describe(thing.args), "keywords": _describe(thing.keywords)}
    return described


def _check_scores(name: str, seed: int, scores: Mapping[str, float], judged: str | None, other: Mapping | None) -> None:
    """The judged score must be there, and every cell must give the same ones."""
    check_choice("ablate", scores, score=judged or next(iter(scores)))
    if other is not None and set(other["scores"]) != set(scores):
        raise ValueError(f"ablate: expected the scores {sorted(other['scores'])} from every cell, got {sorted(scores)} from "
                         f"variant {name!r}, seed {seed}; return the same names always")


def _judge(variants, seeds, done, baseline, score, better, alpha, test, costs, citations) -> Ablation:
    scores = {name: {seed: done[name, seed]["scores"] for seed in seeds} for name in variants}
    names = list(scores[baseline][seeds[0]])
    score = names[0] if score is None else score
    check_choice("ablate", names, score=score)
    found = compare({name: [cell[score] for cell in cells.values()] for name, cells in scores.items()}, baseline,
                    alpha=alpha, better=better, test=test)
    others = sorted({name for name, _ in done} - set(variants))
    more = sorted({seed for _, seed in done} - set(seeds))
    notes = [f"{len(seeds)} seeds, {better} is better; paired {'t' if test == 't' else test} test, Holm's correction for "
             f"{len(found)} comparison{'s' if len(found) > 1 else ''} at {alpha:g}.",
             *(["Two seeds show very large differences only; use three or more."] if len(seeds) == 2 else []),
             *([f"Not in the table, and not corrected for: {', '.join(others)}."] if others else []),
             *([f"Seeds left out of the table: {', '.join(map(str, more))}."] if more else [])]
    seconds = {name: float(np.mean([done[name, seed]["seconds"] for seed in seeds])) for name in variants}
    return Ablation(scores, score, baseline, {each.variant: each for each in found}, costs, seconds, citations, tuple(notes))
