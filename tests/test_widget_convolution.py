"""ConvArithmetic, the Python side: what it accepts, what it computes, what it draws."""

import pytest
import torch
import torch.nn.functional as F

from dlnotes.conv import conv_size, transposed_size
from dlnotes.widgets.convolution import ConvArithmetic


def test_the_first_state_shows_a_strided_padded_window_in_the_middle():
    widget = ConvArithmetic()
    x, weight, y = widget.tensors()
    assert (x.shape, weight.shape, y.shape) == ((1, 1, 5, 5), (1, 1, 3, 3), (1, 1, 3, 3))
    assert (widget.row, widget.column) == (1, 1)
    assert repr(widget) == "ConvArithmetic(5 × 5 to 3 × 3: kernel 3, stride 2, padding 1, dilation 1)"


@pytest.mark.parametrize("size, k, s, p, d, groups", [(7, 3, 2, 1, 1, 1), (12, 4, 3, 0, 2, 2), (5, 2, 1, 4, 3, 4)])
def test_sizes_and_values_are_torchs(size, k, s, p, d, groups):
    widget = ConvArithmetic(size, k, s, p, d, in_channels=4, out_channels=8, groups=groups)
    x, weight, y = widget.tensors()
    assert torch.equal(y, F.conv2d(x, weight, None, s, p, d, groups)) and y.shape[-1] == conv_size(size, k, s, p, d)
    back = ConvArithmetic(size, k, s, 0, d, in_channels=4, out_channels=8, groups=groups, transposed=True)
    x, weight, y = back.tensors()
    assert weight.shape == (4, 8 // groups, k, k) and y.shape[-1] == transposed_size(size, k, s, 0, 0, d)
    assert len(back.still()) < 120_000 and "transposed" in back.summary()


@pytest.mark.parametrize("arguments, words", [
    ({"size": 13}, "size to be a whole number from 1 to 12"), ({"kernel": 0}, "kernel"), ({"stride": 1.5}, "stride"),
    ({"padding": -1}, "padding"), ({"in_channels": 4, "out_channels": 6, "groups": 4}, "groups to divide"),
    ({"size": 3, "kernel": 5, "padding": 0}, "no larger than the padded input"), ({"output_padding": 1}, "without transposed=True"),
    ({"transposed": True, "stride": 2, "output_padding": 2}, "output_padding below"),
    ({"transposed": True, "size": 1, "kernel": 2, "padding": 3}, "at least one pixel"), ({"row": 3}, "row from 0 to 2")])
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        ConvArithmetic(**arguments)


def test_the_state_is_small_and_the_still_is_described():
    widget = ConvArithmetic(9, 3, 2, 1, in_channels=4, out_channels=4, groups=2)
    assert not any(isinstance(value, bytes) for value in widget.get_state().values())       # numbers only, no arrays
    assert widget.still()[:4] == b"\x89PNG"
    assert "kernel" in widget.alt() and "2 groups" in widget.summary()
