"""ReceptiveField, the Python side: what it accepts, and that its fields are the package's."""

import pytest
import torch
from torch import nn

from dlnotes.conv import Layer, effective_receptive_field, effective_size, receptive_field
from dlnotes.models.lenet import LeNet5
from dlnotes.widgets.receptive import PRESETS, ReceptiveField


@pytest.mark.parametrize("name, size, jump", [("LeNet-5", 32, 4), ("VGG-16, four stages", 100, 16), ("ten 3×3", 21, 1),
                                              ("ResNet-18, stem and first stage", 43, 4), ("dilated 1, 2, 4, 8", 31, 1),
                                              ("dilated 2, 2, 2, 2", 17, 1)])
def test_presets_have_their_published_fields(name, size, jump):
    field = receptive_field([Layer(k, s, p, d) for k, s, d, p in PRESETS[name]])
    assert (field.size, field.jump) == (size, jump)
    assert f"field {size}, jump {jump}" in repr(ReceptiveField(name))


def test_lenet_is_the_models_own_stack():
    net = LeNet5()
    assert ReceptiveField(nn.Sequential(net.c1, net.s2, net.c3, net.s4, net.c5)).layers == ReceptiveField("LeNet-5").layers


def test_the_uniform_field_is_the_gradient_and_the_random_one_its_root_mean_square():
    widget = ReceptiveField([(3, 1, 2), (2, 2), 3], weights="uniform")
    chain = nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2, bias=False), nn.Conv2d(1, 1, 2, 2, bias=False), nn.Conv2d(1, 1, 3, bias=False))
    side = receptive_field(chain).size
    for layer in chain:
        nn.init.ones_(layer.weight)
    gradient = effective_receptive_field(chain, torch.zeros(1, 1, side, side), position=(0, 0))
    torch.testing.assert_close(widget.field().float(), gradient / gradient.max())

    squares, generator = torch.zeros(side, side), torch.Generator().manual_seed(0)
    for _ in range(3000):
        for layer in chain:
            nn.init.normal_(layer.weight, generator=generator)
        squares += effective_receptive_field(chain, torch.zeros(1, 1, side, side), position=(0, 0)).square()
    expected = (squares / squares.sum()).sqrt()
    field = ReceptiveField([(3, 1, 2), (2, 2), 3]).field().float()
    assert ((field / field.norm() - expected).abs().max() / expected.max()).item() < 0.12


@pytest.mark.parametrize("layers, words", [("VGG", "one of LeNet-5"), ([], "1 to 24 layers"), ([3] * 25, "1 to 24 layers"),
                                           ([(16,)], "kernel of layer 0"), ([(3, 5)], "stride of layer 0"), ([(3, 1, 1, 1, 1)], "may be"),
                                           ([(3, 4)] * 7, "at most 2000 pixels")])
def test_bad_layers_are_named(layers, words):
    with pytest.raises(ValueError, match=words):
        ReceptiveField(layers)


def test_bad_weights_and_modules_are_named():
    with pytest.raises(ValueError, match="random or uniform"):
        ReceptiveField(weights="gauss")
    with pytest.raises(TypeError, match="Layer"):
        ReceptiveField(nn.Linear(3, 3))


def test_the_page_stays_light():
    widget = ReceptiveField()
    assert len(widget.picture) == widget.side**2 == 50_176
    assert len(widget.still()) < 120_000 and "100 × 100" in widget.alt()
    assert 80 < effective_size(widget.field()) < 82
    assert len(ReceptiveField([(15, 4), (15, 4)]).still()) < 120_000        # a picture too small for padding: still drawn
