"""Memory of a training step: predicted against measured, part by part; the ledger; budgets, guards and advice."""

import copy
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes.attention import attention_cost
from dlnotes.memory import (advise, attention_scores_bytes, checkpoint_blocks, free_memory, guard, in_words, largest_batch,
                            measure, predict, require)
from dlnotes.memory.ledger import Ledger
from dlnotes.models import create

EXACT = ("parameters", "buffers", "gradients", "optimizer_state", "input")
MIB = 2**20


def ghost(name, **config):
    """A model without numbers."""
    with torch.device("meta"):
        return create(name, **config)


def both(model, *args, **kwargs):
    return predict(model, *args, **kwargs), measure(model, *args, **kwargs)


def agree(predicted, measured, within=0.1):
    for part in EXACT:
        assert getattr(predicted, part) == getattr(measured, part), part
    assert predicted.activations == pytest.approx(measured.activations, rel=0.02)
    assert predicted.total == pytest.approx(measured.total, rel=within)


# ---------------------------------------------------------------- predicted against measured

@pytest.mark.parametrize("name, size, batch, optimizer", [
    ("resnet50", (3, 224, 224), 2, "momentum"),
    ("unet", (3, 128, 128), 1, "adam"),
    ("vit_b_16", (3, 224, 224), 1, "sgd"),
    ("swin_t", (3, 224, 224), 1, "adamw"),
])
def test_the_four_networks_within_a_tenth(name, size, batch, optimizer):
    agree(*both(create(name), size, batch, optimizer=optimizer))


@pytest.mark.parametrize("how", [
    {"training": False}, {"checkpointing": "layer*.*"}, {"autocast": torch.bfloat16}, {"accumulating": True},
    {"dtype": torch.float64}, {"optimizer": None}, {"optimizer": lambda weights: torch.optim.RMSprop(weights, momentum=0.9)},
], ids=["no training", "checkpointing", "autocast", "accumulating", "float64", "no optimizer", "another optimizer"])
def test_every_way_of_training(how):
    agree(*both(create("resnet18"), (3, 96, 96), 4, **how))


def test_a_loss_with_a_target_is_counted():
    model, target = create("unet", width=16, depth=3), torch.zeros(8, 64, 64, dtype=torch.int64)
    predicted, measured = both(model, (3, 64, 64), 8, loss=lambda output: F.cross_entropy(output, target))
    agree(predicted, measured)
    assert predicted.activations > predict(model, (3, 64, 64), 8).activations                  # log-softmax is kept


def test_a_model_without_anything_to_learn_has_no_backward_pass():
    agree(*both(nn.Sequential(nn.Flatten(), nn.Linear(64, 8)).requires_grad_(False), (1, 8, 8), 4, optimizer="adamw"))


def test_measuring_says_nothing(capfd):
    measure(create("lenet5"), (1, 32, 32), 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.cuda
@pytest.mark.parametrize("name, size, batch", [("resnet50", (3, 224, 224), 32), ("unet", (3, 256, 256), 8),
                                               ("vit_b_16", (3, 224, 224), 16), ("swin_t", (3, 224, 224), 16)])
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_the_four_networks_on_cuda(name, size, batch, autocast):
    predicted, measured = both(create(name), size, batch, optimizer="adamw", autocast=autocast, device="cuda")
    assert predicted.activations == pytest.approx(measured.activations, rel=0.1)
    assert predicted.total == pytest.approx(measured.total, rel=0.1)


# ---------------------------------------------------------------- parts, by hand

def test_the_parts_of_two_layers_by_hand():
    """Linear, ReLU, Linear on (b, 10): kept beyond the input are the ReLU's output, the output and the loss."""
    model = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(100, 1))
    memory = predict(model, (10,), 50, optimizer="adam", loss=torch.sum)
    weights = 10 * 100 + 100 + 100 + 1
    assert memory.parameters == memory.gradients == 4 * weights and memory.buffers == 0
    assert memory.optimizer_state == 2 * 4 * weights + 4 * 4                                    # and a step count per tensor
    assert memory.input == 4 * 50 * 10
    assert memory.activations == 4 * (50 * 100 + 50 + 1)                                        # ReLU's output; output; loss
    assert memory.moment in ("backward", "optimizer step")


def test_parts_at_the_peak_add_up_to_the_total():
    memory = predict(create("resnet18"), (3, 64, 64), 4, optimizer="adamw")
    assert sum(memory.at_peak.values()) == memory.total
    assert all(memory.at_peak[part] <= getattr(memory, part) for part in memory.at_peak)
    assert memory.total < memory.parameters + memory.gradients + memory.optimizer_state + memory.activations \
        + memory.temporary + memory.input + memory.buffers


def test_prediction_leaves_the_model_and_torch_alone():
    model = create("resnet18").eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    state = torch.get_rng_state()
    predict(model, (3, 64, 64), 2, optimizer="adamw", checkpointing="layer1")
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and "forward" not in vars(model.layer1)
    assert type(next(model.parameters()).data) is torch.Tensor


def test_measuring_leaves_the_model_alone():
    model = create("lenet5")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    measure(model, (1, 32, 32), 2, optimizer="adamw")
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_model_on_the_meta_device_costs_nothing_and_predicts_the_same():
    model = ghost("resnet18")
    assert predict(model, (3, 224, 224), 4096) == predict(create("resnet18"), (3, 224, 224), 4096)
    assert all(p.device.type == "meta" for p in model.parameters())


def test_shared_weights_count_once_and_frozen_ones_have_no_gradient():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(50, 50, bias=False)
            self.two = nn.Linear(50, 50, bias=False)
            self.frozen = nn.Linear(50, 50, bias=False).requires_grad_(False)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.frozen(self.two(self.one(x)))

    memory = predict(Tied(), (50,), 3, optimizer="adam")
    assert memory.parameters == 4 * 2 * 2500 and memory.gradients == 4 * 2500 and memory.optimizer_state == 2 * 4 * 2500 + 4


def test_half_the_dtype_is_half_of_everything():
    model = create("vit_digits")
    whole, half = (predict(model, (1, 64, 64), 8, kind, optimizer="momentum") for kind in (torch.float32, torch.bfloat16))
    for part in ("parameters", "gradients", "optimizer_state", "input"):
        assert 2 * getattr(half, part) == getattr(whole, part), part
    assert half.activations == pytest.approx(whole.activations / 2, rel=0.1)                   # means and norms stay float32


def test_checkpointing_trades_activations_for_a_second_pass():
    model = ghost("vit_b_16")
    plain, checkpointed = (predict(model, (3, 224, 224), 16, checkpointing=names) for names in (None, "blocks.*"))
    assert checkpointed.activations < 0.1 * plain.activations and checkpointed.total < 0.5 * plain.total
    assert checkpointed.gradients == plain.gradients


def test_autocast_keeps_a_cast_copy_of_the_weights():
    """With one sample of a ViT the weights outweigh the activations, and mixed precision takes more memory, not less."""
    model = ghost("vit_b_16")
    plain, mixed = (predict(model, (3, 224, 224), 1, autocast=kind) for kind in (None, torch.bfloat16))
    assert mixed.activations > plain.activations and mixed.parameters == plain.parameters
    plain, mixed = (predict(model, (3, 224, 224), 32, autocast=kind) for kind in (None, torch.bfloat16))
    assert mixed.activations < 0.75 * plain.activations


def test_accumulated_gradients_are_there_all_the_time():
    model = ghost("resnet50")
    plain, accumulating = (predict(model, (3, 64, 64), 8, accumulating=a) for a in (False, True))
    assert accumulating.at_peak["gradients"] == accumulating.gradients > plain.at_peak["gradients"]
    assert accumulating.total > plain.total


def test_cuda_without_cuda_says_what_is_assumed():
    memory = predict(create("vit_digits"), (1, 64, 64), 4, device="cuda", optimizer="adamw")
    assert memory.assumptions[0].startswith("on CUDA") and memory.parameters % 512 == 0
    if not torch.cuda.is_available():
        assert any(line.startswith("no CUDA device here") for line in memory.assumptions)
        with pytest.raises(RuntimeError, match="measure: expected a CUDA device for device='cuda', and torch sees none"):
            measure(create("lenet5"), (1, 32, 32), 1, device="cuda")


def test_the_table_names_every_part():
    lines = str(predict(create("lenet5"), (1, 32, 32), 2, optimizer="adamw")).splitlines()
    assert lines[0] == "predicted, training step: LeNet5, batch 2 of (1, 32, 32), float32, cpu, adamw"
    assert [line.split("  ")[0] for line in lines[2:]] == ["parameters", "buffers", "gradients", "optimizer state",
                                                           "activations", "temporary", "input", "total"]
    assert "unknown" in str(measure(create("lenet5"), (1, 32, 32), 2))


# ---------------------------------------------------------------- the ledger

@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=20))
def test_the_ledger_counts_what_is_alive(steps):
    """Tensors of random sizes, some kept and some dropped: the peak is that of a sum kept by hand."""
    kept, held, peak = [], 0, 0
    with Ledger() as ledger:
        for size, keep in steps:
            x = torch.empty(size)
            peak = max(peak, held + 4 * size)
            if keep:
                kept.append(x)
                held += 4 * size
            del x
        ledger.label(kept, "input")
    replay = ledger.replay()
    assert replay.peak == peak and replay.largest["input"] == held == ledger.size("input")


def test_views_cost_nothing_and_storages_count_once():
    with Ledger() as ledger:
        x = torch.zeros(1000)
        views = [x.view(10, 100), x[5:], x.view(10, 100).T, x.expand(5, 1000), x.add_(1)]
        ledger.label([x, *views], "input")
    assert ledger.size("input") == ledger.replay().peak == 4000


# ---------------------------------------------------------------- checkpointing

def test_checkpointed_blocks_give_the_same_gradients_also_in_a_copy():
    torch.manual_seed(0)
    plain = create("vit_digits", dim=24, depth=3, heads=2)
    other = copy.deepcopy(plain)
    assert checkpoint_blocks(other, "blocks.*") == ["blocks.0", "blocks.1", "blocks.2"]
    third, x = copy.deepcopy(other), torch.randn(2, 1, 64, 64)
    for model in (plain, other, third):
        model(x).square().mean().backward()
    for a, b, c in zip(plain.parameters(), other.parameters(), third.parameters()):
        assert torch.allclose(a.grad, b.grad) and torch.allclose(a.grad, c.grad)


# ---------------------------------------------------------------- the largest batch

@pytest.mark.parametrize("how", [{}, {"optimizer": "adamw", "multiple": 4}, {"margin": 0.0, "training": False}], ids=str)
def test_the_largest_batch_fits_and_the_next_does_not(how):
    model = ghost("resnet18")
    budget, step = 400 * MIB, {key: value for key, value in how.items() if key not in ("multiple", "margin")}
    batch = largest_batch(model, (3, 128, 128), budget, **how)
    room, multiple = budget * (1 - how.get("margin", 0.1)), how.get("multiple", 1)
    assert batch % multiple == 0
    this, following = (predict(model, (3, 128, 128), b, **step).total for b in (batch, batch + multiple))
    assert this <= room < following


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**4)), min_size=1, max_size=4), st.integers(0, 10**6),
       st.sampled_from([1, 2, 8]))
def test_the_largest_batch_of_a_bent_line(lines, spare, multiple):
    """The peak as the highest of several lines: the answer is that of trying every batch."""
    def peak(batch):
        return max(fixed + each * batch for fixed, each in lines)

    budget, all_of_them = peak(multiple) + spare + 1, range(multiple, 301, multiple)
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["dlnotes.memory.batch"], "predict",
                      lambda model, size, batch: asked.append(batch) or SimpleNamespace(total=peak(batch)))
        found = largest_batch(nn.ReLU(), (3,), budget, margin=0.0, multiple=multiple, at_most=300)
    assert found == max(batch for batch in all_of_them if peak(batch) <= budget)
    assert len(asked) <= 16


def test_the_largest_batch_stops_at_the_most_that_is_wanted():
    model = ghost("lenet5")
    assert largest_batch(model, (1, 32, 32), 2**40, at_most=1000) == 1000
    assert largest_batch(model, (1, 32, 32), 2**40, at_most=1000, multiple=64) == 960


def test_a_budget_too_small_says_what_is_needed():
    with pytest.raises(ValueError, match="largest_batch: expected a budget for a batch of 1, .* and 10% more, got 8.0 MiB"):
        largest_batch(create("resnet18"), (3, 64, 64), 8 * MIB)


# ---------------------------------------------------------------- before allocating

def test_the_320_gibibytes():
    assert attention_scores_bytes((10, 8, 32768, 32768)) == 343597383680 == 320 * 2**30
    assert attention_scores_bytes((10, 8, 32768, 32768), torch.bfloat16) == 160 * 2**30
    assert in_words(343597383680) == "320.0 GiB"


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 16), st.integers(1, 16), st.integers(1, 4096), st.sampled_from([torch.float16, torch.float64]))
def test_scores_are_those_of_attention_cost(batch, heads, tokens, dtype):
    expected = attention_cost(tokens, 8, heads, batch, dtype).score_bytes
    assert attention_scores_bytes((batch, heads, tokens, tokens), dtype) == expected


def test_every_remedy_takes_less_and_the_kernel_far_less():
    advice = advise((10, 8, 32768, 32768), head_dim=8, budget_bytes=24 * 2**30)
    assert advice.size == 320 * 2**30 and advice.fits is False
    sizes = {remedy.name: remedy.size for remedy in advice.remedies}
    assert all(size < advice.size / 100 for size in sizes.values())
    assert sizes["windows of 8 by 8"] == 4 * 10 * 8 * 32768 * 64            # tokens times window, not squared
    assert sizes["4 times smaller map"] == advice.size // 256
    assert sizes["channel attention"] == 4 * 10 * 8 * 8 * 8
    assert advise((1, 1, 16, 16), budget_bytes=2**20).fits is True and advise((1, 1, 16, 16)).fits is None


def test_a_guard_raises_before_it_allocates():
    require(1024)
    with pytest.raises(MemoryError, match="require: expected 320.0 TiB free on cpu for the scores, got .*iB; take"):
        require(320 * 2**40, what="the scores")


def test_a_container_has_a_limit_of_its_own(tmp_path, monkeypatch):
    assert guard._container(tmp_path) is None                                                   # no container
    for name, text in (("memory.max", "max"), ("memory.current", "700"), ("memory.stat", "anon 5\ninactive_file 100\n")):
        (tmp_path / name).write_text(text)
    assert guard._container(tmp_path) is None                                                   # a container without a limit
    (tmp_path / "memory.max").write_text("1000\n")
    assert guard._container(tmp_path) == 1000 - 700 + 100                                       # cached files can go
    monkeypatch.setattr(guard, "_container", lambda: 400)
    assert free_memory() == 400


# ---------------------------------------------------------------- bad arguments

class Reads(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


@pytest.mark.parametrize("call, error, words", [
    (lambda: predict("resnet50", (3, 8, 8)), TypeError, "predict: expected an nn.Module, got str"),
    (lambda: predict(nn.Linear(2, 2), 3), ValueError, "expected input_size without the batch, such as .*, got 3"),
    (lambda: predict(nn.Linear(2, 2), (0,)), ValueError, r"expected input_size\[0\] to be an integer of at least 1, got 0"),
    (lambda: predict(nn.Linear(2, 2), (2,), 0), ValueError, "expected batch_size to be an integer of at least 1, got 0"),
    (lambda: predict(nn.Linear(2, 2), (2,), dtype=torch.int64), TypeError, "expected dtype to be a floating dtype"),
    (lambda: predict(nn.Linear(2, 2), (2,), dtype=torch.float16, autocast=torch.float16), ValueError,
     "expected dtype=torch.float32 with autocast"),
    (lambda: predict(nn.Linear(2, 2), (2,), optimizer="lion"), ValueError, "expected optimizer .* sgd, .*, got 'lion'"),
    (lambda: predict(nn.Linear(2, 2), (2,), loss="mse"), TypeError, "expected loss to be a function of the model's output"),
    (lambda: predict(nn.Linear(2, 2), (2,), device="mps"), ValueError, "expected device 'cpu', .*, got 'mps'"),
    (lambda: predict(Reads(2, 2), (2,)), RuntimeError, "expected a model and a loss whose shapes do not depend on the"),
    (lambda: predict(nn.Flatten(), (2,), loss=lambda y: None), TypeError, "expected loss to give a scalar tensor"),
    (lambda: measure(nn.Linear(2, 2), (2,), optimizer="lion"), ValueError, "measure: expected optimizer"),
    (lambda: predict(create("lenet5"), (1, 32, 32), checkpointing="blocks"), ValueError,
     "expected names of modules inside LeNet5, got 'blocks'; its parts are"),
    (lambda: checkpoint_blocks(nn.Linear(1, 1), 3), TypeError, "checkpoint_blocks: expected names"),
    (lambda: checkpoint_blocks(nn.Sequential(nn.ModuleList([nn.ReLU()])), "0"), ValueError, "got the list '0'"),
    (lambda: [checkpoint_blocks(model, "0") for model in [nn.Sequential(nn.ReLU())] * 2], ValueError, "a second time"),
    (lambda: largest_batch(nn.Linear(2, 2), (2,), 0), ValueError, "largest_batch: expected budget_bytes"),
    (lambda: largest_batch(nn.Linear(2, 2), (2,), 9, margin=1.0), ValueError, "expected margin from 0 to below 1, got 1.0"),
    (lambda: largest_batch(nn.Linear(2, 2), (2,), 9, at_most=2, multiple=4), ValueError, "expected at_most of at least"),
    (lambda: attention_scores_bytes((8, 32, 32)), ValueError, r"expected a shape \(batch, heads, .*\), got \(8, 32, 32\)"),
    (lambda: attention_scores_bytes((1, 8, 32, 0)), ValueError, "expected keys to be an integer of at least 1, got 0"),
    (lambda: attention_scores_bytes((1, 8, 32, 32), torch.int8), TypeError, "expected a floating dtype"),
    (lambda: advise((1, 8, 32, 16)), ValueError, "as many keys as queries, got 32 queries and 16 keys"),
    (lambda: require(-1), ValueError, "require: expected size to be an integer of at least 0, got -1"),
    (lambda: free_memory("mps"), ValueError, "free_memory: expected device 'cpu', 'cuda' or 'cuda:N', got 'mps'"),
    (lambda: free_memory("cuda:99"), ValueError, "expected a CUDA device that is present"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()

