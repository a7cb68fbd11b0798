"""dlnotes.shapes and dlnotes.strides: every function equals PyTorch's own or the authors' formula, for many sizes."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes import shapes as S

few = settings(max_examples=25, deadline=None)
many = settings(max_examples=300, deadline=None)
small = st.integers(1, 4)


def count(*shape: int) -> torch.Tensor:
    """Every element different, so that equal tensors mean equal order."""
    return torch.arange(torch.Size(shape).numel()).reshape(shape).float()


# ---- tokens and patches

@few
@given(small, small, small, small)
def test_tokens_are_flatten_then_transpose_and_come_back(b, c, h, w):
    x = count(b, c, h, w)
    tokens = S.to_tokens(x)
    assert torch.equal(tokens, x.flatten(2).transpose(1, 2))
    assert torch.equal(S.to_map(tokens, h, w), x)


def test_to_map_says_that_h_and_w_cannot_be_recovered():
    with pytest.raises(ValueError, match=r"got n=24 and h=4, w=5 .*H and W cannot be recovered from N"):
        S.to_map(torch.zeros(1, 24, 3), 4, 5)


def test_to_map_with_a_wrong_but_fitting_grid_scrambles():
    x = count(1, 1, 3, 8)
    assert not torch.equal(S.to_map(S.to_tokens(x), 4, 6).flatten(), x.transpose(2, 3).flatten())
    assert S.to_map(S.to_tokens(x), 4, 6)[0, 0, 1, 0] == 6  # below pixel 0 lies pixel 6, in the picture it was pixel 8


@few
@given(small, small, small, small, st.integers(1, 3))
def test_patchify_is_unfold_and_unpatchify_undoes_it(b, c, nh, nw, p):
    x = count(b, c, nh * p, nw * p)
    tokens = S.patchify(x, p)
    assert torch.equal(tokens, F.unfold(x, p, stride=p).transpose(1, 2))
    assert torch.equal(S.unpatchify(tokens, p, nh * p, nw * p), x)


def test_patchify_then_linear_is_a_convolution_with_stride_p():
    conv = nn.Conv2d(3, 8, 4, stride=4)
    x = torch.randn(2, 3, 12, 20)
    tokens = F.linear(S.patchify(x, 4), conv.weight.flatten(1), conv.bias)
    torch.testing.assert_close(tokens, S.to_tokens(conv(x)), atol=1e-5, rtol=1e-4)


@few
@given(small, st.integers(1, 5), small, small)
def test_patch_merging_is_pixel_unshuffle_with_permuted_channels(b, c, nh, nw):
    x = count(b, 2 * nh, 2 * nw, c)
    merged = S.patch_merging(x)
    assert torch.equal(merged, rearrange(x, "b (h p) (w q) c -> b h w (q p c)", p=2, q=2))
    unshuffled = F.pixel_unshuffle(x.permute(0, 3, 1, 2), 2)
    assert torch.equal(merged.permute(0, 3, 1, 2), unshuffled[:, S.merge_permutation(c)])


def test_patch_merging_has_the_order_of_the_authors_four_slices():
    merged = S.patch_merging(torch.tensor([[0, 1], [2, 3]]).reshape(1, 2, 2, 1))
    assert merged.flatten().tolist() == [0, 2, 1, 3]  # down first, then right


def test_patch_merging_and_a_linear_are_a_convolution_with_stride_2():
    linear, x = nn.Linear(4 * 3, 2 * 3, bias=False), torch.randn(2, 6, 4, 3)
    weight = torch.empty_like(linear.weight)
    weight[:, S.merge_permutation(3)] = linear.weight.detach()  # from Swin's channel order to the convolution's
    y = F.conv2d(x.permute(0, 3, 1, 2), weight.view(6, 3, 2, 2), stride=2)
    torch.testing.assert_close(linear(S.patch_merging(x)).permute(0, 3, 1, 2), y, atol=1e-5, rtol=1e-4)


# ---- windows

@few
@given(small, small, small, small, st.integers(1, 3))
def test_windows_are_the_authors_view_permute_view_and_come_back(b, nh, nw, c, ws):
    x = count(b, nh * ws, nw * ws, c)
    windows = S.window_partition(x, ws)
    theirs = x.view(b, nh, ws, nw, ws, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, ws, ws, c)
    assert torch.equal(windows, theirs)
    assert torch.equal(S.window_reverse(windows, ws, nh * ws, nw * ws), x)


def test_window_error_is_one_sentence_with_shape_and_remedy():
    message = (r"window_partition: expected height and width divisible by window_size=7, got \(b=2, h=30, w=28, c=96\); "
               r"pad to \(35, 28\) with dlnotes.shapes.pad_to_multiple\(x, 7, channels_last=True\) first")
    with pytest.raises(ValueError, match=message):
        S.window_partition(torch.zeros(2, 30, 28, 96), 7)


@few
@given(small, small, st.integers(1, 5))
def test_window_coordinates_repeat_one_window_of_linspace_row_first(nh, nw, ws):
    code = S.window_coordinates(nh * ws, nw * ws, ws)
    line = torch.linspace(-1, 1, ws)
    for i in range(nh * ws):
        assert torch.equal(code[0, i], line[i % ws].expand(nw * ws))
    for j in range(nw * ws):
        assert torch.equal(code[1, :, j], line[j % ws].expand(nh * ws))


# ---- shuffles

@few
@given(small, small, small, small, small)
def test_channel_shuffle_is_torchs_and_the_other_divisor_undoes_it(b, groups, per_group, h, w):
    x = count(b, groups * per_group, h, w)
    shuffled = S.channel_shuffle(x, groups)
    assert torch.equal(shuffled, nn.ChannelShuffle(groups)(x))
    assert torch.equal(S.channel_shuffle(shuffled, per_group), x)


@few
@given(small, small, small, small, st.integers(1, 3))
def test_pixel_shuffles_are_torchs(b, c, h, w, factor):
    x = count(b, c * factor**2, h, w)
    assert torch.equal(S.pixel_shuffle(x, factor), F.pixel_shuffle(x, factor))
    assert torch.equal(S.pixel_unshuffle(F.pixel_shuffle(x, factor), factor), x)
    y = count(b, c, h * factor, w * factor)
    assert torch.equal(S.pixel_unshuffle(y, factor), F.pixel_unshuffle(y, factor))


# ---- padding and cropping

@few
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_padding_reaches_the_next_multiple_and_crop_undoes_it(h, w, multiple, channels_last):
    x = count(2, h, w, 3) if channels_last else count(2, 3, h, w)
    padded, (bottom, right) = S.pad_to_multiple(x, multiple, channels_last=channels_last)
    rows, columns = padded.shape[1:3] if channels_last else padded.shape[2:4]
    assert (rows, columns) == (h + bottom, w + right)
    assert rows % multiple == columns % multiple == 0 and bottom < multiple and right < multiple
    assert torch.equal(S.crop_to(padded, h, w, channels_last=channels_last), x)
    assert padded.sum() == x.sum()


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_modes_are_torchs(mode):
    x = torch.randn(2, 3, 5, 6)
    assert torch.equal(S.pad_to_multiple(x, 4, mode=mode)[0], F.pad(x, (0, 2, 0, 3), mode=mode))
    last = S.pad_to_multiple(x.permute(0, 2, 3, 1), 4, channels_last=True, mode=mode)[0]
    assert torch.equal(last.permute(0, 3, 1, 2), F.pad(x, (0, 2, 0, 3), mode=mode))


def test_padding_of_a_fitting_map_returns_it_untouched():
    x = torch.randn(1, 2, 8, 12)
    padded, padding = S.pad_to_multiple(x, 4)
    assert padded is x and padding == (0, 0)


def test_center_crop_keeps_the_middle_and_is_a_view():
    x = count(1, 2, 64, 64)
    assert torch.equal(S.center_crop(x, 56, 40), x[:, :, 4:60, 12:52])
    assert torch.equal(S.center_crop(x.movedim(1, -1), 5, 3, channels_last=True)[0, :, :, 0], x[0, 0, 29:34, 30:33])
    assert S.shares_storage(S.center_crop(x, 56, 40), x)


# ---- storage

@st.composite
def strided(draw):
    """A tensor with arbitrary strides: a random view of a random storage."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4))
    x = count(*shape).permute(draw(st.permutations(range(len(shape)))))
    for axis in range(x.ndim):
        if draw(st.integers(0, 3)) == 0 and x.shape[axis] > 1:
            x = x.unfold(axis, 1, 2).squeeze(-1) if draw(st.booleans()) else x.narrow(axis, 1, x.shape[axis] - 1)
        elif x.shape[axis] == 1 and draw(st.booleans()):
            x = x.expand([draw(small) if a == axis else n for a, n in enumerate(x.shape)])
    return x


@st.composite
def strided_with_target(draw):
    """A strided tensor and a new shape of as many elements."""
    x = draw(strided())
    left, new = x.numel(), []
    while left > 1:
        size = draw(st.sampled_from([n for n in range(2, left + 1) if left % n == 0]))
        new.append(size)
        left //= size
        if draw(st.integers(0, 4)) == 0:
            new.append(1)
    return x, tuple(new)


@many
@given(strided_with_target())
def test_why_not_view_predicts_torchs_view_exactly(case):
    x, new = case
    reason = S.why_not_view(x.shape, x.stride(), new)
    try:
        x.view(new)
        possible = True
    except RuntimeError:
        possible = False
    assert (reason is None) == possible, (x.shape, x.stride(), new, reason)


def test_why_not_view_names_the_two_axes():
    x = torch.zeros(2, 3, 4).permute(0, 2, 1)
    assert S.why_not_view(x.shape, x.stride(), (2, -1)) == (
        "axes 1 and 2 cannot be merged: a step along axis 1 moves 1 in storage, a whole run of axis 2 moves 3 * 4 = 12")


def test_a_tensor_that_is_not_contiguous_can_have_a_view():
    x = torch.zeros(2, 3, 4).permute(2, 0, 1)
    assert not x.is_contiguous() and S.why_not_view(x.shape, x.stride(), (4, 6)) is None
    assert x.view(4, 6).shape == (4, 6)


def test_an_empty_tensor_can_always_be_viewed():
    x = torch.zeros(2, 0, 3).permute(2, 1, 0)
    assert S.why_not_view(x.shape, x.stride(), (0, 6)) is None and x.view(0, 6).shape == (0, 6)


@many
@given(strided())
def test_memory_order_points_at_the_elements(x):
    flat = x.as_strided((x.untyped_storage().nbytes() // 4,), (1,), 0)
    assert torch.equal(flat[S.memory_order(x)], x)


def test_describe_tells_views_from_copies():
    x = torch.zeros(2, 3, 4, 5)
    assert S.describe(x[:, 1:], x).shares_storage and S.describe(x[:, 1:]).offset == 20
    assert not S.describe(x.clone(), x).shares_storage
    assert S.describe(x.to(memory_format=torch.channels_last)).channels_last
    assert repr(S.describe(x.permute(0, 2, 3, 1))) == "shape (2, 4, 5, 3), strides (60, 5, 1, 20), offset 0, not contiguous"


# ---- errors and gradients

@pytest.mark.parametrize("call, expected", [
    (lambda: S.to_tokens(torch.zeros(3, 4, 5)), "to_tokens: expected 4 axes .*unsqueeze"),
    (lambda: S.to_map(torch.zeros(3, 4, 5, 6), 2, 2), "to_map: expected 3 axes"),
    (lambda: S.patchify(torch.zeros(1, 3, 30, 32), 16), r"divisible by p=16.*pad to \(32, 32\)"),
    (lambda: S.patchify(torch.zeros(1, 3, 32, 32), 0), "expected p to be an integer of at least 1"),
    (lambda: S.unpatchify(torch.zeros(1, 6, 12), 2, 6, 6), "unpatchify: expected n"),
    (lambda: S.patch_merging(torch.zeros(1, 7, 7, 3)), r"divisible by 2,"),
    (lambda: S.window_reverse(torch.zeros(5, 2, 2, 3), 2, 4, 6), "window_reverse: .*got 5 windows"),
    (lambda: S.window_reverse(torch.zeros(6, 3, 3, 3), 2, 4, 6), "expected windows of 2 by 2"),
    (lambda: S.window_coordinates(7, 8, 4), "window_coordinates: .*h=7"),
    (lambda: S.channel_shuffle(torch.zeros(1, 6, 2, 2), 4), "got 6 channels and groups=4"),
    (lambda: S.pixel_shuffle(torch.zeros(1, 6, 2, 2), 2), r"divisible by factor\*\*2 = 4"),
    (lambda: S.pixel_unshuffle(torch.zeros(1, 6, 3, 2), 2), "divisible by factor=2"),
    (lambda: S.pad_to_multiple(torch.zeros(1, 1, 2, 9), 8, mode="reflect"), "padding .6, 7."),
    (lambda: S.pad_to_multiple(torch.zeros(1, 1, 2, 9), 8, mode="mirror"), "one of constant, reflect"),
    (lambda: S.crop_to(torch.zeros(1, 1, 2, 9), 3, 3), "a crop cannot grow"),
    (lambda: S.why_not_view((2, 3), (3, 1), (4, 2)), "expected a new shape of 6 elements"),
    (lambda: S.why_not_view((2, 3), (3, 1), (4, -1)), "divide 6 elements"),
    (lambda: S.why_not_view((2, 3), (3,), (6,)), "one stride per axis"),
])
def test_errors_say_expected_got_and_remedy(call, expected):
    with pytest.raises(ValueError, match=expected) as caught:
        call()
    assert "expected" in str(caught.value) and "got" in str(caught.value) and ";" in str(caught.value)


@pytest.mark.parametrize("function", [S.to_tokens, S.patch_merging, S.describe, S.memory_order, lambda x: S.patchify(x, 2)])
def test_a_list_is_no_tensor(function):
    with pytest.raises(TypeError, match="expected a tensor"):
        function([[1, 2], [3, 4]])


def test_gradients_pass_through_every_move():
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    moves = [S.to_tokens, lambda x: S.patchify(x, 3), lambda x: S.channel_shuffle(x, 2), lambda x: S.pixel_shuffle(x, 2),
             lambda x: S.pad_to_multiple(x, 4)[0], lambda x: S.window_partition(x.permute(0, 2, 3, 1), 3)]
    for move in moves:
        (gradient,) = torch.autograd.grad(move(x).sum(), x)
        assert torch.equal(gradient, torch.ones_like(x))


def test_tokens_are_views_and_the_regrouping_moves_copy_once():
    x = count(2, 4, 6, 6)
    last = x.permute(0, 2, 3, 1).contiguous()
    assert S.shares_storage(S.to_tokens(x), x) and S.shares_storage(S.to_map(S.to_tokens(x), 6, 6), x)
    for source, moved in [(x, S.patchify(x, 2)), (last, S.patch_merging(last)), (last, S.window_partition(last, 2)),
                          (x, S.channel_shuffle(x, 2)), (x, S.pixel_shuffle(x, 2)), (x, S.pixel_unshuffle(x, 2))]:
        assert not S.shares_storage(moved, source) and S.describe(moved).storage_elements == x.numel()


@pytest.mark.cuda
def test_results_stay_on_the_callers_device():
    x = count(2, 4, 6, 6).cuda()
    assert S.patchify(x, 2).is_cuda and S.pad_to_multiple(x, 4)[0].is_cuda
    assert S.window_coordinates(4, 4, 2, device=x.device).is_cuda
    assert torch.equal(S.patchify(x, 2).cpu(), S.patchify(x.cpu(), 2))
