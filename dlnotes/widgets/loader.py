"""Who waits for whom: workers that make batches, a queue, and the training step that empties it.

The page simulates torch's ``DataLoader`` (``loader.js``); :func:`simulate` here is the same simulation, and :func:`record`
runs a real loader and notes when everything happened. The rules are those of ``torch.utils.data``: batch k is made by worker
k mod workers, from its first sample to the finished tensor; at the start ``prefetch_factor`` batches are asked of each worker,
and one more each time the training loop takes one; batches are handed over in order.

Simplifications: all workers are ready after one and the same start-up time; the transform takes ``workers / cores`` times
as long where there are more workers than cores; waiting for a disk or a network takes as long for many as for one.
"""

import io
import math
import time
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import torch
import traitlets
from torch.utils.data import DataLoader, Dataset, get_worker_info

from .. import plots
from ._base import Widget
from .loader_traces import RECORDED

__all__ = ["LoaderTimeline", "record", "simulate", "totals"]

# name: (default, least, most, whole number)
SETTINGS: dict[str, tuple[float, float, float, bool]] = {
    "workers": (2, 0, 12, True), "prefetch": (2, 1, 8, True), "batch": (8, 1, 64, True), "cores": (4, 1, 16, True),
    "load": (4.0, 0, 50, False), "jitter": (0.5, 0, 1, False), "transform": (2.0, 0, 50, False), "step": (20.0, 0, 200, False),
    "handover": (1.0, 0, 20, False), "startup": (60.0, 0, 2000, False),
}
_UNITS = {"load": "ms", "transform": "ms", "step": "ms", "handover": "ms", "startup": "ms"}
_KEYS = ("worker", "start", "done", "wait", "take", "end")
_BATCHES = 24


def _numbers(seed: int) -> Callable[[], float]:
    """Uniform numbers in (0, 1), the same here and in the page (T. Ettinger's mulberry32)."""
    state = seed & 0xFFFFFFFF

    def draw() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ (state >> 15)) * (1 | state)) & 0xFFFFFFFF
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        return ((t ^ (t >> 14)) + 0.5) / 4294967296

    return draw


def simulate(*, batches: int = _BATCHES, seed: int = 0, **settings: float) -> dict[str, list[float]]:
    """When everything happens in a training loop with a ``DataLoader``.

    Args:
        batches: how many to load and train on.
        seed: of the loading times.
        **settings: ``workers``, ``prefetch`` (batches ahead for each worker), ``batch`` (samples), ``cores``; times in
            milliseconds: ``load`` (waiting for a file, mean for one sample), ``transform`` (computing, for one sample),
            ``step`` (one update), ``handover`` (receiving one batch from a worker), ``startup`` (of a worker); ``jitter``
            from 0 (every sample takes ``load``) to 1 (exponentially distributed with that mean).

    Returns:
        One number for each batch, times in milliseconds from the call of ``iter(loader)``: ``"worker"``; ``"start"`` and
        ``"done"``, when it was made; ``"wait"``, when the loop asked for it; ``"take"``, when it had it; ``"end"`` of the step.

    Raises:
        ValueError: if a setting is unknown or out of range.

    >>> trace = simulate(batches=3, workers=0, batch=1, load=5, jitter=0, transform=0, step=10)
    >>> trace["end"]
    [15.0, 30.0, 45.0]
    """
    s = _settings("simulate", settings)
    draw = _numbers(seed)
    workers, ahead = int(s["workers"]), int(s["prefetch"]) * int(s["workers"])
    compute = s["transform"] * max(1.0, workers / s["cores"])
    trace: dict[str, list[float]] = {key: [] for key in _KEYS}
    free = [s["startup"]] * workers
    now = 0.0
    for k in range(batches):
        cost = sum(s["load"] * (1 - s["jitter"] - s["jitter"] * math.log(draw())) + compute for _ in range(int(s["batch"])))
        wait = now
        if workers:
            asked = 0.0 if k < ahead else trace["take"][k - ahead]
            start = max(free[k % workers], asked)
            free[k % workers] = done = start + cost
            take = max(now, done) + s["handover"]
        else:
            start, done = now, now + cost
            take = done
        now = take + s["step"]
        for key, value in zip(_KEYS, (k % workers if workers else -1, start, done, wait, take, now)):
            trace[key].append(value)
    return trace


def totals(trace: dict[str, list[float]], batch: int) -> dict[str, float]:
    """Samples per second, the share of the time in which the loop waited, and the same without the first batch.

    Args:
        trace: of :func:`simulate` or :func:`record`.
        batch: samples in a batch.

    Returns:
        ``"throughput"`` in samples per second, ``"waiting"`` from 0 to 1, and ``"steady"``, the waiting after the first batch.
    """
    waits = [take - wait for wait, take in zip(trace["wait"], trace["take"])]
    end, first = trace["end"][-1], trace["end"][0]
    later = end - first
    return {"throughput": 1000 * batch * len(waits) / end, "waiting": sum(waits) / end,
            "steady": sum(waits[1:]) / later if later > 0 else 0.0}


class _Timed(Dataset):
    """Samples that take as long as asked, or those of a data set; each says who made it and when."""

    def __init__(self, size: int, load: float, jitter: float, transform: float, seed: int, dataset: Dataset | None):
        self.size, self.load, self.jitter, self.transform, self.dataset = size, load, jitter, transform, dataset
        draw = _numbers(seed)
        self.factors = [1 - jitter - jitter * math.log(draw()) for _ in range(size)]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[int, float, float]:
        start, worker = time.perf_counter(), get_worker_info()
        if self.dataset is not None:
            self.dataset[index % len(self.dataset)]
        else:
            time.sleep(self.load * self.factors[index] / 1000)
            until = time.perf_counter() + self.transform / 1000
            while time.perf_counter() < until:
                pass                                                # a computing transform keeps its core busy
        return -1 if worker is None else worker.id, start, time.perf_counter()


def _bracket(samples: list[tuple[int, float, float]]) -> tuple[int, float, float]:
    return samples[0][0], samples[0][1], samples[-1][2]


def record(dataset: Dataset | None = None, *, batches: int = _BATCHES, seed: int = 0,
           **settings: float) -> dict[str, list[float]]:
    """Run a real ``DataLoader`` and note when everything happened: what :func:`simulate` predicts.

    Args:
        dataset: a data set whose samples are made and thrown away; None sleeps for ``load`` and computes for ``transform``.
        batches: how many to take.
        seed: of the loading times.
        **settings: as in :func:`simulate`; ``cores``, ``handover`` and ``startup`` are those of this machine.

    Returns:
        As :func:`simulate`.

    Raises:
        ValueError: if a setting is unknown or out of range.
    """
    s = _settings("record", settings)
    workers, batch = int(s["workers"]), int(s["batch"])
    timed = _Timed(batches * batch, s["load"], s["jitter"], s["transform"], seed, dataset)
    loader = DataLoader(timed, batch, num_workers=workers, collate_fn=_bracket,
                        prefetch_factor=int(s["prefetch"]) if workers else None)
    trace: dict[str, list[float]] = {key: [] for key in _KEYS}
    begin = time.perf_counter()
    wait = begin
    for worker, start, done in loader:
        take = time.perf_counter()
        time.sleep(s["step"] / 1000)                                # stands for a step on an accelerator
        end = time.perf_counter()
        for key, value in zip(_KEYS[1:], (start, done, wait, take, end)):
            trace[key].append(round(1000 * (value - begin), 1))
        trace["worker"].append(worker)
        wait = end
    return trace


def _settings(owner: str, given: dict[str, float]) -> dict[str, float]:
    strange = given.keys() - SETTINGS.keys()
    if strange:
        raise ValueError(f"{owner}: expected settings among {', '.join(SETTINGS)}, got {min(strange)!r}; check the spelling")
    values = {name: given.get(name, SETTINGS[name][0]) for name in SETTINGS}
    for name, value in values.items():
        _, least, most, whole = SETTINGS[name]
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not least <= value <= most:
            unit = f" {_UNITS[name]}" if name in _UNITS else ""
            raise ValueError(f"{owner}: expected {name} as a {'whole ' * whole}number from {least} to {most}{unit}, got "
                             f"{value!r}; the page has a slider over this range")
    return values


class LoaderTimeline(Widget):
    """Watch a ``DataLoader`` feed a training loop: one bar for each batch that a worker makes, one for each step.

    Args:
        view: ``"simulated"``, or the name of a recorded run (``"png, 2 workers"`` and others).
        seed: of the simulated loading times.
        **settings: see :func:`simulate`; the sliders start there.

    Raises:
        ValueError: if a setting is unknown or out of range.

    With a kernel, a button runs torch's own loader with the settings of the sliders on this machine.
    """

    _name = "loader"
    _height = 860

    workers = traitlets.Int(2).tag(sync=True)
    prefetch = traitlets.Int(2).tag(sync=True)
    batch = traitlets.Int(8).tag(sync=True)
    cores = traitlets.Int(4).tag(sync=True)
    load = traitlets.Float(4.0).tag(sync=True)                      # ms, as all times
    jitter = traitlets.Float(0.5).tag(sync=True)
    transform = traitlets.Float(2.0).tag(sync=True)
    step = traitlets.Float(20.0).tag(sync=True)
    handover = traitlets.Float(1.0).tag(sync=True)
    startup = traitlets.Float(60.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    batches = traitlets.Int(_BATCHES).tag(sync=True)
    limits = traitlets.Dict().tag(sync=True)                        # name -> [least, most, whole number]
    runs = traitlets.List().tag(sync=True)                          # recorded: {"name", "batch", "note", "trace"}
    view = traitlets.Unicode("simulated").tag(sync=True)

    def __init__(self, view: str = "simulated", *, seed: int = 0, **settings: float) -> None:
        values = _settings("LoaderTimeline", settings)
        known = ["simulated", *(run["name"] for run in RECORDED)]
        if view not in known:
            raise ValueError(f"LoaderTimeline: expected view to be one of {', '.join(map(repr, known))}, got {view!r}; "
                             "choose one")
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise ValueError(f"LoaderTimeline: expected seed as a whole number from 0 to {2**32 - 1}, got {seed!r}")
        super().__init__(view=view, seed=seed, runs=[*RECORDED],
                         limits={name: [least, most, whole] for name, (_, least, most, whole) in SETTINGS.items()}, **values)

    def settings(self) -> dict[str, float]:
        """The settings of the sliders, for :func:`simulate` and :func:`record`."""
        return {name: getattr(self, name) for name in SETTINGS}

    def trace(self) -> dict[str, list[float]]:
        """What is shown: see :func:`simulate`."""
        run = next((run for run in self.runs if run["name"] == self.view), None)
        return run["trace"] if run else simulate(batches=self.batches, seed=self.seed, **self.settings())

    def handle(self, message: Any) -> None:
        """Run a real loader with the settings of the sliders: ``{"type": "measure"}``. At most about ten seconds."""
        if not isinstance(message, dict) or message.get("type") != "measure":
            return
        s = self.settings()
        one = s["batch"] * (s["load"] + s["transform"]) + s["step"]                     # ms, without any overlap
        batches = max(3, min(self.batches, int(8000 / max(one, 1))))
        trace = record(batches=batches, seed=self.seed, **s)
        run = {"name": "measured here", "batch": s["batch"], "trace": trace,
               "note": f"this machine, {s['workers']} workers, {torch.get_num_threads()} threads"}
        with self.hold_sync():
            self.runs = [r for r in self.runs if r["name"] != run["name"]] + [run]
            self.view = run["name"]

    def _batch(self) -> int:
        return next((run["batch"] for run in self.runs if run["name"] == self.view), self.batch)

    def summary(self) -> str:
        if self.view != "simulated":
            return f"recorded: {self.view}"
        return (f"{self.workers} workers, batch {self.batch}, {self.load:g} + {self.transform:g} ms a sample, "
                f"step {self.step:g} ms")

    def alt(self) -> str:
        found = totals(self.trace(), self._batch())
        return (f"Timeline of a DataLoader ({self.summary()}). One row for each worker with a bar for each batch that it makes, "
                f"below them the training steps with gaps where the loop waits: {found['waiting']:.0%} of the time.")

    def still(self) -> bytes:
        trace = self.trace()
        rows = sorted(set(trace["worker"]))
        with plots.style():
            figure, axis = plt.subplots(figsize=(6.4, 0.9 + 0.33 * (len(rows) + 2)))
            soft, reader = plots.token("reader-soft"), plots.token("reader")
            for worker, start, done in zip(trace["worker"], trace["start"], trace["done"]):
                axis.barh(rows.index(worker), done - start, left=start, color=soft, edgecolor=reader, height=0.7, linewidth=0.8)
            for wait, take, end in zip(trace["wait"], trace["take"], trace["end"]):
                axis.barh(len(rows), end - take, left=take, color=plots.token("network"), height=0.7)
                axis.barh(len(rows), take - wait, left=wait, color=plots.token("paper"), edgecolor=plots.token("muted"),
                          hatch="////", height=0.7, linewidth=0)
            names = [f"worker {w}" if w >= 0 else "loading" for w in rows]
            axis.set(xlabel="time, ms", yticks=range(len(rows) + 1), yticklabels=[*names, "step"],
                     title=f"{totals(trace, self._batch())['waiting']:.0%} of the time is waiting (hatched)")
            axis.invert_yaxis()
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()
