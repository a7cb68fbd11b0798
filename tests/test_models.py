"""Every model of the registry: published figures, gradients, learning, files, compilation, recording, bad input."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dlnotes.capture import record
from dlnotes.checkpoints import load_weights, save_weights
from dlnotes.models import _HOME, create, example_input, list_models
from zoo import SENTENCE, Case, all_of, first, models, wrong_inputs

ZOO = models()
# several names may stand for one class with other numbers, and share a tiny version: that one is tried once
KINDS = sorted({(_HOME[name], repr(ZOO[name].tiny)): name for name in sorted(ZOO, reverse=True)}.values())
every_name = pytest.mark.parametrize("name", sorted(ZOO))
each = pytest.mark.parametrize("name", KINDS)


def tiny(name: str, seed: int = 0, **changes):
    torch.manual_seed(seed)
    return create(name, **ZOO[name].tiny | changes)


def inputs(name: str, batch: int, shape=None):
    torch.manual_seed(1)
    return ZOO[name].inputs(batch, shape or ZOO[name].shape)


def test_every_model_is_described():
    assert sorted(ZOO) == list_models()


# ---------------------------------------------------------------- published figures

@every_name
def test_parameters(name):
    with torch.device("meta"):
        model = create(name)
    assert sum(p.numel() for p in model.parameters()) == ZOO[name].parameters


@pytest.mark.parametrize("name", sorted(name for name, case in ZOO.items() if case.gmacs))
def test_multiply_adds(name):
    """To the printed digits, by the recipe of the tables: torch's counter, halved, with the attention spelled out."""
    printed, shape = ZOO[name].gmacs
    with torch.device("meta"):
        model, x = create(name).eval(), ZOO[name].inputs(1, shape)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*(part.to("meta") for part in x))
    assert f"{counter.get_total_flops() / 2e9:.{len(printed.partition('.')[2])}f}" == printed


# ---------------------------------------------------------------- it runs, and all of it learns

@each
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_batches_of_one_and_three(name, training):
    case, model = ZOO[name], tiny(name).train(training)
    for shape in filter(None, (case.shape, case.other)):
        many = [x.shape for x in all_of(model(*inputs(name, 3, shape)))]
        assert all(size[0] == 3 for size in many)
        if training and not case.batch_one:
            with pytest.raises(ValueError, match="expected .*batch"):
                model(*inputs(name, 1, shape))
        else:
            assert [x.shape[1:] for x in all_of(model(*inputs(name, 1, shape)))] == [size[1:] for size in many]


@each
def test_a_sample_does_not_depend_on_its_neighbours(name):
    model, batch = tiny(name).eval(), inputs(name, 3)
    with torch.no_grad():
        together = first(model(*batch))[1:2]
        alone = first(model(*(x[1:2] for x in batch)))
    assert torch.allclose(together, alone, atol=1e-5, rtol=1e-4)


@each
def test_a_gradient_reaches_every_parameter(name):
    model = tiny(name)
    with torch.no_grad():                                               # away from zero starts, which block on purpose
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    sum(x.square().sum() for x in all_of(model(*inputs(name, 3)))).backward()
    silent = [key for key, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)]
    assert silent == []


def classify(model, case: Case) -> bool:
    x, = case.inputs(8, case.shape)
    y = torch.arange(8) % min(4, first(model.eval()(x)).shape[1])
    model.train()
    return descend(model, lambda: F.cross_entropy(first(model(x)), y), lambda: bool((first(model(x)).argmax(1) == y).all()))


def segment(model, case: Case) -> bool:
    """Which pixels are bright, for every class that the network knows."""
    x, = case.inputs(8, case.shape)
    x = F.avg_pool2d(F.pad(x, [2] * 4, mode="reflect"), 5, 1)
    out = first(model(x))
    y = (F.adaptive_avg_pool2d(x[:, :1], out.shape[-2:]) > 0).float()
    y = torch.cat([1 - y, y], dim=1)[:, -min(2, out.shape[1]):]

    def loss():
        return F.binary_cross_entropy_with_logits(first(model(x))[:, :y.shape[1]], y)
    return descend(model, loss, lambda: bool(((first(model(x))[:, :y.shape[1]] > 0) == (y > 0)).float().mean() > 0.95))


def restore(model, case: Case) -> bool:
    """The clean picture behind one known pattern of noise, at the size that the network gives."""
    noise, = case.inputs(8, case.shape)
    with torch.no_grad():
        size = first(model(noise)).shape[-2:]
    clean = torch.rand(8, case.shape[0], 4, 4)
    x = F.interpolate(clean, case.shape[-2:], mode="bilinear") + 0.2 * noise
    y = F.interpolate(clean, size, mode="bilinear")
    start = F.mse_loss(F.interpolate(x, size, mode="bilinear"), y).item()
    return descend(model, lambda: F.mse_loss(first(model(x)), y), lambda: F.mse_loss(first(model(x)), y).item() < 0.5 * start)


def descend(model, loss, done) -> bool:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.0)
    for step in range(300):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9:
            with torch.no_grad():
                if done():
                    return True
    return False


@each
def test_it_learns_eight_samples_by_heart(name):
    task = ZOO[name].task
    model = tiny(name)
    assert task(model) if callable(task) else {"classify": classify, "segment": segment, "restore": restore}[task](model, ZOO[name])


# ---------------------------------------------------------------- no argument is ignored

def mark(model, name: str):
    """All that a setting can change: the shapes, and what is computed before, in and after training."""
    torch.manual_seed(2)
    shapes = [(key, tuple(p.shape), p.requires_grad) for key, p in model.named_parameters()]
    try:
        with torch.no_grad():
            torch.manual_seed(3)
            outs = [x for mode in (False, True, False) for x in all_of(model.train(mode)(*inputs(name, 3)))]
    except (ValueError, TypeError):                                     # the input no longer fits, so it was not ignored
        outs = []
    return shapes, [(tuple(x.shape), round(x.double().sum().item(), 6)) for x in outs]


@each
def test_no_setting_is_ignored(name):
    settings = inspect.signature(type(tiny(name))).parameters
    assert set(ZOO[name].vary) == set(settings), "vary must name every setting"
    usual = mark(tiny(name), name)
    assert usual == mark(tiny(name), name), "the same settings and seed give the same network"
    ignored = [key for key, value in ZOO[name].vary.items()
               if mark(tiny(name, **(value if isinstance(value, dict) and key in value else {key: value})), name) == usual]
    assert ignored == []


@every_name
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(TypeError, match="expected settings among .*, got no_such_setting"):
        create(name, no_such_setting=1)


# ---------------------------------------------------------------- files, compilation, recording

@each
def test_weights_survive_a_file(name, tmp_path):
    model, again = tiny(name), tiny(name, seed=1)
    path = save_weights(model, tmp_path / "weights.safetensors")
    assert set(load_file(path)) == set(model.state_dict())
    load_weights(again, path)
    assert all(torch.equal(x, again.state_dict()[key]) for key, x in model.state_dict().items()
               if not key.endswith("num_batches_tracked"))


@pytest.mark.parametrize("name", [name for name in KINDS if ZOO[name].compile])
def test_compiles_into_one_graph(name):
    """Dynamo and AOTAutograd, without the code generator: the graph has no break, and computes the same."""
    torch._dynamo.reset()
    model, x = tiny(name).eval(), inputs(name, 2)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert torch.allclose(first(compiled(*x)), first(model(*x)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in KINDS if ZOO[name].export])
def test_exports(name):
    if name == "oknet" and torch.__version__.startswith("2.4."):
        pytest.skip("torch.export of torch 2.4 cannot read the signature of its own fft2")
    model, x = tiny(name).eval(), inputs(name, 2)
    program = torch.export.export(model, x)
    assert torch.allclose(first(program.module()(*x)), first(model(*x)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("flag", ["compile", "export"])
def test_a_file_says_why_it_does_not_compile_or_export(flag):
    import sys
    for name, case in ZOO.items():
        if not getattr(case, flag):
            assert flag in sys.modules[type(tiny(name)).__module__].__doc__, name


@each
def test_records(name):
    model, x = tiny(name).eval(), inputs(name, 2)
    with torch.no_grad(), record(model) as seen:
        model(*x)
    assert seen.activations
    if ZOO[name].attention:
        with torch.no_grad(), record(model, attention=True) as seen:
            model(*x)
        assert all(torch.allclose(a.weights.sum(-1), torch.ones(()), atol=1e-4) for a in seen.attention)
        assert all(a.module for a in seen.attention)


# ---------------------------------------------------------------- bad input: one sentence with the remedy

@each
def test_bad_input_is_refused_in_one_sentence(name):
    model = tiny(name).eval()
    for kind, x in wrong_inputs(ZOO[name]):
        with pytest.raises((ValueError, TypeError), match=SENTENCE) as error:
            model(*x)
        assert "\n" not in str(error.value), kind


# ---------------------------------------------------------------- the registry

def test_registry_offers_near_names():
    with pytest.raises(ValueError, match="expected the name of a model, got 'vit_b16'; did you mean .*vit_b_16"):
        create("vit_b16")
    with pytest.raises(ValueError, match="got 'zzz'; the names are"):
        create("zzz")



@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "swin_t", "safmn"])
def test_compiled_code_computes_the_same(name):
    """The whole compiler, code generator included, on four families (it needs a C++ compiler, as torch.compile does)."""
    import shutil
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    if name == "safmn" and torch.__version__.startswith("2.4."):
        pytest.skip("the code generator of torch 2.4 stops with a NameError at adaptive_max_pool2d")
    torch._dynamo.reset()
    model, x = tiny(name).eval(), inputs(name, 2)
    try:
        with torch.no_grad():
            assert torch.allclose(first(torch.compile(model)(*x)), first(model(*x)), atol=1e-4, rtol=1e-3)
    finally:
        torch.set_flush_denormal(False)                                 # on for the whole process where torch used -ffast-math


@every_name
def test_the_example_input_fits_the_canonical_model(name):
    with torch.device("meta"):
        model, x = create(name).eval(), example_input(name)
    if ZOO[name].compile:                                               # a route that depends on numbers needs numbers
        with torch.no_grad():
            assert all(out.shape[0] == 1 for out in all_of(model(*x)))
    if ZOO[name].gmacs:
        assert len(x[0].shape) == len(ZOO[name].gmacs[1]) + 1


def test_example_inputs_name_what_is_wrong():
    with pytest.raises(ValueError, match="expected the name of a model, got 'zzz'; the names are"):
        example_input("zzz")
    with pytest.raises(ValueError, match="expected batch to be an integer of at least 1, got 0"):
        example_input("vit_b_16", batch=0)
