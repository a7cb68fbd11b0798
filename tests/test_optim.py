"""What dlnotes.optim promises: the numbers of torch.optim and of its schedulers, and the laws that the papers state."""

import copy
import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler as theirs

from dlnotes import optim
from dlnotes.optim import (constant, cosine, cosine_restarts, exponential, halving, linear, multi_step, sequence, step_decay,
                           warm_up)

NAMES = ["SGD", "RMSprop", "Adam", "AdamW"]
SETTINGS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1},
            {"momentum": 0.5, "weight_decay": 0.02}, {"momentum": 0.95, "nesterov": True, "weight_decay": 0.01}],
    "RMSprop": [{}, {"centered": True}, {"momentum": 0.9}, {"momentum": 0.8, "centered": True, "weight_decay": 0.1},
                {"alpha": 0.5, "eps": 1e-3}],
    "Adam": [{}, {"betas": (0.5, 0.9)}, {"weight_decay": 0.1}, {"eps": 1e-2, "betas": (0.0, 0.99)}],
    "AdamW": [{}, {"weight_decay": 0.3}, {"weight_decay": 0.0, "betas": (0.8, 0.95)}],
}
CASES = [(name, setting) for name in NAMES for setting in SETTINGS[name]]


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def train(model: nn.Module, optimizer, steps: int, seed: int, scheduler=None) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.randn(8, 4, generator=generator, dtype=torch.float64)
        y = torch.randn(8, 3, generator=generator, dtype=torch.float64)
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def assert_equal(a: nn.Module, b: nn.Module, limit: float = 1e-12) -> None:
    for p, q in zip(a.parameters(), b.parameters()):
        assert (p - q).abs().max() <= limit * max(1.0, q.abs().max().item())


# ---------------------------------------------------------------- equal to torch.optim

@pytest.mark.parametrize("name, setting", CASES, ids=lambda value: re.sub(r"\W+", "-", str(value)))
def test_two_hundred_steps_equal_torch(name, setting):
    a, b = network(0), network(0)
    train(a, getattr(optim, name)(a.parameters(), lr=0.003, **setting), 200, seed=1)
    train(b, getattr(torch.optim, name)(b.parameters(), lr=0.003, **setting), 200, seed=1)
    assert_equal(a, b)
    assert not torch.equal(a[0].weight, network(0)[0].weight)


@given(case=st.sampled_from(CASES), lr=st.floats(1e-4, 0.01), seed=st.integers(0, 10**6), steps=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_any_problem_equals_torch(case, lr, seed, steps):
    name, setting = case
    a, b = network(seed), network(seed)
    train(a, getattr(optim, name)(a.parameters(), lr=lr, **setting), steps, seed)
    train(b, getattr(torch.optim, name)(b.parameters(), lr=lr, **setting), steps, seed)
    assert_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_torchs(name):
    model = network(0)
    ours, reference = getattr(optim, name)(model.parameters()), getattr(torch.optim, name)(model.parameters())
    assert ours.defaults == {key: reference.defaults[key] for key in ours.defaults}


@pytest.mark.parametrize("name", NAMES)
def test_groups_have_their_own_settings(name):
    a, b = network(0), network(0)
    for model, library in ((a, optim), (b, torch.optim)):
        groups = [{"params": model[0].parameters(), "lr": 0.1, "weight_decay": 0.2}, {"params": model[2].parameters()}]
        train(model, getattr(library, name)(groups, lr=0.01), 50, seed=3)
    assert_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_training_resumes_from_a_state_dict(name):
    straight, resumed, make = network(0), network(9), getattr(optim, name)
    first, second = make(straight.parameters(), lr=0.01), make(resumed.parameters(), lr=0.5)
    train(straight, first, 20, seed=5)
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(straight, first, 5, seed=6)
    train(resumed, second, 5, seed=6)
    assert_equal(straight, resumed, limit=0.0)
    assert second.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("name", NAMES)
def test_schedulers_and_gradient_scalers_of_torch_accept_it(name):
    a, b = network(0), network(0)
    for model, library in ((a, optim), (b, torch.optim)):
        optimizer = getattr(library, name)(model.parameters(), lr=0.01)
        train(model, optimizer, 40, 1, theirs.LambdaLR(optimizer, warm_up(5, cosine(20))))
    assert_equal(a, b)
    optimizer, scaler = getattr(optim, name)(a.parameters(), lr=0.01), torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(a(torch.ones(1, 4).double()).sum()).backward()
    scaler.step(optimizer)
    assert optimizer.state or name == "SGD"


# ---------------------------------------------------------------- what the papers say

def test_nesterov_is_sutskevers_seen_from_the_point_ahead():
    """Sutskever et al. 2013, equations 3 and 4: v' = μ v - ε ∇f(θ + μ v), θ' = θ + v'. Ours holds θ + μ v."""
    torch.manual_seed(0)
    h = torch.randn(5, 5, dtype=torch.float64)
    h = h @ h.T / 5
    mu, epsilon = 0.9, 0.05
    theta, v = torch.ones(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    p = nn.Parameter(torch.ones(5, dtype=torch.float64))
    optimizer = optim.SGD([p], lr=epsilon, momentum=mu, nesterov=True)
    for _ in range(60):
        v = mu * v - epsilon * h @ (theta + mu * v)
        theta = theta + v
        p.grad = h @ p.detach()
        optimizer.step()
        assert torch.allclose(p.detach(), theta + mu * v, atol=1e-13)


@given(exponent=st.integers(-6, 6), sign=st.sampled_from([-1, 1]))
def test_adams_first_step_has_length_lr_whatever_the_scale(exponent, sign):
    p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    p.grad = torch.tensor([sign * 10.0**exponent], dtype=torch.float64)
    optim.Adam([p], lr=0.01).step()
    assert math.isclose(p.item(), -sign * 0.01, rel_tol=0.011)                # eps = 1e-8 shows at 1e-6


def test_scaling_the_loss_changes_sgd_and_not_adam():
    moved = {}
    for name in ("SGD", "Adam"):
        for scale in (1.0, 1000.0):
            model = network(0)
            optimizer = getattr(optim, name)(model.parameters(), lr=0.001)
            (scale * model(torch.ones(2, 4).double()).square().sum()).backward()
            optimizer.step()
            moved[name, scale] = (model[0].weight - network(0)[0].weight).abs().max().item()
    assert math.isclose(moved["SGD", 1000.0], 1000 * moved["SGD", 1.0], rel_tol=1e-9)
    assert math.isclose(moved["Adam", 1000.0], moved["Adam", 1.0], rel_tol=1e-3)


def test_decoupled_decay_shrinks_all_alike_and_adams_does_not():
    """Two weights of equal size, one with a large gradient: L2 inside Adam hardly decays that one."""
    def decay(name):
        ps = []
        for weight_decay in (0.0, 0.1):
            p = nn.Parameter(torch.ones(2, dtype=torch.float64))
            optimizer = getattr(optim, name)([p], lr=0.01, weight_decay=weight_decay)
            for _ in range(20):
                p.grad = torch.tensor([100.0, 0.01], dtype=torch.float64)
                optimizer.step()
            ps.append(p.detach())
        return ps[0] - ps[1]
    assert decay("AdamW")[0] == pytest.approx(decay("AdamW")[1].item(), rel=0.01)
    assert decay("Adam")[0].abs() < 0.01 * decay("AdamW")[0].abs()


def test_a_gradient_of_none_rests_and_a_gradient_of_zero_rolls_on():
    for set_to_none, expected in ((True, 0.9), (False, 0.81)):
        w = nn.Parameter(torch.tensor([1.0]))
        optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
        w.sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=set_to_none)
        optimizer.step()
        assert w.item() == pytest.approx(expected)


def test_the_state_is_open():
    w = nn.Parameter(torch.zeros(3))
    for name, setting, keys in (("SGD", {}, set()), ("SGD", {"momentum": 0.9}, {"v"}), ("RMSprop", {}, {"s"}),
                                ("RMSprop", {"centered": True, "momentum": 0.9}, {"s", "m", "v"}),
                                ("Adam", {}, {"t", "m", "v"}), ("AdamW", {}, {"t", "m", "v"})):
        optimizer = getattr(optim, name)([w], **setting)
        w.grad = torch.ones(3)
        optimizer.step()
        assert set(optimizer.state[w]) == keys


def test_a_closure_is_called_with_gradients_and_its_loss_returned():
    w = nn.Parameter(torch.tensor([2.0]))
    optimizer = optim.SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss
    assert optimizer.step(closure).item() == 4.0 and w.item() == 1.0


# ---------------------------------------------------------------- schedules

LR = 0.3


def rates(make, steps: int = 40) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def assert_schedule(schedule, make, steps: int = 40) -> None:
    """The factors times the rate, by themselves and through LambdaLR, are what torch's scheduler gives."""
    expected = rates(make, steps)
    assert [LR * schedule(step) for step in range(steps)] == pytest.approx(expected, rel=1e-11, abs=1e-14)
    assert rates(lambda o: theirs.LambdaLR(o, schedule), steps) == pytest.approx(expected, rel=1e-11, abs=1e-14)


whole, share = st.integers(1, 12), st.floats(0.05, 1.0)
quick = settings(max_examples=30, deadline=None)


@given(every=whole, factor=share)
@quick
def test_step_decay_is_step_lr(every, factor):
    assert_schedule(step_decay(every, factor), lambda o: theirs.StepLR(o, every, factor))
    assert_schedule(halving(every), lambda o: theirs.StepLR(o, every, 0.5))


@given(milestones=st.lists(st.integers(1, 30), max_size=5).map(sorted), factor=share)
@quick
def test_multi_step_is_multi_step_lr(milestones, factor):
    assert_schedule(multi_step(milestones, factor), lambda o: theirs.MultiStepLR(o, milestones, factor))


@given(factor=share)
@quick
def test_exponential_is_exponential_lr_and_constant_is_constant_lr(factor):
    assert_schedule(exponential(factor), lambda o: theirs.ExponentialLR(o, factor))
    assert_schedule(constant(factor), lambda o: theirs.ConstantLR(o, factor, total_iters=1000))


@given(start=share, end=st.floats(0.0, 1.0), steps=whole)
@quick
def test_linear_is_linear_lr(start, end, steps):
    assert_schedule(linear(start, end, steps), lambda o: theirs.LinearLR(o, start, end, steps))


@given(steps=whole, floor=st.floats(0.0, 1.0))
@quick
def test_cosine_is_cosine_annealing_lr(steps, floor):
    """Step by step to the end of the period, where training should stop; and torch's closed form beyond it."""
    assert_schedule(cosine(steps, floor), lambda o: theirs.CosineAnnealingLR(o, steps, floor * LR), steps + 1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    closed = theirs.CosineAnnealingLR(optimizer, steps, floor * LR)
    for step in range(3 * steps):
        closed.last_epoch = step
        assert LR * cosine(steps, floor)(step) == pytest.approx(closed._get_closed_form_lr()[0], rel=1e-12, abs=1e-15)


@given(first=whole, multiply=st.integers(1, 3), floor=st.floats(0.0, 1.0))
@quick
def test_cosine_restarts_is_cosine_annealing_warm_restarts(first, multiply, floor):
    assert_schedule(cosine_restarts(first, multiply, floor),
                    lambda o: theirs.CosineAnnealingWarmRestarts(o, first, multiply, floor * LR), 60)


@given(steps=whole, start=share, period=whole)
@quick
def test_warm_up_is_sequential_lr_of_linear_and_the_rest(steps, start, period):
    assert_schedule(warm_up(steps, cosine_restarts(period), start), lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, start, 1.0, steps), theirs.CosineAnnealingWarmRestarts(o, period)], [steps]))


def test_sequence_is_sequential_lr():
    assert_schedule(sequence([constant(0.5), exponential(0.9), step_decay(3, 0.2)], [4, 11]), lambda o: theirs.SequentialLR(
        o, [theirs.ConstantLR(o, 0.5, total_iters=1000), theirs.ExponentialLR(o, 0.9), theirs.StepLR(o, 3, 0.2)], [4, 11]))


def test_goyals_milestones_count_from_the_first_epoch():
    schedule = warm_up(5, multi_step([25, 55, 75]), start=1 / 32)
    assert [schedule(epoch) for epoch in (0, 5, 29, 30, 59, 60, 79, 80, 89)] == pytest.approx(
        [1 / 32, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")
def test_the_wrong_order_of_step_skips_the_first_rate():
    """Claim C110: call optimizer.step() first."""
    schedule, used = halving(2), {True: [], False: []}
    for right in used:
        optimizer = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler = theirs.LambdaLR(optimizer, schedule)
        for _ in range(6):
            if not right:
                scheduler.step()
            used[right].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if right:
                scheduler.step()
    assert used[True] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    assert used[False] == pytest.approx([0.1, 0.05, 0.05, 0.025, 0.025, 0.0125])


# ---------------------------------------------------------------- refusals

@pytest.mark.parametrize("call, error", [
    (lambda p: optim.SGD(p, lr=-0.1), ValueError), (lambda p: optim.SGD(p, momentum=-1.0), ValueError),
    (lambda p: optim.SGD(p, lr=float("nan")), ValueError), (lambda p: optim.SGD(p, nesterov=True), ValueError),
    (lambda p: optim.Adam(p, betas=(0.9, 1.0)), ValueError), (lambda p: optim.Adam(p, eps=-1e-8), ValueError),
    (lambda p: optim.AdamW(p, weight_decay=-1.0), ValueError), (lambda p: optim.RMSprop(p, alpha=1.0), ValueError),
    (lambda p: optim.SGD([{"params": p, "moment": 0.9}]), ValueError),
    (lambda p: optim.SGD([nn.Parameter(torch.zeros(2, dtype=torch.complex64))]), TypeError),
    (lambda p: step_decay(0), ValueError), (lambda p: multi_step([5, 2]), ValueError),
    (lambda p: exponential(-1), ValueError), (lambda p: cosine(2.5), ValueError),
    (lambda p: cosine_restarts(4, 0), ValueError), (lambda p: linear(0.1, 1, 0), ValueError),
    (lambda p: sequence([constant()], [3]), ValueError), (lambda p: warm_up(0, constant()), ValueError),
    (lambda p: multi_step([0.5]), ValueError), (lambda p: constant(float("inf")), ValueError),
])
def test_bad_settings_are_refused_in_one_sentence(call, error):
    with pytest.raises(error, match=r"(?s)^[\w.]+: expected .*, got .*; .*\S$"):
        call([nn.Parameter(torch.zeros(2))])
