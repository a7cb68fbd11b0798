"""Running the cells of an ablation: one training each, in this process or in several, with equal results.

A cell seeds everything, builds, stitches, seeds again and trains; it shares nothing with other cells. So it does not matter
where it runs, or in which order. Processes are started afresh (``spawn``), which works alike on every system and with CUDA.
"""

import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread

import torch
from torch import nn

from dlnotes.device import same_random_state, seed_everything

__all__ = ["check_importable", "make", "run_here", "run_in_processes"]

Step = Callable[[nn.Module], nn.Module]
Variants = Mapping[str, Sequence[Step]]
Results = Iterator[tuple[tuple[str, int], dict[str, float], float]]


def check_importable(build, train_and_score, variants: Variants) -> None:
    """Other processes import functions by name; what lives in a notebook or is a lambda cannot be found there."""
    in_notebook = not hasattr(sys.modules["__main__"], "__file__")
    modules = [step.module for steps in variants.values() for step in steps]
    for thing in (build, train_and_score, *modules):
        try:
            pickle.dumps(thing)
            lost = in_notebook and getattr(thing, "__module__", None) == "__main__"
        except (pickle.PicklingError, AttributeError, TypeError):
            lost = True
        if lost:
            raise ValueError(f"ablate: expected functions that other processes can import, got "
                             f"{getattr(thing, '__qualname__', repr(thing))}; define it at the top of a file, or take "
                             "processes=1")


def make(build, steps: Iterable[Step], seed: int) -> nn.Module:
    """The network of one cell, before training."""
    seed_everything(seed)
    model = build()
    for step in steps:
        model = step(model)
    return model


def _cell(build, train_and_score, steps: Sequence[Step], seed: int, threads: int) -> tuple[dict[str, float], float]:
    """One training: a function of variant and seed alone."""
    start, before = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = make(build, steps, seed)
        seed_everything(seed)                               # what the insertions drew must not shift the training's numbers
        scores = train_and_score(model, seed)
    finally:
        torch.set_num_threads(before)
    if not isinstance(scores, Mapping) or not scores:
        raise TypeError(f"ablate: expected train_and_score to return scores by name, got {scores!r}; return {{'miou': 0.8}}")
    return {str(key): float(value) for key, value in scores.items()}, time.perf_counter() - start


def run_here(build, train_and_score, variants, cells, _processes: int, threads: int) -> Results:
    """The cells one after the other, in this process."""
    for name, seed in cells:
        with same_random_state(), torch.random.fork_rng(), _named(name, seed):
            scores, seconds = _cell(build, train_and_score, variants[name], seed, threads)
        yield (name, seed), scores, seconds


def run_in_processes(build, train_and_score, variants, cells, processes: int, threads: int) -> Results:
    """The cells as they are finished by several processes."""
    pool = ProcessPoolExecutor(min(processes, len(cells)) or 1, get_context("spawn"), initializer=_end_with_parent)
    try:
        running = {pool.submit(_cell, build, train_and_score, variants[name], seed, threads): (name, seed)
                   for name, seed in cells}
        failure = None
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                try:
                    with _named(*cell):
                        result = future.result()
                except RuntimeError as error:               # start no more, but keep what is being trained
                    failure = failure or error
                    running = {other: its for other, its in running.items() if not other.cancel()}
                else:
                    yield cell, *result
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A killed parent must not leave its workers behind: each waits for the parent's end in a thread, and follows."""
    def follow() -> None:
        parent_process().join()
        os._exit(1)
    Thread(target=follow, daemon=True).start()


@contextmanager
def _named(variant: str, seed: int):
    """Say which cell failed."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(f"ablate: expected variant {variant!r}, seed {seed}, to train, got {type(error).__name__}: "
                           f"{error}; finished cells are kept: mend it and call again") from error
