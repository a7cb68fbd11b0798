"""BatchNormStatistics, the Python side: what it accepts, what it ships, and that its numbers are nn.BatchNorm2d's."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dlnotes.widgets import _bundle
from dlnotes.models.resnet import resnet18
from dlnotes.widgets.batchnorm import BatchNormStatistics
from dlnotes.widgets.batchnorm_streams import STREAMS, layer_inputs, norm_layers, order, stream


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---- data

def test_the_streams_are_the_inputs_of_the_second_batchnorm_of_the_shipped_network():
    from dlnotes.digits import DigitsOnTextures
    from dlnotes.models.pretrained import load_pretrained

    network, seen = load_pretrained("cnn_digits"), []
    network.stages[1].norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images, _, _ = DigitsOnTextures("held-out", size=64, seed=5).batch(range(64))
    with torch.no_grad():
        network(images), network(images / 2)
    for name, x in zip(STREAMS[1:], seen):
        torch.testing.assert_close(stream(name), x[:, [4, 24, 19], 4::8, 4::8], atol=3e-4, rtol=0)
    assert [tuple(stream(name).shape) for name in STREAMS] == [(192, 3, 4, 4), (64, 3, 4, 4), (64, 3, 4, 4)]


def test_dimmed_pictures_have_other_statistics():
    usual, dimmed = (stream(name)[:, 0].mean().item() for name in STREAMS[1:])
    assert dimmed - usual > 0.5


def test_the_order_is_shuffled_passes():
    which = order(192)
    for i in range(0, 3840, 192):
        assert sorted(which[i:i + 192].tolist()) == list(range(192))
    assert not torch.equal(which[:192], which[192:384]) and torch.equal(which, order(192))


def test_an_unknown_stream_is_refused():
    with pytest.raises(ValueError, match="expected one of training, held-out, dimmed, got 'test'"):
        stream("test")


def test_the_default_ships_little_and_says_what_it_shows():
    widget = BatchNormStatistics()
    assert repr(widget) == ("BatchNormStatistics(digits network, 3 channels, batch of 4, momentum 0.1, train mode, step 24)")
    assert len(widget.training) + len(widget.evaluation) + len(widget.orders) < 60_000
    own = np.frombuffer(widget.training, np.int16).reshape(192, 3, 4, 4) * widget.unit
    assert np.array_equal(own, stream("training").numpy())


# ---- numbers

@pytest.mark.parametrize("settings", [
    {}, {"batch": 1, "momentum": None, "step": 60}, {"batch": 2, "pooled": True, "mode": "eval", "source": "dimmed", "gamma": 2.0},
    {"batch": 64, "momentum": 1.0, "eps": 0.1, "beta": -1.5, "step": 9}, {"mode": "eval", "step": 0}])
def test_run_is_a_plain_loop_over_batchnorm(settings):
    widget = BatchNormStatistics(**settings)
    bn, x, y = widget.run()
    train, held = (stream(name).double() for name in ("training", STREAMS[1 + widget.source]))
    if widget.pooled:
        train, held = (a.mean((2, 3), keepdim=True) for a in (train, held))
    twin = nn.BatchNorm2d(3, eps=widget.eps, momentum=widget.momentum).double()
    twin.weight.data.fill_(widget.gamma), twin.bias.data.fill_(widget.beta)
    for which in order(192)[:widget.batch * widget.step].split(widget.batch):
        expected = twin(train[which])
    if widget.mode == "eval":
        expected = twin.eval()(held[order(64)[:widget.batch]])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(bn.running_var, twin.running_var)


def test_one_value_per_channel_is_refused_in_training_and_allowed_in_evaluation():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNormStatistics(batch=1, pooled=True).run()
    bn, _, _ = BatchNormStatistics(batch=1, pooled=True, mode="eval").run()
    assert bn.num_batches_tracked == 0


# ---- own activations

def test_own_activations_are_shipped_as_integers():
    x, z = 5 * noise(20, 4, 3, 5), noise(10, 4, 3, 5, seed=1)
    widget = BatchNormStatistics(x, z, batch=8, channel=3)
    assert widget.shape == [20, 10, 4, 3, 5] and widget.own and widget.evaluations == ["yours"]
    back = np.frombuffer(widget.training, np.int16).reshape(x.shape) * widget.unit
    assert np.abs(back - x.numpy()).max() <= widget.unit / 2 < 1e-3
    assert BatchNormStatistics(x).shape[1] == 20


@pytest.mark.parametrize("arguments, error, message", [
    ((noise(4, 3),), ValueError, r"shape \(n, c, h, w\) with no empty axis, got \(4, 3\)"),
    ((noise(0, 3, 2, 2),), ValueError, "no empty axis"),
    ((noise(4, 3, 2, 2) / 0,), ValueError, "finite values"),
    ((torch.ones(4, 3, 2, 2, dtype=torch.long),), TypeError, "floating-point tensor, got torch.int64"),
    (([1.0],), TypeError, "got list"),
    ((noise(4, 3, 2, 2), noise(4, 2, 2, 2)), ValueError, "one c, h and w"),
    ((None, noise(4, 3, 2, 2)), ValueError, "pass training=... as well"),
    ((noise(500, 64, 8, 8),), ValueError, "take fewer channels or pixels"),
])
def test_wrong_activations_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        BatchNormStatistics(*arguments)


@pytest.mark.parametrize("settings, message", [
    ({"batch": 3}, "batch to be one of 1, 2, 4, 8, 16, 32, 64, got 3"), ({"mode": "test"}, "mode to be one of train, eval"),
    ({"momentum": 1.5}, r"momentum in \[0, 1\] or None"), ({"eps": 0}, "eps above 0"), ({"gamma": 4}, "gamma from 0 to 3"),
    ({"beta": -9}, "beta from -3 to 3"), ({"step": 61}, "step from 0 to 60"), ({"channel": 3}, "channel from 0 to 2"),
    ({"source": "mine"}, "source to be one of held-out, dimmed")])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        BatchNormStatistics(**settings)


# ---- any network

def test_what_arrives_at_a_layer_is_what_the_network_sends_there():
    net, x = resnet18(num_classes=3), torch.rand(70, 3, 32, 32)
    assert norm_layers(net)[:2] == ["bn1", "layer1.0.bn1"] and len(norm_layers(net)) == 20
    net.layer1.eval()
    (maps,) = layer_inputs(net, "layer1.0.bn1", x)
    assert net.training and not net.layer1.training and net.bn1.num_batches_tracked == 0       # left as it was
    seen = []
    hook = net.layer1[0].bn1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        net.eval()(x)
    hook.remove()
    means = seen[0].mean((0, 2, 3))
    kept = [means.argmin().item(), means.argsort()[32].item(), means.argmax().item()]
    torch.testing.assert_close(maps, seen[0][:, kept], atol=1e-5, rtol=1e-4)                   # 8 × 8 fit: none is left out


def test_large_maps_are_thinned_out_and_too_many_pictures_refused():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2))
    (maps,) = layer_inputs(net, "1", torch.rand(10, 1, 100, 60))
    assert maps.shape[:2] == (10, 2) and 10_000 < maps.numel() <= 20_000
    with pytest.raises(ValueError, match="expected at most 20,000 values of one pixel each, got 10,001 pictures"):
        layer_inputs(net, "1", torch.rand(10_001, 1, 1, 1))


def test_a_kernel_shows_another_layer_of_the_readers_own_network():
    net, x = resnet18(num_classes=3), torch.rand(12, 3, 32, 32)
    widget = BatchNormStatistics(x, model=net, channel=2)
    assert repr(widget).startswith("BatchNormStatistics(layer bn1, 3 channels") and widget.shape == [12, 12, 3, 16, 16]
    widget.handle({"type": "layer", "name": "layer4.1.bn2"})
    assert (widget.layer, widget.shape, widget.revision) == ("layer4.1.bn2", [12, 12, 3, 1, 1], 1)
    for nonsense in ({"type": "layer", "name": "fc"}, {"type": "picture"}, "layer", None):
        widget.handle(nonsense)
    assert widget.revision == 1
    widget.run(), widget.still()


@pytest.mark.parametrize("arguments, error, message", [
    ({"model": nn.Conv2d(1, 1, 1), "training": torch.rand(2, 1, 4, 4)}, ValueError, "one of none, the BatchNorm2d layers of Conv2d, got ''"),
    ({"model": resnet18(num_classes=2)}, ValueError, "expected training inputs for the model, got None"),
    ({"model": resnet18(num_classes=2), "training": torch.rand(2, 3, 32, 32), "layer": "fc"}, ValueError, "one of bn1, .*got 'fc'"),
    ({"model": resnet18(num_classes=2), "training": [1.0]}, TypeError, r"inputs as tensors \(n, ...\), got list"),
    ({"model": "resnet18", "training": torch.rand(2, 3, 32, 32)}, TypeError, "torch.nn.Module, got str"),
    ({"layer": "bn1", "training": torch.rand(2, 3, 32, 32)}, ValueError, "expected a model with a layer 'bn1', got activations"),
    ({"layer": "bn1"}, ValueError, "one of stages.0.norm, .*got 'bn1'"),
])
def test_wrong_networks_and_layers_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        BatchNormStatistics(**arguments)


@pytest.mark.cuda
def test_the_network_runs_where_it_is():
    net, x = resnet18(num_classes=3).cuda(), torch.rand(12, 3, 32, 32)
    (here,) = layer_inputs(net, "bn1", x, channels=(0, 1, 2))
    (there,) = layer_inputs(net.cpu(), "bn1", x, channels=(0, 1, 2))
    torch.testing.assert_close(here, there, atol=2e-3, rtol=2e-3)


# ---- without scripts, and as one file

@pytest.mark.parametrize("settings", [{}, {"batch": 1, "pooled": True}, {"mode": "eval", "source": "dimmed", "step": 0}])
def test_the_still_picture_is_small_and_described(settings):
    widget = BatchNormStatistics(**settings)
    still = widget.still()
    assert len(still) < 120_000 and Image.open(io.BytesIO(still)).width > 400
    assert "running statistics" in widget.alt()


def test_the_state_and_the_script_fit_their_budgets(tmp_path):
    path = tmp_path / "batchnorm.html"
    BatchNormStatistics().to_html(path)
    assert len(path.read_text(encoding="utf-8")) < 300_000
    assert len(_bundle.classic_script("batchnorm")) < 25_000
