"""fit is the loop one would write by hand, on any number of processes; and it says in one sentence what is wrong."""

import functools
import inspect
import json
import math
import os
import random
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset, WeightedRandomSampler

from dlnotes import optim
from dlnotes.checkpoints import load_weights
from dlnotes.data import Augmented as Drawn
from dlnotes.metrics import ConfusionMatrix
from dlnotes.training import EMA, EpochLoader, NonFiniteLoss, evaluate, find_non_finite, fit, loop, read_log
from dlnotes.training.sampler import sample_seed


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("DLNOTES_PROGRESS", "0")
    monkeypatch.setenv("DLNOTES_DEVICE", "cpu")


def points(n: int = 50, dtype=torch.float64, seed: int = 0) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator, dtype=dtype)
    return TensorDataset(x, (x[:, 0] + 0.5 * x[:, 1] ** 2 > 0).long())


def network(dtype=torch.float64, dropout: float = 0.0, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 2)).to(dtype)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


SGD = functools.partial(torch.optim.SGD, momentum=0.9)


# ---------------------------------------------------------------- the loop

def test_it_is_the_loop_that_one_would_write():
    """Bit for bit, dropout included: same order, same updates."""
    data, by_hand, model = points(), network(dropout=0.2), network(dropout=0.2)
    result = fit(model, data, loss=F.cross_entropy, epochs=3, batch_size=8, lr=0.05, seed=3)
    torch.manual_seed(3)
    optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.05)
    for epoch in range(3):
        total = 0.0
        for indices in EpochLoader(data, batch_size=8, shuffle=True, seed=3).order(epoch):
            x, y = data[indices]
            loss = F.cross_entropy(by_hand(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(indices)
        assert result.history[epoch]["loss"] == pytest.approx(total / 50, abs=1e-12)
    assert torch.equal(weights(model), weights(by_hand))
    assert not model.training and result.updates == 21


def test_the_loop_fits_on_a_page():
    lines = inspect.getsource(loop.train).splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 125


@given(n=st.integers(1, 40), batch=st.integers(1, 9), accumulate=st.integers(1, 5), wide=st.booleans())
@settings(max_examples=25, deadline=None)
def test_accumulating_equals_the_big_batch(n, batch, accumulate, wide):
    """Whatever the sizes: last batches and last groups that are not full count by their samples."""
    dtype, tolerance = (torch.float64, 1e-12) if wide else (torch.float32, 1e-6)
    small, big = network(dtype), network(dtype)
    common = {"loss": F.cross_entropy, "epochs": 2, "optimizer": SGD, "lr": 0.1, "clip": 0.5}
    parts = fit(small, points(n, dtype), batch_size=batch, accumulate=accumulate, **common)
    whole = fit(big, points(n, dtype), batch_size=batch * accumulate, **common)
    assert parts.updates == whole.updates == 2 * math.ceil(n / (batch * accumulate))
    assert torch.allclose(weights(small), weights(big), rtol=0, atol=tolerance)
    for a, b in zip(parts.history, whole.history):
        assert a["loss"] == pytest.approx(b["loss"], abs=10 * tolerance)


def test_clipping_shortens_the_gradient():
    before = network()
    model, data = network(), points(16)
    fit(model, data, loss=lambda out, y: 100 * F.cross_entropy(out, y), epochs=1, batch_size=16, optimizer=torch.optim.SGD,
        lr=1.0, clip=0.25)
    (100 * F.cross_entropy(before(data.tensors[0]), data.tensors[1])).backward()
    gradient = torch.cat([p.grad.flatten() for p in before.parameters()])
    assert gradient.norm() > 0.25
    assert torch.allclose(weights(model), weights(before) - 0.25 * gradient / gradient.norm(), atol=1e-6)


@pytest.mark.parametrize("schedule, warmup, expected", [
    ("constant", 0, lambda step: 1.0),
    ("cosine", 0, optim.cosine(12)),
    ("linear", 3, optim.warm_up(3, optim.linear(1.0, 0.0, 9))),
    (optim.halving(5), 2, optim.warm_up(2, optim.halving(5))),
])
def test_schedules_are_functions_of_the_update(tmp_path, schedule, warmup, expected):
    fit(network(), points(24), loss=F.cross_entropy, epochs=4, batch_size=8, lr=0.1, schedule=schedule, warmup=warmup,
        folder=tmp_path / "run", log="csv")
    rates = [row["lr"] for row in read_log(tmp_path / "run" / "updates.csv")]
    assert rates == pytest.approx([0.1 * expected(step) for step in range(12)])


def test_a_scheduler_of_torch_is_stepped(tmp_path):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = fit(model, points(16), loss=F.cross_entropy, epochs=4, batch_size=8, optimizer=optimizer,
                 schedule=StepLR(optimizer, step_size=2, gamma=0.5))
    assert [row["lr"] for row in result.history] == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_plateau_looks_at_the_monitored_score():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=1, threshold=0.9)   # never reached
    result = fit(model, points(16), loss=F.cross_entropy, epochs=5, val=points(8, seed=1), optimizer=optimizer,
                 schedule=schedule)
    assert [row["lr"] for row in result.history] == pytest.approx([0.01] * 3 + [0.001] * 2)


@pytest.mark.parametrize("optimizer", [optim.AdamW, functools.partial(optim.SGD, momentum=0.9, nesterov=True)])
def test_the_optimizers_of_the_course_work_too(optimizer):
    first = fit(network(), points(), loss=F.cross_entropy, epochs=10, optimizer=optimizer, lr=0.05).history
    assert first[-1]["loss"] < 0.8 * first[0]["loss"]


def test_the_average_is_evaluated_kept_and_handed_back(tmp_path):
    data, model, by_hand = points(24), network(), network()
    held_out = points(10, seed=1)
    result = fit(model, data, loss=F.cross_entropy, epochs=2, val=held_out, batch_size=8, optimizer=torch.optim.SGD, lr=0.5,
                 ema=0.7, folder=tmp_path / "run")
    average, optimizer = EMA(by_hand, 0.7), torch.optim.SGD(by_hand.parameters(), lr=0.5)
    for epoch in range(2):
        for indices in EpochLoader(data, batch_size=8, shuffle=True).order(epoch):
            optimizer.zero_grad()
            F.cross_entropy(by_hand(data[indices][0]), data[indices][1]).backward()
            optimizer.step()
            average.update(by_hand)
    assert torch.equal(weights(model), weights(average.module)) and not torch.equal(weights(model), weights(by_hand))
    x, y = held_out.tensors
    assert result.history[-1]["val_loss"] == pytest.approx(F.cross_entropy(average.module(x), y).item(), abs=1e-12)
    fresh = network(seed=9)
    load_weights(fresh, tmp_path / "run" / "best.safetensors")
    assert result.best_epoch == 2 and torch.equal(weights(fresh), weights(model))


def test_the_average_of_a_network_takes_its_running_statistics_as_they_are():
    norm = nn.BatchNorm1d(2)
    average = EMA(norm, 0.9)
    norm(torch.randn(8, 2) + 5)
    average.update(norm)
    assert all(torch.equal(a, b) for a, b in zip(average.module.buffers(), norm.buffers()))
    assert norm.num_batches_tracked == 1 and norm.running_mean.abs().min() > 0.1


def test_an_average_is_the_weighted_sum_of_all_that_it_saw():
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 5.0)
    ema, expected = EMA(model, 0.5), 5.0
    for t, value in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0], start=1):
        nn.init.constant_(model.weight, value)
        ema.update(model)
        decay = min(0.5, (1 + t) / (10 + t))                                # 2/11, 3/12, ... and 1/2 from t = 8 on
        expected = decay * expected + (1 - decay) * value
        assert ema.module.weight.item() == pytest.approx(expected, rel=1e-12)
    assert decay == 0.5 and not ema.module.weight.requires_grad


# ---------------------------------------------------------------- best, early stop, evaluation

class Scripted:
    """A metric that says what it is told, one number for each epoch."""

    def __init__(self, *values: float):
        self.values, self.epoch, self.seen = values, 0, 0

    def reset(self):
        self.seen = 0

    def update(self, prediction, target):
        self.epoch += self.seen == 0
        self.seen += len(target)

    def compute(self):
        return {"score": self.values[max(self.epoch, 1) - 1]}


@pytest.mark.parametrize("mode, scores, best, epochs", [
    (None, (0.1, 0.5, 0.4, 0.5, 0.9, 0.9), 2, 4),           # higher is better; a tie is not better
    ("min", (0.5, 0.4, 0.6, 0.3, 0.6, 0.6, 0.2), 4, 6),
    ("max", (math.nan, 0.2, math.nan, 0.1), 2, 4),          # an undefined score is never the best
])
def test_early_stop_and_best_weights(mode, scores, best, epochs):
    model, snapshots = network(), []
    metric = Scripted(*scores, 0.0)

    def loss(output, target):
        if not torch.is_grad_enabled() and metric.epoch == len(snapshots):
            snapshots.append(weights(model).clone())                        # first batch of an evaluation
        return F.cross_entropy(output, target)

    result = fit(model, points(16), loss=loss, epochs=20, val=points(8, seed=1), metrics=metric, monitor="val_score",
                 mode=mode, early_stop=2)
    assert len(result.history) == epochs and result.best_epoch == best
    model.load_state_dict(result.best_weights)
    assert torch.equal(weights(model), snapshots[best - 1])


def test_scores_are_those_of_the_whole_set():
    model, held_out, seen = network(), points(37, seed=1), ConfusionMatrix(2)
    result = fit(model, points(), loss=F.cross_entropy, epochs=2, val=held_out, metrics=ConfusionMatrix(2), batch_size=8)
    x, y = held_out.tensors
    assert result.history[-1]["val_loss"] == pytest.approx(F.cross_entropy(model(x), y).item(), abs=1e-12)
    assert result.history[-1]["val_accuracy"] == (model(x).argmax(1) == y).double().mean().item()
    again = evaluate(model.train(), held_out, loss=F.cross_entropy, metrics=seen, batch_size=5)
    assert again["loss"] == pytest.approx(result.history[-1]["val_loss"], abs=1e-12)
    assert again["accuracy"] == result.history[-1]["val_accuracy"] and seen.matrix.sum() == 37 and model.training


def test_several_metrics_have_names():
    result = fit(network(), points(), loss=F.cross_entropy, epochs=1, val=points(8), monitor="val_b_score",
                 metrics={"a": ConfusionMatrix(2), "b": Scripted(0.5)})
    assert {"val_a_accuracy", "val_b_score"} <= result.history[0].keys()


# ---------------------------------------------------------------- samples and their order

class Augmented(Dataset):
    """Samples as dicts; each reading draws from three generators."""

    def __len__(self):
        return 23

    def __getitem__(self, i):
        if i >= 23:
            raise IndexError
        noise = torch.randn(4, dtype=torch.float64) + random.gauss(0, 1) + np.random.standard_normal()
        return {"image": noise + i, "label": i % 2, "name": f"pic_{i:02d}.png"}


def drawn(loader: EpochLoader, epoch: int, start: int = 0) -> dict[str, torch.Tensor]:
    return {name: x for batch in loader.batches(epoch, start)
            for name, x in zip(batch.content["name"][:batch.count], batch.content["image"])}


def test_what_is_drawn_depends_on_seed_epoch_and_position_alone():
    one = drawn(EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=1), 2)
    assert len(one) == 23
    for loader in (EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=1, num_workers=2),
                   EpochLoader(DataLoader(Augmented(), batch_size=3, shuffle=True), seed=1)):
        other = drawn(loader, 2)
        assert list(other) == list(one) and all(torch.equal(other[name], one[name]) for name in one)
    halves = [drawn(EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=1, process=p, processes=2), 2) for p in (0, 1)]
    assert not halves[0].keys() & halves[1].keys()
    assert all(torch.equal((halves[0] | halves[1])[name], one[name]) for name in one)
    late = drawn(EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=1), 2, start=3)
    assert list(late) == list(one)[15:] and all(torch.equal(late[name], one[name]) for name in late)
    for other in (drawn(EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=2), 2),
                  drawn(EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=1), 3)):
        assert list(other) != list(one) and not any(torch.equal(other[name], one[name]) for name in one)


def test_reading_does_not_disturb_the_callers_generators():
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    drawn(EpochLoader(Augmented(), batch_size=5, shuffle=True, seed=1), 0)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected


def test_seeds_of_the_samples_of_an_epoch_are_all_different():
    assert len({sample_seed(0, 3, i) for i in range(50_000)}) == 50_000


def draw(item: dict) -> dict:
    return {**item, "image": torch.rand(1)}


class Blank(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {"image": torch.zeros(1), "label": index}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_set_with_seeds_of_its_own_is_told_the_epoch(workers):
    """Augmented, Degraded and the folders seed every sample themselves: without the epoch, all epochs would be alike."""
    inside = Subset(Drawn(Blank(), draw, seed=7), range(5))
    loader = EpochLoader(ConcatDataset([inside, Blank()]), batch_size=11, num_workers=workers)

    def seen(epoch: int) -> list[float]:
        return next(iter(loader.batches(epoch))).content["image"][:5, 0].tolist()

    epochs = [seen(epoch) for epoch in range(3)]
    assert len({x for drawn in epochs for x in drawn}) == 15
    assert [seen(2), seen(0)] == [epochs[2], epochs[0]]
    loader.close()


def test_a_loaders_own_sampler_is_kept():
    sampler = WeightedRandomSampler([1.0] * 10 + [0.0] * 40, 30, generator=torch.Generator())
    loader = EpochLoader(DataLoader(points(), sampler=sampler, batch_size=7), seed=0)
    orders = [loader.order(epoch) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert [len(batch) for batch in orders[0]] == [7, 7, 7, 7, 2] and max(max(batch) for batch in orders[0]) < 10

    class ByLength:
        def __iter__(self):
            yield from random.sample([[0, 1], [2], [3, 4, 5]], 3)

        def __len__(self):
            return 3

    loader = EpochLoader(DataLoader(points(), batch_sampler=ByLength()), seed=0)
    assert sorted(loader.order(0)) == [[0, 1], [2], [3, 4, 5]] and loader.order(7) == loader.order(7)
    assert {tuple(map(tuple, loader.order(epoch))) for epoch in range(20)} > {tuple(map(tuple, loader.order(0)))}


def test_data_sets_that_read_many_at_once_are_asked_so():
    class Many(Dataset):
        asked = []

        def __len__(self):
            return 10

        def __getitems__(self, indices):
            self.asked.append(indices)
            return [(torch.randn(4, dtype=torch.float64), i % 2) for i in indices]

    for data in (Many(), Subset(Many(), range(10))):
        first, again = ([b.content[0] for b in EpochLoader(data, batch_size=4, seed=0).batches(0)] for _ in range(2))
        assert all(map(torch.equal, first, again))
    assert Many.asked[:3] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("n, processes", [(1, 3), (2, 4), (7, 2), (7, 3), (9, 4)])
def test_processes_share_a_batch_without_overlap(n, processes):
    parts = [next(EpochLoader(points(n), batch_size=n, process=p, processes=processes).batches(0)) for p in range(processes)]
    assert sum((part.indices[:part.count] for part in parts), []) == list(range(n))
    assert all(part.size == n and len(part.indices) >= 1 for part in parts)                  # nobody stands still


def test_samples_are_pairs_or_dicts_or_unpacked(tmp_path):
    fit(network(), Augmented(), loss=F.cross_entropy, epochs=1)
    triples = TensorDataset(torch.zeros(6, 1), *points(6).tensors)
    fit(network(), triples, loss=F.cross_entropy, epochs=1, unpack=lambda batch: (batch[1], batch[2]))
    with pytest.raises(ValueError, match=r"pairs \(input, target\) or dicts, got 3 parts; pass unpack="):
        fit(network(), triples, loss=F.cross_entropy, epochs=1)


# ---------------------------------------------------------------- mixed precision

class Spy(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        self.dtypes = getattr(self, "dtypes", set()) | {y.dtype}
        return y


def test_bf16_computes_in_bf16_and_keeps_the_weights():
    spy = Spy(4, 2)
    given = []

    def loss(output, target):
        given.append(output.dtype)
        return F.cross_entropy(output, target)

    result = fit(spy, points(32, torch.float32), loss=loss, epochs=3, val=points(8, torch.float32), lr=0.05,
                 precision="bf16", ema=0.9)
    assert spy.dtypes == {torch.bfloat16} and spy.weight.dtype == torch.float32 and set(given) == {torch.float32}
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert "forward" not in vars(spy) and spy(torch.zeros(1, 4)).dtype == torch.float32       # autocast ended with the call


def test_one_process_may_use_several_precisions_and_its_own_accelerator():
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    assert not AcceleratorState._shared_state
    fit(network(), points(8), loss=F.cross_entropy, epochs=1)
    assert not AcceleratorState._shared_state                               # so notebook_launcher may follow
    mine = Accelerator(cpu=True, mixed_precision="no")
    try:
        fit(network(torch.float32), points(8, torch.float32), loss=F.cross_entropy, epochs=1, precision="bf16")
        assert mine.mixed_precision == "no" and mine.num_processes == 1
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_fp16_needs_cuda():
    with pytest.raises(ValueError, match="expected a CUDA device for precision='fp16', got the CPU; use precision='bf16'"):
        fit(network(), points(), loss=F.cross_entropy, epochs=1, precision="fp16")


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["no", "fp16", "bf16"])
def test_precisions_on_cuda(precision, tmp_path):
    spy = nn.Sequential(Spy(4, 16), nn.ReLU(), nn.Linear(16, 2))
    result = fit(spy, points(64, torch.float32), loss=F.cross_entropy, epochs=20, val=points(16, torch.float32), lr=0.02,
                 clip=1.0, precision=precision, device="cuda", folder=tmp_path / "run", accumulate=2, ema=0.9)
    assert spy[0].dtypes == {{"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]}
    assert result.history[-1]["loss"] < 0.7 * result.history[0]["loss"]


@pytest.mark.cuda
def test_fp16_skips_an_update_that_overflows(tmp_path):
    """The first scale is 65536: a loss of about 1000 overflows in half precision; the scale is halved, and it goes on."""
    model = network(torch.float32)
    fit(model, points(32, torch.float32), loss=lambda out, y: 1000 * F.cross_entropy(out, y), epochs=4, batch_size=8,
        lr=0.01, precision="fp16", device="cuda", folder=tmp_path / "run")
    rows = read_log(tmp_path / "run" / "updates.csv")
    assert not math.isfinite(rows[0]["gradient_norm"]) and math.isfinite(rows[-1]["gradient_norm"])
    assert all(math.isfinite(p.sum()) for p in model.parameters())


# ---------------------------------------------------------------- what is written down

def test_tables_events_and_pictures(tmp_path):
    def pictures(model):
        torch.rand(1), np.random.rand(), random.random()                    # must not change the run
        assert not model.training and not torch.is_grad_enabled()
        return {"weights": model[0].weight.sigmoid(), "colour": torch.rand(3, 5, 6)}

    common = {"loss": F.cross_entropy, "epochs": 3, "val": points(8, seed=1), "batch_size": 16,
              "metrics": ConfusionMatrix(2)}
    result = fit(network(dropout=0.1), points(), folder=tmp_path / "run", pictures=pictures, **common)
    plain = fit(network(dropout=0.1), points(), **common)
    assert result.history == plain.history and plain.folder is None
    assert read_log(tmp_path / "run") == result.history
    updates = read_log(tmp_path / "run" / "updates.csv")
    assert [row["update"] for row in updates] == list(range(1, 13))
    assert [row["epoch"] for row in updates] == [1] * 4 + [2] * 4 + [3] * 4
    assert updates[0].keys() == {"update", "epoch", "loss", "lr", "gradient_norm"}

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("update/loss")] == list(range(1, 13))
    accuracies = [row["val_accuracy"] for row in result.history]
    assert [e.value for e in events.Scalars("val/accuracy")] == pytest.approx(accuracies)
    assert [e.step for e in events.Images("colour")] == [4, 8, 12]

    from PIL import Image
    with Image.open(tmp_path / "run" / "pictures" / "colour" / "epoch-0003.png") as picture:
        assert picture.size == (6, 5) and picture.mode == "RGB"
    assert len((tmp_path / "run" / "times.csv").read_text().splitlines()) == 4


def test_rows_can_be_fewer_and_kinds_chosen(tmp_path):
    fit(network(), points(), loss=F.cross_entropy, epochs=1, batch_size=5, folder=tmp_path / "a", log="csv", log_every=4)
    assert [row["update"] for row in read_log(tmp_path / "a" / "updates.csv")] == [4, 8]
    assert not (tmp_path / "a" / "tensorboard").exists()
    fit(network(), points(), loss=F.cross_entropy, epochs=1, folder=tmp_path / "b", log=())
    assert not list((tmp_path / "b").glob("*.csv"))


def test_the_folder_says_what_the_run_is(tmp_path):
    fit(network(), points(), loss=F.cross_entropy, epochs=2, lr=0.02, seed=11, folder=tmp_path / "run", log="csv",
        optimizer=functools.partial(torch.optim.SGD, momentum=0.5), schedule=optim.cosine(100))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["seed"] == 11 and config["session"]["versions"]["torch"] == torch.__version__
    assert config["session"]["command"][0] == sys.executable
    settings_ = config["configuration"]
    assert settings_["loss"] == "torch.nn.functional.cross_entropy" and settings_["epochs"] == 2
    assert settings_["optimizer"] == {"class": "torch.optim.sgd.SGD", "lr": 0.02, "momentum": 0.5}
    assert settings_["model"]["parameters"] == 58 and settings_["data"]["samples"] == 50


@pytest.mark.parametrize("progress, environment, bar", [(None, "1", True), (False, "1", False), (None, "0", False),
                                                        (True, "0", True)])
def test_the_bar_is_on_stderr_and_can_be_silent(monkeypatch, capsys, progress, environment, bar):
    monkeypatch.setenv("DLNOTES_PROGRESS", environment)
    fit(network(), points(40), loss=F.cross_entropy, epochs=2, batch_size=4, val=points(4), progress=progress)
    said = capsys.readouterr()
    assert said.out == ""
    assert ("20/20" in said.err and "epoch 2, loss" in said.err and "val_loss" in said.err) if bar else said.err == ""


def test_the_bar_in_a_notebook_is_a_line_of_text():
    import nbformat
    from nbclient import NotebookClient

    source = """
import torch, torch.nn.functional as F
from torch.utils.data import TensorDataset
from dlnotes.training import fit
x = torch.randn(40, 4)
fit(torch.nn.Linear(4, 2), TensorDataset(x, (x[:, 0] > 0).long()), loss=F.cross_entropy, epochs=2, batch_size=4)
print("done")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, kernel_name="python3").execute(env=os.environ | {"DLNOTES_PROGRESS": "1"})
    outputs = notebook.cells[0].outputs
    assert {output.output_type for output in outputs} == {"stream"}         # no widget that would be dead on the page
    assert "".join(o.text for o in outputs if o.name == "stdout") == "done\n"
    assert "20/20" in "".join(o.text for o in outputs if o.name == "stderr")


# ---------------------------------------------------------------- NaN and infinity

class Trap(nn.Module):
    """Divides by zero from its third call on; or sends back a gradient that is not finite."""

    def __init__(self, call: int = 3, backward: bool = False):
        super().__init__()
        self.call, self.backward, self.calls = call, backward, 0

    def forward(self, x):
        self.calls += torch.is_grad_enabled()
        if self.calls < self.call:
            return x
        return x + (x * 0).abs().sqrt() if self.backward else x / torch.zeros_like(x)


def test_the_module_that_made_it_is_named():
    model = nn.Sequential(nn.Linear(4, 8), Trap(), nn.Linear(8, 2)).double()
    before = []

    def loss(output, target):
        if model[1].calls == 3:
            before.append(weights(model).clone())
        return F.cross_entropy(output, target)

    with pytest.raises(NonFiniteLoss) as caught:
        fit(model, Augmented(), loss=loss, epochs=2, batch_size=4)
    error, order = caught.value, EpochLoader(Augmented(), batch_size=4, shuffle=True).order(0)
    assert (error.update, error.epoch, error.module) == (3, 1, "1")
    assert error.samples == tuple(f"pic_{i:02d}.png" for i in order[2])
    assert "expected a finite loss, got nan at update 3 (epoch 1): inf first in the output of '1' (Trap)" in str(error)
    assert error.samples[0] in str(error)
    assert torch.equal(weights(model), before[0])                           # still those from before the update
    assert not model[0]._forward_hooks and "forward" not in vars(model)


def test_a_gradient_that_is_not_finite_is_caught_before_the_weights_are_touched():
    model = nn.Sequential(nn.Linear(4, 8), Trap(backward=True), nn.Linear(8, 2)).double()
    sentence = (r"expected a finite gradient, got nan at update 3 .*: nan first in the gradient that arrives at the output "
                r"of '0' \(Linear\); samples of the batch: number ")
    with pytest.raises(NonFiniteLoss, match=sentence) as caught:
        fit(model, points(), loss=F.cross_entropy, epochs=1, batch_size=4)
    assert caught.value.module == "0" and torch.isfinite(weights(model)).all()


def test_a_bad_sample_is_named():
    class Broken(Augmented):
        def __getitem__(self, i):
            sample = super().__getitem__(i)
            if i == 7:
                sample["image"][2] = math.nan
            return sample

    with pytest.raises(NonFiniteLoss, match="nan in the batch itself; samples of the batch: pic_07.png; ") as caught:
        fit(network(), Broken(), loss=F.cross_entropy, epochs=1, batch_size=4)
    assert caught.value.samples == ("pic_07.png",) and caught.value.module is None


def test_targets_losses_and_validation_are_told_apart():
    x, y = points(8).tensors
    target = y.double()[:, None].expand(-1, 2).clone()
    target[5] = math.inf
    with pytest.raises(NonFiniteLoss, match="got inf at update 1 .*: inf in the target"):
        fit(network(), TensorDataset(x, target), loss=F.mse_loss, epochs=1)
    with pytest.raises(NonFiniteLoss, match="every value in the network was finite, and the loss function made nan of them"):
        fit(network(), points(), loss=lambda out, y: (-1 - out.square().mean()).log(), epochs=1)
    held_out = TensorDataset(torch.full((4, 4), math.nan, dtype=torch.float64), torch.zeros(4, dtype=torch.long))
    with pytest.raises(NonFiniteLoss, match="got nan in the validation after epoch 1: nan in the batch itself; .*number 0"):
        fit(network(), points(), loss=F.cross_entropy, epochs=1, val=held_out)


def test_what_happens_between_modules_belongs_to_their_parent():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Identity(), nn.Identity()

        def forward(self, x):
            return self.second(torch.log(self.first(x)))

    model = nn.Sequential(nn.Identity(), Block())
    assert find_non_finite(model, lambda: model(torch.ones(2))) is None
    name, sentence = find_non_finite(model, lambda: model(-torch.ones(2)))
    assert name == "1" and sentence == "nan first in the forward of '1' (Block), before '1.second' (Identity)"


def test_the_batch_is_run_again_with_the_same_dropout():
    """Here only one mask in many makes a NaN, and it is found again."""
    class Rare(nn.Module):
        def forward(self, x):
            dropped = F.dropout(torch.ones(1, dtype=x.dtype), 0.9, training=self.training)
            return x / (dropped == 0)                                       # fails in a tenth of the calls

    model = nn.Sequential(nn.Linear(4, 2), Rare()).double()
    with pytest.raises(NonFiniteLoss, match=r"inf first in the output of '1' \(Rare\)|nan first in the output of '1'"):
        fit(model, points(), loss=F.cross_entropy, epochs=100)


# ---------------------------------------------------------------- several processes

PROCESSES = """
import functools, json, sys
import torch, torch.nn.functional as F
sys.path.insert(0, {tests!r})
from test_training import Augmented, SGD, network, points, weights
from dlnotes.metrics import ConfusionMatrix
from dlnotes.training import NonFiniteLoss, evaluate, fit

def go(folder):
    import os
    model = network(seed=int(os.environ.get("RANK", 0)))                    # the main process's weights count
    result = fit(model, points(42), loss=F.cross_entropy, epochs=3, val=points(9, seed=1), metrics=ConfusionMatrix(2),
                 batch_size=8, accumulate=2, optimizer=SGD, lr=0.1, clip=0.5, schedule="cosine", warmup=2, ema=0.8,
                 folder=folder, progress=False)
    augmented = network()
    fit(augmented, Augmented(), loss=F.cross_entropy, epochs=1, batch_size=4, optimizer=SGD, lr=0.01, progress=False)
    again = evaluate(model, points(9, seed=1), metrics=ConfusionMatrix(2))
    normed = torch.nn.Sequential(torch.nn.BatchNorm1d(4), network()).double()
    fit(normed, points(16), loss=F.cross_entropy, epochs=1, val=points(9, seed=1), batch_size=8, progress=False)
    import torch.distributed as dist
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    with open(f"{{folder}}-{{processes}}-{{rank}}.json", "w") as file:
        json.dump({{"weights": weights(model).tolist(), "augmented": weights(augmented).tolist(), "history": result.history,
                   "again": again, "statistics": normed[0].running_mean.tolist()}}, file)

def stop_and_go(folder):
    "A run of two processes that stops in both, goes on, and equals one that was not stopped."
    def run(name, stop=None):
        model, calls = network(dropout=0.3), [0]
        def loss(output, target):
            calls[0] += torch.is_grad_enabled()
            if calls[0] == stop:
                raise KeyboardInterrupt
            return F.cross_entropy(output, target)
        fit(model, points(42), loss=loss, epochs=3, batch_size=8, folder=folder + name, checkpoint_every=2, progress=False)
        return weights(model)
    whole = run("-whole")
    try:
        run("-stopped", stop=11)
    except KeyboardInterrupt:
        pass
    assert torch.equal(run("-stopped"), whole)

def trap(folder):
    "Only one process meets the NaN, and both stop with the same sentence."
    import torch.distributed as dist
    x, y = points(8).tensors
    x[0] = float("nan")
    try:
        fit(network(), torch.utils.data.TensorDataset(x, y), loss=F.cross_entropy, epochs=1, progress=False)
    except NonFiniteLoss as error:
        with open(f"{{folder}}-nan-{{dist.get_rank()}}.txt", "w") as file:
            file.write(str(error))

if __name__ == "__main__":
    go(sys.argv[1])
    if int(torch.distributed.is_initialized() and torch.distributed.get_world_size()) > 1:
        stop_and_go(sys.argv[1])
        trap(sys.argv[1])
"""

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "DLNOTES_PROGRESS": "0", "DLNOTES_DEVICE": "cpu", "GLOO_SOCKET_IFNAME": "lo"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same script in one process, and its path."""
    folder = tmp_path_factory.mktemp("processes")
    script = folder / "script.py"
    script.write_text(PROCESSES.format(tests=str(__import__("pathlib").Path(__file__).parent)))
    subprocess.run([sys.executable, script, folder / "alone"], check=True, env=os.environ | ENVIRONMENT)
    return script, json.loads((folder / "alone-1-0.json").read_text())


def assert_the_same(folder, name, alone):
    ranks = [json.loads((folder / f"{name}-2-{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0]["statistics"] == ranks[1]["statistics"]                 # each saw other samples; the main process's count
    for got in ranks:
        assert got["weights"] == pytest.approx(alone["weights"], rel=0, abs=1e-12)
        assert got["augmented"] == pytest.approx(alone["augmented"], rel=0, abs=1e-12)
        assert got["again"] == alone["again"]
        for mine, theirs in zip(got["history"], alone["history"], strict=True):
            assert mine == pytest.approx(theirs, rel=0, abs=1e-12)
            assert {k: v for k, v in mine.items() if "loss" not in k} == {k: v for k, v in theirs.items() if "loss" not in k}


def test_two_processes_under_torchrun_equal_one(alone, tmp_path):
    """Also where the last batch has two samples less than there are processes and the last group is short."""
    script, expected = alone
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    subprocess.run([*torchrun, script, tmp_path / "run"], check=True, env=os.environ | ENVIRONMENT)
    assert_the_same(tmp_path, "run", expected)
    assert len(read_log(tmp_path / "run" / "updates.csv")) == 9             # the main process writes, once
    said = {(tmp_path / f"run-nan-{rank}.txt").read_text() for rank in (0, 1)}
    assert len(said) == 1 and "samples of the batch: number 0;" in said.pop()


@pytest.mark.parametrize("launch", ["notebook_launcher(script.go, (folder,), num_processes=2, use_port=port)",
                                    "debug_launcher(script.go, (folder,), num_processes=2)"])
def test_two_processes_from_a_notebook_equal_one(alone, tmp_path, launch):
    script, expected = alone
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (f"import sys; sys.path.insert(0, {str(script.parent)!r})\nimport script\n"
            f"folder, port = {str(tmp_path / 'run')!r}, '{port}'\n"
            f"from accelerate import debug_launcher, notebook_launcher\n{launch}\n")
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | ENVIRONMENT)
    assert_the_same(tmp_path, "run", expected)


# ---------------------------------------------------------------- one sentence each

class Stream(IterableDataset):
    def __iter__(self):
        yield from points(4)


def on_another(model):
    return torch.optim.SGD(network().parameters(), lr=0.1)


@pytest.mark.parametrize("change, error, words", [
    ({"model": 3}, TypeError, "expected model to be an nn.Module, got int"),
    ({"model": nn.ReLU()}, ValueError, "expected a model with parameters that require gradients, got ReLU with none"),
    ({"loss": None}, TypeError, "expected loss to be a function"),
    ({"train": Stream()}, TypeError, "expected a data set with a length and an index, .* got Stream"),
    ({"train": DataLoader(Stream())}, TypeError, "got Stream"),
    ({"train": []}, ValueError, "expected a data set with samples, got an empty list"),
    ({"train": DataLoader(points(3), batch_size=4, drop_last=True)}, ValueError, "at least one batch, got 3 samples"),
    ({"train": DataLoader(points(3), batch_size=None)}, ValueError, "expected a DataLoader that makes batches"),
    ({"train": DataLoader(points(3)), "batch_size": 2}, ValueError, "expected no batch_size and no num_workers beside"),
    ({"epochs": 0}, ValueError, "expected epochs to be an integer of at least 1, got 0"),
    ({"batch_size": 0}, ValueError, "expected batch_size to be an integer of at least 1, got 0"),
    ({"num_workers": -1}, ValueError, "expected num_workers to be an integer of at least 0, got -1"),
    ({"accumulate": 0.5}, ValueError, "expected accumulate to be an integer"),
    ({"lr": -1.0}, ValueError, "expected lr to be a number above 0, got -1.0"),
    ({"clip": 0}, ValueError, "expected clip to be a number above 0, got 0; None leaves it out"),
    ({"ema": 1.0}, ValueError, "expected a decay between 0 and 1, got 1.0"),
    ({"early_stop": 0}, ValueError, "expected early_stop to be an integer of at least 1"),
    ({"warmup": -1}, ValueError, "expected warmup to be an integer of at least 0"),
    ({"precision": "float16"}, ValueError, "expected precision to be one of 'no', 'fp16', 'bf16', got 'float16'"),
    ({"schedule": "cosin"}, ValueError, "expected schedule to be one of 'constant', 'cosine', 'linear', got 'cosin'"),
    ({"schedule": 3}, TypeError, "expected schedule to be 'constant'.*got 3"),
    ({"optimizer": "adam"}, TypeError, "expected optimizer to be a class such as torch.optim.AdamW"),
    ({"optimizer": on_another(0), "lr": 0.1}, ValueError, "expected no lr beside an optimizer that exists already"),
    ({"optimizer": on_another(0)}, ValueError, "expected an optimizer of this model's parameters"),
    ({"schedule": StepLR(on_another(0), 1)}, ValueError, "expected the scheduler to drive the optimizer"),
    ({"schedule": StepLR(on_another(0), 1), "warmup": 2}, ValueError, "expected warmup=0 beside a scheduler"),
    ({"metrics": ConfusionMatrix(2)}, ValueError, "expected val, the data to measure on, beside metrics"),
    ({"metrics": [1], "val": points(4)}, TypeError, "expected metrics to be an object with update, compute and reset"),
    ({"monitor": "val_loss"}, ValueError, "expected monitor to be one of 'loss', got 'val_loss'"),
    ({"monitor": "val_acc", "val": points(4), "metrics": Scripted(1.0)}, ValueError, "'loss', 'val_loss', 'val_score', got"),
    ({"mode": "best"}, ValueError, "expected mode to be one of 'min', 'max', got 'best'"),
    ({"resume": True}, ValueError, "expected resume to be one of 'auto', 'must', 'never', got True"),
    ({"resume": "must"}, ValueError, "expected a folder for resume='must'"),
    ({"checkpoint_every": 3}, ValueError, "expected a folder for .*checkpoint_every"),
    ({"log": ("wandb",)}, ValueError, "expected log to be one of 'csv', 'tensorboard', got 'wandb'"),
    ({"seed": -1}, ValueError, "expected an integer seed"),
    ({"device": "tpu"}, ValueError, "expected 'cpu', 'cuda' or 'cuda:N', got 'tpu'"),
    ({"train": [{"image": 1, "mask": 2, "label": 3}] * 2}, ValueError, "expected samples with 'image' and one of 'mask'"),
])
def test_bad_arguments(change, error, words):
    arguments = {"model": network(), "train": points(), "loss": F.cross_entropy, "epochs": 1} | change
    with pytest.raises(error, match=words):
        fit(**arguments)


@pytest.mark.parametrize("picture, error, words", [
    (np.zeros((3, 4, 4)), TypeError, "to give tensors, got ndarray for 'a'"),
    (torch.zeros(2, 3, 4, 4), ValueError, r"expected picture 'a' as floats \(c, h, w\)"),
    (torch.zeros(3, 4, 4, dtype=torch.uint8), ValueError, r"got torch.uint8 \(3, 4, 4\); scale it to \[0, 1\]"),
])
def test_bad_pictures(tmp_path, picture, error, words):
    with pytest.raises(error, match=words):
        fit(network(), points(), loss=F.cross_entropy, epochs=1, folder=tmp_path / "run",
            pictures=lambda model: {"a": picture})


@pytest.mark.parametrize("package, words", [("accelerate", "pip install accelerate"),
                                            ("torch.utils.tensorboard", "pip install tensorboard")])
def test_a_missing_package_is_named(monkeypatch, tmp_path, package, words):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=words):
        fit(network(), points(), loss=F.cross_entropy, epochs=1, folder=tmp_path / "run")


def test_evaluating_needs_something_to_say_and_reading_a_table_needs_a_table(tmp_path):
    with pytest.raises(ValueError, match="expected a loss or a metric, got neither"):
        evaluate(network(), points())
    with pytest.raises(FileNotFoundError, match="expected the table of a run at .*log.csv, found no file"):
        read_log(tmp_path)


def test_importing_is_cheap():
    code = "import sys, torch; before = set(sys.modules); import dlnotes.training; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"accelerate", "tensorboard", "tqdm", "PIL", "matplotlib", "sklearn", "skimage", "torchvision"}
