"""ablate: honest verdicts, results that survive kill -9, and the same numbers from one process and from two."""

import importlib.util
import json
import linecache
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import scipy.stats
import stitch_experiment as experiment
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes.models import create
from dlnotes.stitch import (Insertion, ablate, bootstrap_interval, compare, effect_size, holm, insert, mean_interval,
                            paired_t, permutation, smallest_p, wilcoxon)
from dlnotes.stitch.ledger import Ledger
from zoo import SENTENCE

matplotlib.use("Agg")

pairs = st.integers(2, 12).flatmap(lambda n: st.tuples(*[st.lists(
    st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=n, max_size=n)] * 2))
some = settings(deadline=None, max_examples=30)


# ---------------------------------------------------------------- statistics, against scipy

@given(pairs, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@some
def test_mean_and_interval_are_scipys(pair, level):
    x = np.array(pair[0])
    ours = mean_interval(x, level)
    if np.ptp(x) > 0:
        theirs = scipy.stats.t.interval(level, len(x) - 1, loc=x.mean(), scale=scipy.stats.sem(x))
        assert (ours.low, ours.high) == pytest.approx(theirs) and ours.mean == pytest.approx(x.mean())
    else:
        assert ours.low == ours.high == ours.mean


@given(pairs)
@some
def test_paired_t_is_scipys(pair):
    a, b = map(np.array, pair)
    if np.std(a - b) > 1e-6:
        ours, theirs = paired_t(a, b), scipy.stats.ttest_rel(a, b)
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert effect_size(a, b) == pytest.approx(theirs.statistic / math.sqrt(len(a)))


@given(pairs)
@some
def test_the_sign_flip_test_is_scipys_permutation_test(pair):
    a, b = map(np.array, pair)
    theirs = scipy.stats.permutation_test((a, b), lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples",
                                          vectorized=True, n_resamples=np.inf)
    assert permutation(a, b).p == pytest.approx(theirs.pvalue) or (permutation(a, b).p == 1.0 and theirs.pvalue > 0.999)


@given(st.integers(2, 12), st.integers(0, 99))
@some
def test_wilcoxon_is_scipys(n, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, n))                      # no ties: there scipy's p is exact
    theirs = scipy.stats.wilcoxon(a, b, method="exact")
    ours = wilcoxon(a, b)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_many_pairs_are_sampled():
    a, b = np.random.default_rng(0).normal(size=(2, 30)) + [[0.5], [0.0]]
    assert wilcoxon(a, b).p == pytest.approx(scipy.stats.wilcoxon(a, b).pvalue, rel=0.1)
    assert permutation(a, b).p == pytest.approx(paired_t(a, b).p, rel=0.2) and permutation(a, b, seed=1).p > 0
    assert permutation(np.arange(30) + 1.0, np.zeros(30)).p == pytest.approx(1 / (2**16 + 1))


def test_the_bca_interval_is_scipys():
    x = np.random.default_rng(3).exponential(size=25)                           # skewed: here BCa differs from percentiles
    ours = bootstrap_interval(x, 0.9, resamples=40_000)
    theirs = scipy.stats.bootstrap((x,), np.mean, confidence_level=0.9, n_resamples=40_000, method="BCa",
                                   random_state=np.random.default_rng(1)).confidence_interval
    plain = scipy.stats.bootstrap((x,), np.mean, confidence_level=0.9, n_resamples=40_000, method="percentile",
                                  random_state=np.random.default_rng(1)).confidence_interval
    assert (ours.low, ours.high) == pytest.approx(theirs, rel=0.01) and abs(ours.high - plain.high) > 0.02
    assert bootstrap_interval([2.0, 2.0, 2.0]).low == 2.0


def test_with_five_seeds_the_bootstrap_promises_too_much_and_t_does_not():
    rng, inside = np.random.default_rng(0), np.zeros(2)
    for _ in range(400):
        x = rng.normal(size=5)
        inside += [mean_interval(x).includes(0), bootstrap_interval(x, resamples=500).includes(0)]
    t, bca = inside / 400
    assert 0.92 < t < 0.98 and bca < 0.88


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@some
def test_holm_rejects_step_by_step(p):
    """The definition: sorted, compare p with α / (m - rank), stop at the first that does not pass."""
    for alpha in (0.01, 0.05, 0.2):
        rejected, order = set(), sorted(range(len(p)), key=lambda i: p[i])
        for rank, i in enumerate(order):
            if (len(p) - rank) * p[i] > alpha:
                break
            rejected.add(i)
        assert {i for i, adjusted in enumerate(holm(p)) if adjusted <= alpha} == rejected


def test_statistics_refuse_what_they_cannot_judge():
    for call in (lambda: mean_interval([1.0]), lambda: mean_interval([1.0, float("nan")]), lambda: smallest_p(5, "z"),
                 lambda: paired_t([1, 2], [1, 2, 3]), lambda: mean_interval([1, 2], 95),
                 lambda: bootstrap_interval([1, 2], 0.0)):
        with pytest.raises(ValueError, match=SENTENCE):
            call()
    assert wilcoxon([1, 2], [1, 2]).p == 1.0 and math.isnan(effect_size([1, 2], [1, 2]))


# ---------------------------------------------------------------- verdicts

def noise(rng, kind: str, seeds: int, variants: int) -> dict[str, np.ndarray]:
    """Scores of variants that are all the baseline: what the seeds share, and what chance adds to each."""
    shared = rng.normal(size=seeds)
    draw = {"normal": lambda: rng.normal(size=seeds), "uniform": lambda: rng.uniform(-2, 2, seeds),
            "heavy tails": lambda: rng.standard_t(2, seeds), "skewed": lambda: rng.exponential(size=seeds),
            "counted": lambda: rng.binomial(400, 0.9, seeds) / 4}[kind]
    return {str(i): draw() + (0 if kind == "counted" else shared) for i in range(variants + 1)}


@pytest.mark.parametrize("kind", ["normal", "uniform", "heavy tails", "skewed", "counted"])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_without_a_difference_almost_none_is_announced(kind, seeds):
    """In at most 5 % of studies of three variants is there any 'better' or 'worse' (three standard errors allowed)."""
    rng, studies = np.random.default_rng(seeds), 600
    false = sum(any(c.verdict != "not shown" for c in compare(noise(rng, kind, seeds, 3), "0")) for _ in range(studies))
    assert false / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


def test_without_correction_it_would_not_be_so():
    rng, studies = np.random.default_rng(0), 300
    alone = sum(any(paired_t(values, scores["0"]).p < 0.05 for name, values in scores.items() if name != "0")
                for scores in (noise(rng, "normal", 5, 6) for _ in range(studies)))
    assert alone / studies > 0.12


def test_a_true_difference_is_found():
    rng, found = np.random.default_rng(1), []
    for _ in range(100):
        scores = noise(rng, "normal", 5, 2)
        scores["1"] = scores["0"] + 4 + rng.normal(size=5) * 0.5
        found.append({c.variant: c.verdict for c in compare(scores, "0")})
    assert sum(c["1"] == "better" for c in found) > 95 and not any(c["1"] == "worse" for c in found)


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from(["t", "wilcoxon", "permutation"]), st.integers(2, 9))
@settings(deadline=None, max_examples=60)
def test_nothing_is_called_real_whose_interval_includes_zero(seed, variants, test, seeds):
    rng = np.random.default_rng(seed)
    scores = {str(i): rng.normal(size=seeds) + i * rng.normal() for i in range(variants + 1)}
    for c in compare(scores, "0", test=test):
        real = c.verdict != "not shown"
        assert not (real and c.difference.includes(0)) and real <= (c.p_corrected <= 0.05)
        if test == "t":                                                         # interval and test cannot disagree
            assert real == (not c.difference.includes(0)) == (c.p_corrected <= 0.05)
        assert c.p_corrected >= c.p and c.difference.level >= 0.95 and (not real or
                                                                       c.verdict == ("better" if c.effect > 0 else "worse"))


def test_after_the_first_that_does_not_pass_holm_goes_no_further():
    """p of 0.03 and 0.04: 0.03 is above 0.05 / 2, so 0.04 is not looked at with 0.05, nor is its interval drawn there."""
    scores = {"base": [0.0] * 5, **{name: [mean + x for x in (-2, -1, 0, 1, 2)] for name, mean in (("a", 2.33), ("b", 2.12))}}
    found = compare(scores, "base")
    assert [round(c.p, 2) for c in found] == [0.03, 0.04]
    for c in found:
        assert c.verdict == "not shown" and c.difference.level == 0.975 and c.difference.includes(0)


def test_verdicts_give_their_reasons():
    base = [0.70, 0.72, 0.71, 0.73]
    def said(values, **options):
        return compare({"base": base, "other": values}, "base", **options)[0]
    better = said([0.80, 0.81, 0.82, 0.82])
    assert better.verdict == "better"
    assert re.match(r"the 95 % interval of the difference, \+0.0\d+ to \+0.1\d+, leaves out 0$", better.reason)
    assert said([0.80, 0.81, 0.82, 0.82], better="lower").verdict == "worse"
    assert said([0.71, 0.71, 0.72, 0.72]).reason.endswith("includes 0")
    assert said(base).reason == "equal scores on every seed"
    constant = said([x + 0.1 for x in base])                        # but for rounding
    assert "the same difference on every seed" in constant.reason and np.isnan(constant.effect)
    assert "1 of 4 seeds gave no finite score" in said([0.9, 0.9, float("nan"), 0.9]).reason
    few = said([0.80, 0.81, 0.82, 0.82], test="wilcoxon")
    assert few.verdict == "not shown" and "smallest p of this test is 0.12, and 0.05 is needed" in few.reason
    for values, options, match in (([0.7] * 3, {}, "one score for each of at least 2 seeds"),
                                   (base, {"test": "z"}, "test to be"), (base, {"better": "more"}, "better to be"),
                                   (base, {"alpha": 5}, "alpha between 0 and 1")):
        with pytest.raises(ValueError, match=match):
            said(values, **options)
    with pytest.raises(ValueError, match="one run tells nothing of what chance does"):
        compare({"base": [0.7], "other": [0.8]}, "base")


# ---------------------------------------------------------------- the grid

def small_unet() -> nn.Module:
    return create("unet", width=4, depth=2)


def coin(_model: nn.Module, seed: int, effect: float = 0.0) -> dict[str, float]:
    """A training that takes no time: chance, which the variants share, and an effect of the module."""
    return {"score": random.random() + effect * any("inserted" in name for name, _ in _model.named_modules())}


SE = Insertion("encoder.*", "se")
VARIANTS = {"SE": SE, "CBAM, γ": Insertion("encoder.*", "cbam", "add", zero_init=True)}


def test_the_table_has_everything(tmp_path):
    found = ablate(small_unet, experiment.few_steps, VARIANTS, range(3), tmp_path, score="loss", better="lower",
                   inputs=torch.zeros(1, 3, 16, 16))
    text = found.table()
    assert list(found.scores) == ["baseline", "SE", "CBAM, γ"] and text.splitlines()[0].split()[0] == "variant"
    for part in ("corrected interval", "p (Holm)", "multiply-adds", "3 seeds, lower is better; paired t test"):
        assert part in text
    assert found.costs["SE"]["parameters"] - found.costs["baseline"]["parameters"] == sum(
        p.numel() for stage in SE(small_unet()).encoder for p in stage.inserted.parameters())
    assert set(re.findall(r"@\w+\{([^,]+),", found.bibtex())) == {
        "ronneberger2015unet", "hu2018squeeze", "woo2018cbam", "bachlechner2021rezero"}
    assert r"\cite{ronneberger2015unet,hu2018squeeze}" in found.table("latex")
    assert "[@ronneberger2015unet; @hu2018squeeze]" in found._repr_markdown_() and "seconds" in found.table(seconds=True)
    assert found.values("SE", "seed") == [0, 1, 2]
    found.plot(tmp_path / "plot.svg")
    assert "difference in loss from baseline" in (tmp_path / "plot.svg").read_text(encoding="utf-8") or (
        tmp_path / "plot.svg").stat().st_size > 5000


def test_equal_seeds_share_the_first_weights_and_the_random_numbers(tmp_path):
    """A module that begins as the identity and learns nothing gives the very scores of the baseline."""
    found = ablate(small_unet, first_loss, {"γ = 0": VARIANTS["CBAM, γ"]}, [0, 1, 2], tmp_path)
    assert found.values("γ = 0") == found.values("baseline") and len(set(found.values("baseline"))) == 3
    assert found.comparisons["γ = 0"].reason == "equal scores on every seed"


def first_loss(model: nn.Module, _seed: int) -> dict[str, float]:
    return {"loss": model.eval()(torch.randn(2, 3, 16, 16)).square().mean().item()}


def test_an_effect_is_found_and_none_is_not(tmp_path):
    """What the variants share cancels: an effect of a tenth of the spread of the scores is seen."""
    found = ablate(small_unet, jittered, {"SE": SE}, range(8), tmp_path)
    assert found.comparisons["SE"].verdict == "better"
    assert found.interval("SE").low < found.interval("baseline").mean            # unpaired, the intervals overlap


def jittered(model: nn.Module, seed: int) -> dict[str, float]:
    return {"score": coin(model, seed, 0.03)["score"] + 0.01 * random.Random(f"{seed}{len(list(model.modules()))}").random()}


def test_the_callers_random_numbers_are_left_alone(tmp_path):
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected


def test_two_processes_equal_one(tmp_path):
    def run(processes: int):
        variants = {"SE": Insertion("0", "se"), "ECA": Insertion("0", "eca", "add")}
        return ablate(experiment.build, experiment.few_steps, variants, [0, 1], tmp_path / str(processes),
                      processes=processes, threads=1)
    one, two = run(1), run(2)
    assert one.scores == two.scores and one.table() == two.table()
    assert "Two seeds show very large differences only" in two.table()


# ---------------------------------------------------------------- going on

def test_a_second_call_runs_nothing_again_and_more_seeds_only_themselves(tmp_path):
    first = ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    again = ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path)
    assert again.table() == first.table() and (tmp_path / "results.jsonl").read_text().splitlines() == lines
    more = ablate(small_unet, coin, {"SE": SE, "ECA": Insertion("encoder.0", "eca")}, [0, 1, 2], tmp_path)
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 9 and more.values("SE")[:2] == first.values("SE")
    fewer = ablate(small_unet, coin, {"SE": SE}, [0, 2], tmp_path).table()
    assert "Not in the table, and not corrected for: ECA." in fewer and "Seeds left out of the table: 1." in fewer


def test_a_changed_configuration_is_refused_and_named(tmp_path):
    def run(variants=None, train=coin, build=small_unet, **options):
        return ablate(build, train, variants or {"SE": SE}, [0, 1], tmp_path, **options)
    run(config={"epochs": 3})
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for options, match in (
            ({"config": {"epochs": 4}}, "config.epochs was 3, now 4"), ({}, "config.epochs was 3, now None"),
            ({"config": {"epochs": 3}, "train": experiment.few_steps}, "train_and_score.name was 'coin', now 'few_steps'"),
            ({"config": {"epochs": 3}, "variants": {"SE": Insertion("encoder.*", "se", "add")}},
             r"SE\[0\].how was 'nest', now 'add'"),
            ({"config": {"epochs": 3}, "variants": {"SE": [SE, SE]}}, "variants.SE was"),
            ({"config": {"epochs": 3}, "train": partial(coin, effect=1.0)}, "train_and_score.args was None, now")):
        with pytest.raises(ValueError, match=match) as error:
            run(**options)
        assert re.match(SENTENCE, str(error.value)) and {p: p.read_bytes() for p in tmp_path.iterdir()} == kept


def test_an_edited_function_is_noticed(tmp_path):
    module = tmp_path / "experiment_to_edit.py"

    def run(source: str):
        module.write_text(source)
        linecache.clearcache()
        spec = importlib.util.spec_from_file_location("experiment_to_edit", module)
        loaded = importlib.util.module_from_spec(spec)
        exec(compile(source, str(module), "exec"), loaded.__dict__)             # not its cached bytecode
        ablate(experiment.build, loaded.train, {"SE": Insertion("0", "se")}, [0, 1], tmp_path / "results")
    source = "def train(model, seed):\n    return {'score': 0.5 + seed}\n"
    run(source)
    run(source + "\n# a comment behind it\n")
    with pytest.raises(ValueError, match="got a change: train_and_score.source was '.*', now '.*'; use another folder"):
        run(source.replace("0.5", "0.6"))


def sleepy_grid(folder: Path, seeds: int, processes: int = 1):
    variants = {"SE": Insertion("0", "se"), "ECA": Insertion("1", "eca")}
    return ablate(experiment.build, experiment.sleepy, variants, range(seeds), folder, processes=processes, threads=1)


def finished(folder: Path) -> int:
    path = folder / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def cells_in(folder: Path) -> list[tuple]:
    return [(cell["variant"], cell["seed"]) for cell in map(json.loads, (folder / "results.jsonl").read_text().splitlines())]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")           # fork beside threads: the child uses one
def test_killed_at_24_random_moments_it_ends_with_the_same_table(tmp_path, monkeypatch):
    rng, kills, seeds = random.Random(0), 0, 60
    while kills < 24 or not finished(tmp_path / "killed"):
        child = os.fork()
        if not child:
            try:
                torch.set_num_threads(1)
                sleepy_grid(tmp_path / "killed", seeds)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.02, 0.1) * (1 + kills / 48))
        os.kill(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert finished(tmp_path / "killed") < 3 * seeds
    monkeypatch.setattr(experiment.time, "sleep", lambda _seconds: None)
    with (tmp_path / "killed" / "results.jsonl").open("a") as file:
        file.write('{"variant": "SE", "se')                                     # killed in the middle of a line
    assert sleepy_grid(tmp_path / "killed", seeds).table() == sleepy_grid(tmp_path / "whole", seeds).table()
    cells = cells_in(tmp_path / "killed")
    assert len(cells) == len(set(cells)) == 3 * seeds


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes the way of Linux")
def test_a_killed_parent_leaves_no_workers_and_the_rest_is_done_later(tmp_path):
    code = f"from pathlib import Path; from test_ablate import sleepy_grid; sleepy_grid(Path({str(tmp_path)!r}), 12, 2)"
    here = Path(__file__).parent
    run = subprocess.Popen([sys.executable, "-c", code], cwd=here,
                           env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [here, here.parent]))})
    while not finished(tmp_path) and run.poll() is None:
        time.sleep(0.005)
    workers = children(run.pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert 1 <= finished(tmp_path) < 36 and workers and gone(workers)
    assert len(sleepy_grid(tmp_path, 12).scores["SE"]) == 12 and len(cells_in(tmp_path)) == 36


def children(pid: int) -> list[int]:
    """Processes that a process started (Linux; elsewhere none are looked at)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def gone(pids: list[int]) -> bool:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
    for _ in range(200):
        if not any(map(runs, pids)):
            return True
        time.sleep(0.05)
    return False


def test_a_piece_of_a_line_is_cut_off_and_its_cell_runs_again(tmp_path):
    whole, results = ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path).table(), tmp_path / "results.jsonl"
    lines = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path).table() == whole
    assert [json.loads(line)["scores"] for line in results.read_text().splitlines()] == [
        json.loads(line)["scores"] for line in lines]


def test_a_damaged_ledger_is_refused(tmp_path):
    ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path)
    results = tmp_path / "results.jsonl"
    good = results.read_text()
    cell = json.loads(good.splitlines()[0])
    for text, match in (("{broken\n" + good, "JSON in line 1 of .*got '{broken'"),
                        (good + json.dumps(cell | {"scores": {"score": 2.0}}) + "\n", "got two that differ")):
        results.write_text(text)
        with pytest.raises(ValueError, match=match):
            ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path)
        assert results.read_text() == text
    (tmp_path / "ablation.json").unlink()
    with pytest.raises(ValueError, match="expected ablation.json beside"):
        ablate(small_unet, coin, {"SE": SE}, [0, 1], tmp_path)
    with pytest.raises(ValueError, match="expected a folder for the results, got the file"):
        Ledger(results)


# ---------------------------------------------------------------- refusals

@pytest.mark.parametrize("processes", [1, 2])
def test_a_failing_cell_is_named_and_the_others_are_kept(tmp_path, processes):
    message = "expected variant '(baseline|SE)', seed 1, to train, got RuntimeError: out of memory; finished cells are kept"
    with pytest.raises(RuntimeError, match=message):
        ablate(experiment.build, experiment.fails, {"SE": Insertion("0", "se")}, [0, 1], tmp_path, processes=processes)
    assert set(cells_in(tmp_path)) >= {("baseline", 0), ("SE", 0)} and ("baseline", 1) not in cells_in(tmp_path)


class Unknown(nn.Conv2d):
    def __init__(self, c: int):
        super().__init__(c, c, 1)


def test_no_borrowed_module_goes_uncited(tmp_path):
    mine = Insertion("bottom", Unknown)
    with pytest.raises(ValueError, match="got Unknown at 'bottom.inserted'; pass citation="):
        ablate(small_unet, coin, {"mine": mine}, [0, 1], tmp_path)
    assert list(tmp_path.iterdir()) == []                                       # before anything was run
    entry = "@misc{someone2026thing, title = {A Thing}}"
    found = ablate(small_unet, coin, {"theirs": Insertion("bottom", Unknown, citation=entry)}, [0, 1], tmp_path)
    assert entry in found.bibtex() and r"someone2026thing}" in found.table("latex")


def test_bad_arguments_are_answered_in_one_sentence(tmp_path):
    good = {"build": small_unet, "train_and_score": coin, "variants": {"SE": SE}, "seeds": [0, 1], "folder": tmp_path}
    for i, (bad, match) in enumerate((
            ({"seeds": [0]}, r"at least 2 different seeds, got \[0\]; one run tells"), ({"seeds": [1, 1]}, "different"),
            ({"seeds": [0, 0.5]}, r"seeds\[1\] to be an integer"), ({"variants": {}}, "expected variants by name"),
            ({"variants": {"SE": "se"}}, "variant 'SE' to be an Insertion, several, or None, got str"),
            ({"variants": {"baseline": None}}, "a variant beside the baseline, got none"),
            ({"build": 3}, "expected build to be a function, got int"), ({"alpha": 2}, "alpha between 0 and 1"),
            ({"processes": 0}, "processes to be an integer"), ({"test": "z"}, "test to be one of"),
            ({"better": "more"}, "better to be one of"), ({"score": "miou"}, "score to be one of 'score', got 'miou'"),
            ({"train_and_score": lambda model, seed: 3}, "return scores by name, got 3"),
            ({"processes": 2, "train_and_score": lambda model, seed: {}}, "functions that other processes can import"))):
        with pytest.raises((ValueError, TypeError, RuntimeError), match=match) as error:
            ablate(**good | bad | {"folder": tmp_path / str(i)})
        assert re.match(SENTENCE, str(error.value)) and "\n" not in str(error.value)
        assert finished(tmp_path / str(i)) == 0


def test_an_insertion_is_insert_later():
    torch.manual_seed(0)
    network = small_unet()
    later = Insertion("encoder.*", "se", "add", zero_init=True, settings={"reduction": 2})(network)
    now = insert(network, "encoder.*", "se", "add", zero_init=True, settings={"reduction": 2})
    assert [(n, p.shape) for n, p in later.named_parameters()] == [(n, p.shape) for n, p in now.named_parameters()]
