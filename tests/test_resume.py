"""A run that is killed, or fills the disk, and is taken up again equals one left alone; nothing is ever overwritten."""

import errno
import functools
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kill_and_resume import Noisy, everything
from torch import nn

from dlnotes.training import (DamagedCheckpoint, checkpoint, fit, list_checkpoints, read_checkpoint, read_log,
                              write_checkpoint)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("DLNOTES_PROGRESS", "0")
    monkeypatch.setenv("DLNOTES_DEVICE", "cpu")


class Stop(BaseException):
    """Like a kill: nobody catches it."""


def network(width: int = 16) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(8, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 2))


def go(folder, model=None, stop: int | None = None, **changes):
    """A small run with everything in it; ``stop`` ends it in the loss of that batch."""
    calls = [0]

    def loss(output, target):
        calls[0] += torch.is_grad_enabled()
        if calls[0] == stop:
            raise Stop
        return F.cross_entropy(output, target) + 0.01 * random.random() + 0.01 * np.random.rand()

    model = network() if model is None else model
    settings = {"epochs": 3, "val": Noisy(10), "lr": 0.02, "batch_size": 8, "ema": 0.8, "checkpoint_every": 2, "log": "csv"}
    result = fit(model, Noisy(30), loss=loss, folder=folder, **(settings | changes))
    return result, model


def same(a: Path, b: Path) -> bool:
    return everything(a) == everything(b)


# ---------------------------------------------------------------- killed

@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX")
def test_more_than_twenty_kills_at_random_moments(tmp_path):
    """SIGKILL, from outside, many runs: the bits of weights, average, optimizer, generators and tables are equal."""
    script = Path(__file__).with_name("kill_and_resume.py")
    done = subprocess.run([sys.executable, script, tmp_path, "24", "0"], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["kills"] >= 24 and not any(said["differences"]), said
    assert len(set(said["stood"])) >= 6                                     # not always at the same place


@pytest.mark.parametrize("changes", [
    {},
    {"accumulate": 3, "clip": 0.1, "schedule": "cosine", "warmup": 3},
    {"ema": None, "optimizer": functools.partial(torch.optim.SGD, momentum=0.9), "schedule": "linear"},
    {"precision": "bf16", "checkpoint_every": 1},
    {"checkpoint_every": None, "early_stop": 1, "epochs": 6},
    {"num_workers": 1},
], ids=lambda changes: ", ".join(changes) or "plain")
def test_stopped_in_any_batch(tmp_path, changes):
    whole, _ = go(tmp_path / "alone", **changes)
    batches = [row["update"] for row in whole.history][-1] * changes.get("accumulate", 1)
    stops = [2, batches] if changes.get("num_workers") else range(1, batches + 1, 1 if not changes else 3)
    for stop in stops:
        run = tmp_path / f"stopped-{stop}"
        try:
            go(run, stop=stop, **changes)
        except Stop:
            again, model = go(run, **changes)
            assert again.history == whole.history and again.best_epoch == whole.best_epoch
            assert all(torch.equal(again.best_weights[name], x) for name, x in whole.best_weights.items())
        assert same(run, tmp_path / "alone")


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_time_limit_stops_with_a_checkpoint_and_the_next_session_goes_on(tmp_path, monkeypatch, accumulate):
    settings = {"log": "csv", "accumulate": accumulate, "checkpoint_every": None}
    whole, _ = go(tmp_path / "whole", **settings)
    assert whole.finished
    clock = iter(range(10**6))                                              # a second passes whenever somebody looks
    monkeypatch.setattr(sys.modules["dlnotes.training.loop"], "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.modules["dlnotes.training.fit"], "monotonic", lambda: next(clock))
    sessions = 0
    while sessions < 40:
        result, _ = go(tmp_path / "parts", time_limit=2.5, **settings)
        sessions += 1
        if result.finished:
            break
        assert "stopped by the time limit" in repr(result)
    assert sessions >= whole.updates // 3 > 1 and result.updates == whole.updates
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_a_time_limit_at_the_end_of_an_epoch_does_not_begin_the_next(tmp_path, monkeypatch):
    updates = iter(range(10**6))                                            # 4 in an epoch; the clock counts them
    monkeypatch.setattr(sys.modules["dlnotes.training.loop"], "monotonic", lambda: next(updates))
    monkeypatch.setattr(sys.modules["dlnotes.training.fit"], "monotonic", lambda: 0)
    result, _ = go(tmp_path / "run", time_limit=2.5, checkpoint_every=None)
    assert result.updates == 4 and len(result.history) == 1 and not result.finished


def test_a_time_limit_needs_a_folder_and_a_positive_number():
    with pytest.raises(ValueError, match="expected a folder for .* time_limit"):
        go(None, time_limit=60, checkpoint_every=None)
    with pytest.raises(ValueError, match="expected time_limit to be a number above 0, got 0"):
        go(None, time_limit=0, checkpoint_every=None)


def test_schedulers_of_torch_resume_too(tmp_path):
    def start(run, stop=None):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
        return go(run, model, stop, optimizer=optimizer, schedule=plateau, lr=None, epochs=5)

    whole, _ = start(tmp_path / "alone")
    with pytest.raises(Stop):
        start(tmp_path / "run", stop=15)
    again, _ = start(tmp_path / "run")
    assert same(tmp_path / "run", tmp_path / "alone")
    assert again.history == whole.history and len({row["lr"] for row in whole.history}) > 2


def test_stopped_at_every_touch_of_the_disk(tmp_path, monkeypatch):
    """Half-written files, missing renames, half-deleted folders: at each of them the run ends, and is taken up again."""
    go(tmp_path / "alone", epochs=2)
    places = [(checkpoint, "_write"), (os, "replace"), (os, "fsync"), (shutil, "rmtree"), (os, "truncate")]
    count = {"left": -1}

    def watch(place, name):
        real = getattr(place, name)

        def touched(*args, **kwargs):
            count["left"] -= 1
            if count["left"] == 0:
                if name == "_write":
                    Path(args[0]).write_bytes(args[1][:len(args[1]) // 2])
                if name == "rmtree" and Path(args[0]).is_dir():
                    next(Path(args[0]).iterdir()).unlink()
                raise Stop
            return real(*args, **kwargs)
        monkeypatch.setattr(place, name, touched)

    for place, name in places:
        watch(place, name)
    stopped = 0
    for touch in range(1, 10_000, 2):
        count["left"] = touch
        run = tmp_path / f"run{touch}"
        try:
            go(run, epochs=2)
        except Stop:
            stopped += 1
            count["left"] = -1
            go(run, epochs=2)
            assert same(run, tmp_path / "alone")
            shutil.rmtree(run)
        else:
            break
    assert stopped > 30


def test_a_finished_run_is_read_and_not_run_again(tmp_path):
    whole, model = go(tmp_path / "run")
    before = everything(tmp_path / "run")
    again, fresh = go(tmp_path / "run", stop=1)                             # a single batch would stop it
    assert again.history == whole.history and again.best_epoch == whole.best_epoch and again.updates == whole.updates
    assert all(torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), model.state_dict().values()))
    assert all(torch.equal(again.best_weights[name], x) for name, x in whole.best_weights.items())
    assert everything(tmp_path / "run") == before


def test_more_epochs_go_on_where_the_run_ended(tmp_path):
    go(tmp_path / "long", epochs=5)
    go(tmp_path / "run", epochs=2)
    go(tmp_path / "run", epochs=5)
    assert same(tmp_path / "run", tmp_path / "long")
    assert [json.loads(line)["epochs"] for line in (tmp_path / "run" / "sessions.jsonl").read_text().splitlines()] == [5]
    result, _ = go(tmp_path / "run", epochs=2)                      # fewer: it is finished, with all that there is
    assert result.finished and len(result.history) == 5
    go(tmp_path / "bent", epochs=2, schedule="cosine")
    with pytest.raises(ValueError, match="got epochs: 2 -> 5; "):           # the cosine would bend elsewhere
        go(tmp_path / "bent", epochs=5, schedule="cosine")


def test_tensorboard_forgets_what_is_written_again(tmp_path):
    with pytest.raises(Stop):
        go(tmp_path / "run", stop=8, log=("csv", "tensorboard"), checkpoint_every=None)
    go(tmp_path / "run", log=("csv", "tensorboard"), checkpoint_every=None)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("update/loss")] == list(range(1, 13))


def test_another_number_of_processes_is_said(tmp_path):
    with pytest.raises(Stop):
        go(tmp_path / "run", stop=7)
    path = list_checkpoints(tmp_path / "run")[-1]
    weights, state = read_checkpoint(path)
    state["generators"] *= 2                                                # as two processes would have left it
    write_checkpoint(tmp_path / "run", int(path.name), weights, state)
    with pytest.warns(RuntimeWarning, match="left by 2 processes and goes on with 1; order and augmentation stay the same"):
        go(tmp_path / "run")


# ---------------------------------------------------------------- full disks

def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    go(tmp_path / "alone")
    real = checkpoint._write
    for fatal in range(2, 20, 3):
        run, writes = tmp_path / f"run{fatal}", [0]

        def full(path, data):
            writes[0] += 1
            if writes[0] >= fatal:
                path.write_bytes(data[:len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(path, data)

        monkeypatch.setattr(checkpoint, "_write", full)
        sentence = ("fit: expected to write .* in .*, got No space left on device; free some room, then call fit again: "
                    "training goes on from the last whole checkpoint")
        with pytest.raises(OSError, match=sentence) as caught:
            go(run)
        assert caught.value.errno == errno.ENOSPC
        monkeypatch.setattr(checkpoint, "_write", real)
        assert not list(run.rglob("*.partial"))                             # the room is given back
        for path in list_checkpoints(run):
            read_checkpoint(path)
        go(run)
        assert same(run, tmp_path / "alone")


def test_a_full_disk_while_the_table_is_written(tmp_path, monkeypatch):
    go(tmp_path / "alone")
    from dlnotes.training import log

    with monkeypatch.context() as patch:
        def full(table):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(log._Table, "length", full)
        with pytest.raises(OSError, match="expected to write the log in .*No space left on device; free some room"):
            go(tmp_path / "run")
    go(tmp_path / "run")
    assert same(tmp_path / "run", tmp_path / "alone")


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
def test_a_real_limit_of_the_system(tmp_path):
    """The system itself refuses to write more than 20 KB to a file; the weights have 70 KB."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="fit: expected to write .*, got File too large; free some room"):
            go(tmp_path / "run", network(width=1600))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    go(tmp_path / "run", network(width=1600))
    go(tmp_path / "alone", network(width=1600))
    assert same(tmp_path / "run", tmp_path / "alone")


# ---------------------------------------------------------------- damage

def damage(path: Path, how: str) -> None:
    if how == "a bit":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("file", ["weights.safetensors", "ema.safetensors", "state.pt", "manifest.json"])
@pytest.mark.parametrize("how", ["a bit", "cut", "empty", "gone"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(tmp_path, file, how):
    go(tmp_path / "alone")
    with pytest.raises(Stop):
        go(tmp_path / "run", stop=8)
    before, last = list_checkpoints(tmp_path / "run")
    damage(last / file, how)
    left = {p.name: p.read_bytes() for p in last.iterdir()}
    with pytest.warns(RuntimeWarning, match=rf"expected .*{last.name}.*; it is kept as {last.name}\.damaged"):
        go(tmp_path / "run")
    assert same(tmp_path / "run", tmp_path / "alone")
    aside = tmp_path / "run" / "checkpoints" / f"{last.name}.damaged"
    assert {p.name: p.read_bytes() for p in aside.iterdir()} == left


def test_when_all_are_damaged_the_run_does_not_begin_again(tmp_path):
    with pytest.raises(Stop):
        go(tmp_path / "run", stop=8)
    table = (tmp_path / "run" / "updates.csv").read_bytes()
    for path in list_checkpoints(tmp_path / "run"):
        damage(path / "state.pt", "a bit")
    with pytest.warns(RuntimeWarning), pytest.raises(DamagedCheckpoint, match="expected a whole checkpoint in .*, got only"):
        go(tmp_path / "run")
    with pytest.raises(DamagedCheckpoint, match=r"only damaged ones \(.*\.damaged, .*\.damaged\); restore one from a copy"):
        go(tmp_path / "run")
    assert (tmp_path / "run" / "updates.csv").read_bytes() == table


def test_checkpoints_hold_no_code(tmp_path):
    go(tmp_path / "run")
    path = list_checkpoints(tmp_path / "run")[-1]
    state = torch.load(path / "state.pt", weights_only=True)
    assert state["position"]["update"] == int(path.name) == 12
    assert {p.name for p in path.iterdir()} == {"weights.safetensors", "ema.safetensors", "state.pt", "manifest.json"}
    assert len(list_checkpoints(tmp_path / "run")) == 2


# ---------------------------------------------------------------- whose folder is it?

@pytest.mark.parametrize("change, words", [
    ({"lr": 0.03}, r"got optimizer\.lr: 0\.02 -> 0\.03; "),
    ({"batch_size": 4, "seed": 5}, r"data\.batch_size: 8 -> 4; .*seed: 0 -> 5"),
    ({"ema": None}, r"got ema: 0\.8 -> None"),
    ({"optimizer": torch.optim.SGD}, r"optimizer\.class: 'torch\.optim\.adamw\.AdamW' -> 'torch\.optim\.sgd\.SGD'"),
    ({"val": Noisy(11)}, r"val\.samples: 10 -> 11"),
    ({"model": network(17)}, r"model\.parameters: .*model\.layers: '\(0\): Linear\(in_features=8, out_features=16, .*' -> "),
])
def test_a_changed_configuration_is_named_and_nothing_is_touched(tmp_path, change, words):
    go(tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=rf"expected the configuration that the run in .* was started with, .*{words}"):
        go(tmp_path / "run", **change)
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    for resume in ("auto", "never"):
        with pytest.raises(FileExistsError, match="expected a new or empty folder, or one that holds a run, got "
                                                  ".*thesis with chapter.tex; choose another folder"):
            go(tmp_path / "thesis", resume=resume)
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_resume_must_and_never(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a run to continue in .*, got no config.json there"):
        go(tmp_path / "run", resume="must")
    assert not (tmp_path / "run").exists()
    go(tmp_path / "run", resume="never")
    with pytest.raises(FileExistsError, match="expected a new or empty folder for resume='never', .* which holds a run; "):
        go(tmp_path / "run", resume="never")
    result, _ = go(tmp_path / "run", resume="must")
    assert result.history == read_log(tmp_path / "run")


def test_a_damaged_configuration_is_named(tmp_path):
    go(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{")
    with pytest.raises(ValueError, match="expected the configuration of a run in .*config.json, got a damaged file"):
        go(tmp_path / "run")
