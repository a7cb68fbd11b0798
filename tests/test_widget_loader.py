"""LoaderTimeline, the Python side: the simulation against torch's own loader, what it accepts, what it ships."""

import io

import pytest
from PIL import Image

from dlnotes.widgets.loader import _KEYS, SETTINGS, LoaderTimeline, record, simulate, totals
from dlnotes.widgets.loader_traces import RECORDED


def by_events(*, workers, prefetch, batch, cores, load, jitter, transform, step, handover, startup, batches, seed):
    """The same loader written as torch has it: index queues, workers that take from them, a loop that asks in order."""
    from dlnotes.widgets.loader import _numbers

    draw = _numbers(seed)
    from math import log

    cost = [sum(load * (1 - jitter - jitter * log(draw())) + transform * max(1, workers / cores) for _ in range(batch))
            for _ in range(batches)]
    queues = [[] for _ in range(workers)]                           # (batch, when it was asked for)
    asked, free, made, ends = 0, [startup] * workers, {}, []

    def ask(when):
        nonlocal asked
        if asked < batches:
            queues[asked % workers].append((asked, when))
            asked += 1

    for _ in range(prefetch * workers):
        ask(0.0)
    now = 0.0
    for k in range(batches):
        for w, waiting in enumerate(queues):                        # every worker empties its queue in order
            while waiting:
                number, when = waiting.pop(0)
                free[w] = made[number] = max(free[w], when) + cost[number]
        now = max(now, made[k]) + handover
        ask(now)
        now += step
        ends.append(now)
    return ends


# ---- the simulation

@pytest.mark.parametrize("workers, prefetch, batch", [(1, 1, 4), (2, 2, 8), (3, 1, 5), (6, 4, 2), (12, 2, 1)])
@pytest.mark.parametrize("jitter", [0, 1])
def test_the_simulation_is_a_queue_of_indices_for_each_worker(workers, prefetch, batch, jitter):
    settings = {"workers": workers, "prefetch": prefetch, "batch": batch, "cores": 4, "load": 3.0, "jitter": jitter,
                "transform": 1.5, "step": 11.0, "handover": 0.5, "startup": 40.0}
    expected = by_events(batches=30, seed=5, **settings)
    assert simulate(batches=30, seed=5, **settings)["end"] == pytest.approx(expected)


def test_without_workers_loading_and_training_take_turns():
    trace = simulate(workers=0, batch=4, load=5, jitter=0, transform=0, step=30)
    assert trace["end"][-1] == pytest.approx(24 * 50) and totals(trace, 4)["waiting"] == pytest.approx(0.4)


def test_enough_workers_hide_the_loading_and_more_change_nothing():
    fast = [simulate(workers=w, batch=4, load=5, jitter=0, transform=0, step=30, handover=0, startup=0) for w in (1, 2, 8)]
    ends = [trace["end"][-1] for trace in fast]
    assert ends == pytest.approx([20 + 24 * 30] * 3) and totals(fast[0], 4)["steady"] == 0


def test_jitter_keeps_the_mean():
    trace = simulate(batches=400, workers=0, batch=8, load=5, jitter=1, transform=0, step=0)
    assert trace["end"][-1] / 3200 == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_real_loader_follows_the_simulation(workers):
    """Sleeping cannot be faster than asked, so the simulation is a bound from below; the order is exact."""
    settings = {"workers": workers, "batch": 4, "load": 4.0, "jitter": 0, "transform": 0.0, "step": 10.0}
    real = record(batches=8, **settings)
    ideal = simulate(batches=8, handover=0, startup=0, **settings)
    assert set(real) == set(_KEYS) and real["worker"] == ideal["worker"]
    assert real["end"][-1] >= 0.98 * ideal["end"][-1]
    for k in range(8):
        assert real["start"][k] <= real["done"][k] <= real["take"][k] + 0.2 and real["take"][k] >= real["wait"][k]


@pytest.mark.parametrize("run", RECORDED, ids=lambda run: run["name"])
def test_the_recorded_runs_obey_the_rules_of_the_loader(run):
    trace, workers = run["trace"], len({w for w in run["trace"]["worker"] if w >= 0})
    assert str(workers) in run["name"] and {len(trace[key]) for key in _KEYS} == {16}
    assert trace["worker"] == [k % workers if workers else -1 for k in range(16)]
    ahead = 2 * workers
    for k in range(16):
        assert trace["take"][k] >= trace["done"][k] - 0.2 and trace["end"][k] >= trace["take"][k] + 19.9
        if workers and k >= ahead:      # a batch is asked for while the loop takes another one: 1 ms for the way there
            assert trace["start"][k] >= trace["take"][k - ahead] - 1


# ---- what it accepts and ships

@pytest.mark.parametrize("settings, message", [
    ({"workers": 2.5}, "expected workers as a whole number from 0 to 12, got 2.5"),
    ({"workers": -1}, "workers as a whole number from 0"), ({"batch": 0}, "batch as a whole number from 1"),
    ({"jitter": 2}, "expected jitter as a number from 0 to 1"), ({"step": "fast"}, "expected step as a number from 0 to 200 ms"),
    ({"worker": 2}, "expected settings among workers, prefetch, .*got 'worker'"), ({"view": "real"}, "expected view to be one of"),
    ({"seed": -1}, "expected seed as a whole number")])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        LoaderTimeline(**settings)


def test_the_default_is_stable_and_already_waits():
    widget = LoaderTimeline()
    assert repr(widget) == "LoaderTimeline(2 workers, batch 8, 4 + 2 ms a sample, step 20 ms)"
    assert totals(widget.trace(), 8)["steady"] > 0.1 and set(widget.limits) == set(SETTINGS)


@pytest.mark.parametrize("settings", [{}, {"workers": 0}, {"workers": 12}, {"view": RECORDED[1]["name"]}])
def test_the_still_picture_is_small_and_described(settings):
    widget = LoaderTimeline(**settings)
    assert len(widget.still()) < 60_000 and Image.open(io.BytesIO(widget.still())).width > 400
    assert "waits" in widget.alt()


def test_the_page_may_ask_for_a_measurement():
    widget = LoaderTimeline(workers=1, batch=2, load=1, jitter=0, transform=0.5, step=2)
    widget.batches = 4
    widget.handle({"type": "measure"})
    assert widget.view == "measured here" and widget.trace()["worker"] == [0] * 4 and widget._batch() == 2
    widget.handle({"type": "measure"})
    assert [run["name"] for run in widget.runs].count("measured here") == 1
    widget.handle({"type": "something"})


def test_one_file_holds_everything(tmp_path):
    path = tmp_path / "loader.html"
    LoaderTimeline().to_html(path)
    assert len(path.read_text(encoding="utf-8")) < 200_000
