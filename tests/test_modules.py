"""Every public layer and block: counts, shapes, gradients, settings that act, and bad input refused in one sentence."""

import inspect
from importlib import import_module
from pkgutil import walk_packages

import pytest
import torch
from torch import nn

import dlnotes
from dlnotes.models import create
from zoo import SENTENCE, all_of, models, modules, wrong_inputs

ZOO = modules()
each = pytest.mark.parametrize("cls", sorted(ZOO, key=lambda c: c.__qualname__), ids=lambda c: c.__qualname__)


def build(cls, seed: int = 0, **changes):
    torch.manual_seed(seed)
    return cls(**ZOO[cls].tiny | changes)


def inputs(cls, batch: int, shape=None):
    torch.manual_seed(1)
    return ZOO[cls].inputs(batch, shape or ZOO[cls].shape)


def public_classes() -> set[type]:
    """Every nn.Module that some ``__all__`` of the package offers."""
    found = set()
    for info in walk_packages(dlnotes.__path__, "dlnotes."):
        if info.name.startswith(("dlnotes.widgets", "dlnotes.exercises", "dlnotes.plots")):
            continue
        module = import_module(info.name)
        found |= {value for name in getattr(module, "__all__", ()) if isinstance(value := getattr(module, name), type)
                  and issubclass(value, nn.Module)}
    return found


def test_every_public_class_is_described():
    whole = {type(create(name, **case.tiny)) for name, case in models().items()}
    assert {c.__qualname__ for c in public_classes() - set(ZOO) - whole} == set()


@each
def test_count_shapes_and_batches(cls):
    case, module = ZOO[cls], build(cls)
    if case.parameters is not None:
        assert sum(p.numel() for p in module.parameters()) == case.parameters
    for training in (True, False):
        module.train(training)
        for shape in filter(None, (case.shape, case.other)):
            three = [x.shape for x in all_of(module(*inputs(cls, 3, shape)))]
            assert all(size[0] == 3 for size in three)
            if training and not case.batch_one:
                with pytest.raises(ValueError, match="expected .*batch"):
                    module(*inputs(cls, 1, shape))
            else:
                assert [x.shape[1:] for x in all_of(module(*inputs(cls, 1, shape)))] == [size[1:] for size in three]


@each
def test_a_gradient_reaches_every_parameter(cls):
    module = build(cls)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.05 * torch.randn_like(p))
    sum(x.square().sum() for x in all_of(module(*inputs(cls, 3)))).backward()
    assert [key for key, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)] == []


def mark(module, cls):
    """All that a setting can change: shapes, and what is computed before, in and after training."""
    torch.manual_seed(2)
    shapes = [(key, tuple(p.shape), p.requires_grad) for key, p in module.named_parameters()]
    try:
        with torch.no_grad():
            for p in module.parameters():
                p.add_(0.05 * torch.randn_like(p))
            torch.manual_seed(3)
            outs = [x for mode in (False, True, False) for x in all_of(module.train(mode)(*inputs(cls, 3)))]
    except (ValueError, TypeError):
        outs = []
    return shapes, [(tuple(x.shape), round(x.double().sum().item(), 4)) for x in outs]


@each
def test_no_setting_is_ignored(cls):
    assert set(ZOO[cls].vary) == set(inspect.signature(cls).parameters), "vary must name every setting"
    usual = mark(build(cls), cls)
    assert usual == mark(build(cls), cls)
    ignored = [key for key, value in ZOO[cls].vary.items()
               if mark(build(cls, **(value if isinstance(value, dict) and key in value else {key: value})), cls) == usual]
    assert ignored == []


@each
def test_bad_input_is_refused_in_one_sentence(cls):
    module = build(cls).eval()
    for kind, x in wrong_inputs(ZOO[cls]):
        with pytest.raises((ValueError, TypeError), match=SENTENCE) as error:
            module(*x)
        assert "\n" not in str(error.value), kind
