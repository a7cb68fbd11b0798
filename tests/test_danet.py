"""DANet's head: published sizes, the authors' names and figures, three outputs of which the first sees both branches."""

import torchvision_shim  # noqa: F401  (before torchvision)

from pathlib import Path

import pytest
import torch
from authors_tensors import by_rule
from fixtures import assert_figures, wave

from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models import create

SMALL = {"in_channels": 12, "num_classes": 4, "channels": 16, "dropout": 0.0}


def small(**config):
    torch.manual_seed(0)
    return create("danet_head", **SMALL | config)


def of_the_authors() -> dict[str, torch.Tensor]:
    lines = (Path(__file__).parent / "authors" / "danet_head.txt").read_text().splitlines()
    pairs = [line.partition(" ")[::2] for line in lines]                # a counter has no size
    return {key: by_rule(key, tuple(map(int, size.split("x")))) if size else torch.tensor(0) for key, size in pairs}


def test_the_head_and_a_resnet_have_the_published_sizes():
    from torchvision.models import resnet101
    with torch.device("meta"):
        head, backbone = create("danet_head"), resnet101()
    def count(model):
        return sum(p.numel() for p in model.parameters())
    assert count(head) == 23_954_619
    assert count(backbone) - count(backbone.fc) + count(head) == 66_454_779


def test_the_checkpoint_of_the_authors_loads_and_gives_their_output():
    """Names from junfu1115/DANet; figures of its three outputs computed once with its code from these tensors."""
    head = create("danet_head").double().eval()
    report = load_weights(head, of_the_authors() | {"pretrained.conv1.weight": torch.zeros(64, 3, 7, 7)})
    assert report.dialect == "authors" and set(report.dropped) == {"pretrained.conv1.weight"}
    with torch.no_grad():
        both, position, channel = head(3 * wave(1, 2048, 6, 8))
    assert_figures(both, 6.259950258225e-02, 4.935555613731e-01, 3.491808540600e-01, -6.741132828871e-02)
    assert_figures(position, 9.269371709240e-04, 3.524520918940e-01, 3.328663503856e-01, -6.980239496185e-02)
    assert_figures(channel, 6.212138979918e-02, 2.451745536698e-01, 1.004616021552e-01, 1.737878763944e-02)


def test_the_first_output_sees_both_branches_and_the_others_one_each():
    head, x = small().eval(), torch.randn(2, 12, 6, 5)
    before = head(x)
    with torch.no_grad():
        head.channel_in[0].weight.mul_(2)
    changed = [not torch.allclose(a, b) for a, b in zip(before, head(x))]
    assert changed == [True, False, True]
    assert all(scores.shape == (2, 4, 6, 5) for scores in before)


def test_every_pixel_reaches_every_other_once_gamma_has_moved():
    head = small().eval()
    for gamma, reached in ((0.0, 5 * 5), (1.0, 9 * 9)):                 # two 3 x 3 convolutions alone reach 5 x 5
        torch.nn.init.constant_(head.position.gamma, gamma)
        x = torch.randn(1, 12, 9, 9, requires_grad=True)
        head(x)[1][0, :, 4, 4].sum().backward()
        assert (x.grad[0].abs().sum(0) > 0).sum() == reached


def test_recorded_attention_is_of_positions_and_of_channels():
    head = small().eval()
    with record(head, attention=True) as seen:
        head(torch.randn(2, 12, 6, 5))
    assert [(a.module, tuple(a.shape)) for a in seen.attention] == [("position", (2, 1, 30, 30)), ("channel", (2, 16, 16))]


def test_dropout_acts_on_the_scores_in_training_only():
    head, x = small(dropout=0.5), torch.randn(2, 12, 6, 5)
    assert not torch.equal(head(x)[0], head(x)[0])
    assert torch.equal(head.eval()(x)[0], head(x)[0])


@pytest.mark.parametrize("config, words", [
    ({"channels": 12}, "expected channels divisible by reduction=8, got 12"), ({"num_classes": 0}, "expected num_classes"),
    ({"in_channels": 0}, "expected in_channels"), ({"dropout": 1.0}, r"dropout in \[0, 1\)"),
])
def test_a_wrong_configuration_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        small(**config)
