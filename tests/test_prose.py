"""Facts that a chapter states beside no cell."""

import inspect
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from dlnotes.libraries import torchvision
from dlnotes.widgets import MemoryPlanner


def test_rmsprops_first_step_is_ten_times_the_rate():
    for gradient in (1e-3, 1.0, 1e3):
        w = nn.Parameter(torch.zeros(()))
        w.grad = torch.tensor(gradient)
        torch.optim.RMSprop([w], lr=0.01).step()
        assert w.item() == pytest.approx(-0.1, rel=1e-3)


def test_in_float32_a_lead_of_20_is_all_of_a_softmax():
    assert torch.tensor([20.0, 0.0]).softmax(0)[0] == 1 and torch.tensor([20.0, 0.0]).double().softmax(0)[0] < 1


def test_defaults_of_dropout():
    found = [inspect.signature(layer).parameters["dropout"].default for layer in (nn.MultiheadAttention, nn.TransformerEncoderLayer)]
    assert found == [0.0, 0.1]


def test_the_second_normalize_makes_three_channels_of_a_grey_picture():
    grey, numbers = torch.rand(1, 4, 4), ([0.5] * 3, [0.5] * 3)
    with pytest.raises(RuntimeError):
        torchvision.transforms.Normalize(*numbers)(grey)
    from torchvision.transforms import v2

    assert v2.Normalize(*numbers)(grey).shape == (3, 4, 4)


def test_in_a_reshaped_clip_neighbours_are_two_colours_and_a_later_start_is_in_other_channels():
    frame = torch.arange(8).repeat_interleave(3).reshape(3, 8)              # channel, "time" -> the true moment
    colour = torch.arange(3).repeat(8).reshape(3, 8)                        # ... and the true colour
    assert (colour[:, 1:] != colour[:, :-1]).all() and (frame[:, 1:] == frame[:, :-1]).double().mean() > 0.5
    where = torch.arange(24).reshape(8, 3) // 8                             # moment, colour -> channel
    assert (where[4:] != where[:4]).all()


def test_with_stride_2_and_dilation_2_every_second_row_is_never_read():
    x = torch.zeros(1, 1, 15, 15, requires_grad=True)
    nn.functional.conv2d(x, torch.ones(1, 1, 3, 3), stride=2, dilation=2).sum().backward()
    assert (x.grad[0, 0, 1::2] == 0).all() and (x.grad[0, 0, 0::2, 0::2] > 0).all() and (x.grad[0, 0, :, 1::2] == 0).all()


def test_what_nohup_starts_hands_its_deafness_on():
    ask = f"{sys.executable} -c 'import signal; print(signal.getsignal(signal.SIGHUP).name)'"
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        heard = [subprocess.run([*how, "sh", "-c", f"true; {ask}"], text=True, capture_output=True, stdin=subprocess.DEVNULL).stdout.strip()
                 for how in ([], ["nohup"])]
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == ["SIG_DFL", "SIG_IGN"]


def test_what_saves_most_of_a_u_net():
    def peak(**settings):
        return sum(MemoryPlanner(**settings).parts())

    saved = [peak() - peak(**remedy) for remedy in ({"batch": 12}, {"autocast": True}, {"checkpointing": True}, {"optimizer": "sgd"})]
    assert saved == sorted(saved, reverse=True) and saved[1] > 0.9 * saved[0] and saved[3] < 0.1 * saved[2]
