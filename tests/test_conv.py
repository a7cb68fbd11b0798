"""dlnotes.conv: every piece equals PyTorch's (or NumPy's, or SciPy's) own in float64, for many sizes, gradients included."""

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlnotes import conv as C
from dlnotes.attention import MultiHeadAttention

few = settings(max_examples=25, deadline=None)


def randn(*shape: int) -> torch.Tensor:
    """Reproducible, and different for each shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)


pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw, axes: int):
    """x, weight, bias and settings that fit together."""
    groups = draw(st.integers(1, 2))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * axes))
    size = draw(st.tuples(*[st.integers(1, 7 if axes < 3 else 4)] * axes))
    ranges = {"stride": st.integers(1, 3), "padding": st.integers(0, 2), "dilation": st.integers(1, 2)}
    options = {name: draw(st.tuples(*[values] * axes)) for name, values in ranges.items()} | {"groups": groups}
    assume(all(n + 2 * p >= d * (k - 1) + 1
               for n, k, p, d in zip(size, kernel, options["padding"], options["dilation"])))
    c, o = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    x, weight = randn(draw(st.integers(1, 2)), c * groups, *size), randn(o * groups, c, *kernel)
    return x, weight, draw(st.sampled_from([None, randn(o * groups)])), options


# ---------------------------------------------------------------- sliding windows

@few
@given(convolutions(axes=2))
def test_loops_and_unfold_are_conv2d(case):
    x, weight, bias, options = case
    theirs = F.conv2d(x, weight, bias, **options)
    close(C.conv2d_loops(x, weight, bias, **options), theirs)
    close(C.conv2d_unfold(x, weight, bias, **options), theirs)


@few
@given(convolutions(axes=1))
def test_unfold_is_conv1d(case):
    x, weight, bias, options = case
    one = {key: value if key == "groups" else value[0] for key, value in options.items()}
    close(C.conv1d_unfold(x, weight, bias, **one), F.conv1d(x, weight, bias, **one))


@settings(max_examples=15, deadline=None)
@given(convolutions(axes=3))
def test_loops_and_unfold_are_conv3d(case):
    x, weight, bias, options = case
    theirs = F.conv3d(x, weight, bias, **options)
    close(C.conv3d_loops(x, weight, bias, **options), theirs)
    close(C.conv3d_unfold(x, weight, bias, **options), theirs)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("ours", [C.conv2d_loops, C.conv2d_unfold])
def test_same_padding_is_pytorchs_also_for_even_kernels(ours, kernel, dilation):
    x, weight = randn(1, 1, 6, 7), randn(1, 1, kernel, kernel)
    out = ours(x, weight, padding="same", dilation=dilation)
    close(out, F.conv2d(x, weight, padding="same", dilation=dilation))
    assert out.shape == x.shape
    if dilation * (kernel - 1) < 6:
        close(ours(x, weight, padding="valid", dilation=dilation), F.conv2d(x, weight, dilation=dilation))


@pytest.mark.parametrize("ours", [C.conv2d_loops, C.conv2d_unfold])
def test_conv2d_gradients(ours):
    args = [t.requires_grad_() for t in (randn(1, 4, 4, 5), randn(2, 2, 2, 3), randn(2))]
    assert torch.autograd.gradcheck(lambda *a: ours(*a, stride=(1, 2), padding=1, groups=2), args)


@pytest.mark.parametrize("ours", [C.conv3d_loops, C.conv3d_unfold])
def test_conv3d_gradients(ours):
    args = [t.requires_grad_() for t in (randn(1, 2, 2, 3, 3), randn(2, 1, 2, 2, 2), randn(2))]
    assert torch.autograd.gradcheck(lambda *a: ours(*a, padding=1, stride=2, groups=2), args)


def test_correlation_is_scipys():
    x, kernel = randn(7, 6), randn(3, 2)
    theirs = torch.from_numpy(scipy.signal.correlate2d(x, kernel, mode="valid"))
    close(C.conv2d_loops(x[None, None], kernel[None, None])[0, 0], theirs)


@few
@given(convolutions(axes=2))
def test_sliding_windows_are_unfold_without_a_copy(case):
    x, weight, _, options = case
    kernel, stride, dilation = tuple(weight.shape[2:]), options["stride"], options["dilation"]
    assume(all(n >= d * (k - 1) + 1 for n, k, d in zip(x.shape[2:], kernel, dilation)))
    windows = C.sliding_windows(x, kernel, stride, dilation)
    columns = windows.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)
    assert torch.equal(columns, F.unfold(x, kernel, dilation, 0, stride))
    assert windows.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()


def test_bands_as_channels_forget_their_order_and_a_3d_kernel_does_not():
    """A 2-D kernel with equal weights for all bands gives the same for a reversed cube; a 3-D kernel moves along with it."""
    cube = randn(1, 1, 6, 4, 4)                                                 # b c d h w
    flat = cube.squeeze(1)                                                      # b d h w: bands as channels
    weight = torch.ones(1, 6, 3, 3, dtype=torch.float64)
    close(F.conv2d(flat, weight), F.conv2d(flat.flip(1), weight))
    kernel = randn(1, 1, 3, 3, 3)
    mirrored = C.conv3d_unfold(cube.flip(2), kernel.flip(2))
    close(mirrored, C.conv3d_unfold(cube, kernel).flip(2))
    assert not torch.allclose(C.conv3d_unfold(cube.flip(2), kernel), C.conv3d_unfold(cube, kernel))


# ---------------------------------------------------------------- convolution in the mathematical sense

@few
@given(st.integers(1, 8), st.integers(1, 8))
def test_convolve1d_is_numpys(n, k):
    x, kernel = randn(n), randn(k)
    close(C.convolve1d(x, kernel), torch.from_numpy(np.convolve(x, kernel)))


@few
@given(pair, pair)
def test_convolve2d_is_scipys(size, kernel_size):
    x, kernel = randn(*size), randn(*kernel_size)
    close(C.convolve2d(x, kernel), torch.from_numpy(scipy.signal.convolve2d(x, kernel)))


def test_convolution_is_correlation_with_the_turned_kernel_and_a_transposed_convolution():
    x, kernel = randn(5, 6), randn(3, 2)
    full = C.convolve2d(x, kernel)
    close(F.conv2d(x[None, None], C.turned(kernel)[None, None], padding=(2, 1))[0, 0], full)
    close(F.conv_transpose2d(x[None, None], kernel[None, None])[0, 0], full)


def test_convolution_commutes_and_associates_and_correlation_does_not():
    a, b, c = randn(4), randn(3), randn(2)
    close(C.convolve1d(a, b), C.convolve1d(b, a))
    close(C.convolve1d(C.convolve1d(a, b), c), C.convolve1d(a, C.convolve1d(b, c)))

    def correlate(x, kernel):
        return C.convolve1d(x, kernel.flip(0))
    assert not torch.allclose(correlate(a, b), correlate(b, a))
    assert not torch.allclose(correlate(correlate(a, b), c), correlate(a, correlate(b, c)))


# ---------------------------------------------------------------- sizes

number = st.integers(1, 5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), number, number, st.integers(0, 3), st.integers(1, 3))
def test_conv_size_is_the_size_of_conv2d(size, kernel, stride, padding, dilation):
    assume(size + 2 * padding >= dilation * (kernel - 1) + 1)
    out = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), None, stride, padding, dilation)
    assert C.conv_size(size, kernel, stride, padding, dilation) == out.shape[-1]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), number, number, st.integers(0, 2), st.integers(1, 3), st.booleans())
def test_pool_size_is_the_size_of_max_pool(size, kernel, stride, padding, dilation, ceil_mode):
    assume(padding <= kernel // 2 and size + 2 * padding >= dilation * (kernel - 1) + 1)
    out = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil_mode)
    assert C.pool_size(size, kernel, stride, padding, dilation, ceil_mode) == out.shape[-1]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), number, number, st.integers(0, 2), st.integers(0, 3), st.integers(1, 3))
def test_transposed_size_is_the_size_of_conv_transpose(size, kernel, stride, padding, output_padding, dilation):
    assume(output_padding < max(stride, dilation))
    assume((size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1 >= 1)
    out = F.conv_transpose1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), None, stride, padding, output_padding, 1,
                             dilation)
    assert C.transposed_size(size, kernel, stride, padding, output_padding, dilation) == out.shape[-1]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), number, st.integers(1, 4), st.integers(0, 2), st.integers(1, 2))
def test_output_padding_tells_apart_the_sizes_that_a_stride_hides(size, kernel, stride, padding, dilation):
    assume(size + 2 * padding >= dilation * (kernel - 1) + 1)
    small = C.conv_size(size, kernel, stride, padding, dilation)
    lost = size - ((small - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
    assert 0 <= lost < stride
    assert C.transposed_size(small, kernel, stride, padding, lost, dilation) == size


def test_the_sizes_of_the_2015_unet():
    """572 to 388, as the paper draws it: 568, 280, 136, 64, 28, then 52, 100, 196, 388."""
    size, seen = 572, []
    for level in range(5):
        size = C.pool_size(size, 2) if level else size
        size = C.conv_size(C.conv_size(size, 3), 3)
        seen.append(size)
    for _ in range(4):
        size = C.conv_size(C.conv_size(C.transposed_size(size, 2, stride=2), 3), 3)
        seen.append(size)
    assert seen == [568, 280, 136, 64, 28, 52, 100, 196, 388]


def test_sizes_take_one_number_or_one_per_axis():
    assert C.conv_size((30, 25, 25), (7, 3, 3)) == (24, 23, 23)
    assert C.pool_size((7, 8), 2) == (3, 4)
    assert C.transposed_size((3, 4), (2, 3), stride=2) == (6, 9)
    with pytest.raises(ValueError, match="expected one number for all axes or one for each axis"):
        C.conv_size((3, 4), (2, 3, 3))
    with pytest.raises(ValueError, match="expected one number for all axes or one for each axis"):
        C.conv_size(8, (3, 3))


# ---------------------------------------------------------------- pooling

@few
@given(st.tuples(st.integers(2, 7), st.integers(2, 7)), pair, pair, st.booleans())
def test_pooling_is_pytorchs(size, kernel, stride, padded):
    padding = tuple(k // 2 for k in kernel) if padded else 0
    assume(all(n + 2 * (k // 2) * padded >= k for n, k in zip(size, kernel)))
    x = randn(2, 3, *size)
    values, indices = C.max_pool2d(x, kernel, stride, padding)
    theirs, where = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
    assert torch.equal(values, theirs) and torch.equal(indices, where)
    close(C.avg_pool2d(x, kernel, stride, padding), F.avg_pool2d(x, kernel, stride, padding))


@few
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), pair)
def test_adaptive_pooling_is_pytorchs(size, output_size):
    x = randn(2, 3, *size)
    close(C.adaptive_avg_pool2d(x, output_size), F.adaptive_avg_pool2d(x, output_size))


def test_the_first_of_equal_maxima_is_kept():
    x = torch.ones(1, 1, 2, 2)
    assert C.max_pool2d(x, 2)[1].item() == F.max_pool2d(x, 2, return_indices=True)[1].item() == 0


# ---------------------------------------------------------------- the matrix, and its transpose

@few
@given(convolutions(axes=2))
def test_the_matrix_is_the_convolution(case):
    x, weight, _, options = case
    matrix = C.convolution_matrix(weight, tuple(x.shape[2:]), **options)
    close(x.flatten(1) @ matrix.T, F.conv2d(x, weight, **options).flatten(1))


def test_the_4_by_16_matrix():
    matrix = C.convolution_matrix(randn(1, 1, 3, 3), 4)
    assert matrix.shape == (4, 16) and ((matrix != 0).sum(dim=1) == 9).all()
    assert torch.linalg.matrix_rank(matrix) == 4
    close(matrix, torch.autograd.functional.jacobian(
        lambda x: F.conv2d(x.reshape(1, 1, 4, 4), randn(1, 1, 3, 3)).flatten(), randn(16)))


def test_the_matrix_passes_gradients_to_the_weight():
    weight, x = randn(2, 1, 2, 2).requires_grad_(), randn(9)
    assert torch.autograd.gradcheck(lambda w: C.convolution_matrix(w, 3, padding=1) @ x, [weight])


@st.composite
def transposed(draw):
    groups = draw(st.integers(1, 2))
    numbers = {name: draw(st.tuples(*[values] * 2)) for name, values in {
        "size": st.integers(1, 4), "kernel": st.integers(1, 3), "stride": st.integers(1, 3), "dilation": st.integers(1, 2),
        "padding": st.integers(0, 2), "output_padding": st.integers(0, 2)}.items()}
    for n, k, s, d, p, extra in zip(*numbers.values()):
        assume(extra < max(s, d) and (n - 1) * s - 2 * p + d * (k - 1) + extra + 1 >= 1)
    size, kernel = numbers.pop("size"), numbers.pop("kernel")
    c, o = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    bias = draw(st.sampled_from([None, randn(o * groups)]))
    return randn(2, c * groups, *size), randn(c * groups, o, *kernel), bias, numbers | {"groups": groups}


@few
@given(transposed())
def test_stamping_is_the_transposed_convolution(case):
    x, weight, bias, options = case
    close(C.conv_transpose2d_loops(x, weight, bias, **options), F.conv_transpose2d(x, weight, bias, **options))


@few
@given(transposed())
def test_the_transposed_matrix_is_the_transposed_convolution(case):
    x, weight, bias, options = case
    close(C.conv_transpose2d_matrix(x, weight, bias, **options), F.conv_transpose2d(x, weight, bias, **options))


@pytest.mark.parametrize("ours", [C.conv_transpose2d_loops, C.conv_transpose2d_matrix])
def test_transposed_gradients(ours):
    args = [t.requires_grad_() for t in (randn(1, 2, 2, 3), randn(2, 1, 3, 2), randn(2))]
    assert torch.autograd.gradcheck(lambda *a: ours(*a, stride=2, padding=1, output_padding=1, groups=2), args)


def test_transposed_convolution_is_the_adjoint_and_not_the_inverse():
    """<conv x, y> = <x, conv' y>; but conv' (conv x) is not x."""
    x, y, weight = randn(1, 2, 7, 7), randn(1, 3, 4, 4), randn(3, 2, 3, 3)
    there, back = F.conv2d(x, weight, stride=2, padding=1), C.conv_transpose2d_loops(y, weight, stride=2, padding=1)
    torch.testing.assert_close((there * y).sum(), (x * back).sum())
    again = C.conv_transpose2d_loops(there, weight, stride=2, padding=1)
    assert again.shape == x.shape and not torch.allclose(again, x, atol=0.1)


def test_the_gradient_of_a_convolution_is_its_transposed_convolution():
    x, weight, y = randn(1, 2, 5, 5).requires_grad_(), randn(3, 2, 3, 3), randn(1, 3, 3, 3)
    gradient, = torch.autograd.grad(F.conv2d(x, weight), x, y)
    close(C.conv_transpose2d_loops(y, weight), gradient)


def test_stamps_overlap_evenly_only_where_the_stride_divides_the_kernel():
    one = torch.ones(1, 1, 6, 6)
    checkered = C.conv_transpose2d_loops(one, torch.ones(1, 1, 3, 3), stride=2)[0, 0, 2:-2, 2:-2]
    even = C.conv_transpose2d_loops(one, torch.ones(1, 1, 4, 4), stride=2)[0, 0, 2:-2, 2:-2]
    assert set(checkered.flatten().tolist()) == {1.0, 2.0, 4.0} and set(even.flatten().tolist()) == {4.0}


# ---------------------------------------------------------------- receptive field

def ones(layers: list[nn.Module]) -> nn.Sequential:
    """Positive weights, so that no gradient cancels."""
    model = nn.Sequential(*layers).double()
    for p in model.parameters():
        nn.init.constant_(p, 1.0)
    return model


@few
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2)), min_size=1,
                max_size=4))
def test_the_receptive_field_is_where_the_gradient_is_not_zero(chain):
    """First and last pixel with a gradient, for one output whose field lies inside the picture, and for the next one."""
    side = 90
    model = ones([nn.Conv2d(1, 1, (1, k), (1, s), (0, p), (1, d)) for k, s, p, d in chain])
    field = C.receptive_field(model)
    assert field == C.receptive_field([C.Layer(*numbers) for numbers in chain])
    i = -(-max(0, -field.start) // field.jump)                                  # the first that sees no padding on the left
    x = torch.zeros(1, 1, 1, side, dtype=torch.float64)
    for output in (i, i + 1):
        assume(field.pixels(output).stop <= side and output < model(x).shape[-1])
        seen = C.effective_receptive_field(model, x, position=(0, output))[0].nonzero().flatten()
        assert (seen[0], seen[-1] + 1) == (field.pixels(output).start, field.pixels(output).stop)


def test_known_receptive_fields():
    """AlexNet's last pooling sees 195 pixels and VGG-16's 212, in steps of 32 (Araujo et al., Distill 2019, table)."""
    alexnet = [C.Layer(11, 4, 2), C.Layer(3, 2), C.Layer(5, 1, 2), C.Layer(3, 2), *[C.Layer(3, 1, 1)] * 3, C.Layer(3, 2)]
    vgg16 = [layer for convs in (2, 2, 3, 3, 3) for layer in [C.Layer(3, 1, 1)] * convs + [C.Layer(2, 2)]]
    assert (C.receptive_field(alexnet).size, C.receptive_field(alexnet).jump) == (195, 32)
    assert (C.receptive_field(vgg16).size, C.receptive_field(vgg16).jump) == (212, 32)


def test_modules_and_layers_describe_the_same_chain():
    model = nn.Sequential(nn.Conv2d(3, 8, 5, padding="same", dilation=2), nn.BatchNorm2d(8), nn.ReLU(),
                          nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(8, 8, (3, 1), (2, 1), (1, 0))), nn.Dropout())
    assert C.receptive_fields(model, axis=-2) == C.receptive_fields([C.Layer(5, 1, 4, 2), C.Layer(2, 2), C.Layer(3, 2, 1)])
    assert C.receptive_fields(model, axis=-1) == C.receptive_fields([C.Layer(5, 1, 4, 2), C.Layer(2, 2), C.Layer(1)])
    assert C.receptive_field(model[0]) == C.receptive_field(C.Layer(5, 1, 4, 2))
    with pytest.raises(TypeError, match="got LSTM; describe it with Layer"):
        C.receptive_field([nn.LSTM(3, 3)])


def test_the_effective_field_is_smaller_than_the_theoretical_one():
    """Twelve 3 x 3 layers of equal weights: a bell whose rim hardly counts (Luo et al., section 2.2)."""
    model = ones([nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(12)])
    field = C.effective_receptive_field(model, torch.zeros(1, 1, 31, 31, dtype=torch.float64))
    assert C.receptive_field(model).size == 25 and (field[15] > 0).sum() == 25
    assert field.argmax() == 15 * 31 + 15 and C.effective_size(field) < 16
    line = torch.ones(1, dtype=torch.float64)
    for _ in range(12):
        line = C.convolve1d(line, torch.ones(3, dtype=torch.float64))
    close(field[3:28, 3:28], torch.outer(line, line))                           # kernels convolved with each other


def test_the_effective_field_leaves_the_model_alone():
    model, x = nn.Conv2d(2, 3, 3), torch.randn(2, 2, 5, 5)
    with torch.no_grad():
        field = C.effective_receptive_field(model, x, channel=1)
    assert model.weight.grad is None and not x.requires_grad
    torch.testing.assert_close(field[1:4, 1:4], model.weight[1].abs().sum(0).detach())


def test_the_effective_field_says_what_is_wrong():
    x = torch.zeros(1, 1, 4, 4)
    for model, options, message in (
            (nn.Flatten(), {}, r"expected a model that gives \(b, o, h, w\), got \(1, 16\)"),
            (nn.Identity(), {"position": (4, 0)}, "expected a position and channel inside the output"),
            (nn.Identity(), {"channel": 1}, "expected a position and channel inside the output")):
        with pytest.raises(ValueError, match=message):
            C.effective_receptive_field(model, x, **options)

    class Constant(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)
    with pytest.raises(ValueError, match="expected an output that depends on x"):
        C.effective_receptive_field(Constant(), x)


# ---------------------------------------------------------------- cost

@few
@given(convolutions(axes=2))
def test_conv_cost_is_what_pytorch_counts(case):
    x, weight, bias, options = case
    layer = nn.Conv2d(x.shape[1], len(weight), tuple(weight.shape[2:]), bias=bias is not None, **options).double()
    cost = C.conv_cost(x.shape[1], len(weight), tuple(weight.shape[2:]), tuple(layer(x).shape[2:]), options["groups"],
                       bias is not None)
    assert cost.parameters == C.count_parameters(layer)
    assert len(x) * cost.multiply_adds == C.multiply_adds(layer, x)


def test_cost_of_a_transposed_convolution_goes_by_its_input():
    layer = nn.ConvTranspose2d(6, 4, 2, stride=2)
    assert C.multiply_adds(layer, torch.zeros(1, 6, 5, 7)) == C.conv_cost(6, 4, (2, 2), (5, 7)).multiply_adds


def test_figures_of_whole_models_on_the_meta_device():
    import torchvision_shim  # noqa: F401
    import torchvision
    with torch.device("meta"):
        x = torch.empty(1, 3, 224, 224)
        resnet, vit = torchvision.models.resnet50(), torchvision.models.vit_b_16()
    assert C.count_parameters(resnet) == 25_557_032 and round(C.multiply_adds(resnet, x) / 1e9, 3) == 4.089
    assert C.count_parameters(vit) == 86_567_656 and round(C.multiply_adds(vit, x) / 1e9, 3) == 17.564


def test_counting_sees_attention_and_leaves_everything_as_it_was():
    layer, x = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), torch.zeros(1, 5, 16)
    expected = 4 * 5 * 16**2 + 2 * 5 * 5 * 16 + 2 * 5 * 16 * 32                 # projections, two products, MLP
    modes = [m.training for m in layer.eval().modules()]
    layer.dropout.train()
    for switch in (True, False):
        torch.backends.mha.set_fastpath_enabled(switch)
        try:
            assert C.multiply_adds(layer, x) == expected
            assert torch.backends.mha.get_fastpath_enabled() is switch
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    assert layer.dropout.training and [m.training for m in layer.modules()].count(True) == modes.count(True) + 1
    with FlopCounterMode(display=False) as counter:
        torch.backends.mha.set_fastpath_enabled(True)
        layer.dropout.eval()
        with torch.no_grad():
            layer(x)
    assert counter.get_total_flops() // 2 < expected                            # the trap that the recipe avoids
    assert C.multiply_adds(MultiHeadAttention(16, 2), x) == 4 * 5 * 16**2 + 2 * 5 * 5 * 16


def test_counting_restores_the_model_when_it_fails():
    layer = nn.Conv2d(3, 4, 3)
    with pytest.raises(RuntimeError):
        C.multiply_adds(layer, torch.zeros(1, 5, 8, 8))
    assert layer.training and torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(ValueError, match="expected inputs on the model's device cpu, got one on meta"):
        C.multiply_adds(layer, torch.zeros(1, 3, 8, 8, device="meta"))


def test_parameters_are_counted_once_and_buffers_not():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    a.bias.requires_grad_(False)
    model = nn.Sequential(a, b, nn.BatchNorm1d(3))
    assert C.count_parameters(model) == 9 + 3 + 3 + 6 and C.count_parameters(model, trainable=True) == 9 + 3 + 6


# ---------------------------------------------------------------- cheaper convolutions

def test_a_depthwise_separable_pair_is_one_convolution_with_a_constrained_weight():
    layer = C.DepthwiseSeparableConv2d(3, 5, 3, stride=2, padding=1).double()
    x = randn(2, 3, 8, 9)
    bias = layer.pointwise.bias + layer.pointwise.weight.flatten(1) @ layer.depthwise.bias
    weight = C.full_weight(layer)
    inner = x[:, :, 1:-1, 1:-1]                                                 # without padding the two agree, biases too
    layer.depthwise.padding = (0, 0)
    close(layer(inner), F.conv2d(inner, weight, bias, stride=2))
    assert all(torch.linalg.matrix_rank(weight[:, c].flatten(1)) == 1 for c in range(3))        # one kernel a channel


def test_what_a_separable_pair_saves():
    """1 / out + 1 / k² of the parameters and of the multiply-adds (Howard et al., section 3.1)."""
    full, pair = nn.Conv2d(64, 128, 3, padding=1, bias=False), C.DepthwiseSeparableConv2d(64, 128, 3, padding=1, bias=False)
    x = torch.zeros(1, 64, 14, 14)
    for count in (C.count_parameters, lambda m: C.multiply_adds(m, x)):
        assert count(pair) / count(full) == pytest.approx(1 / 128 + 1 / 9, rel=1e-12)
    assert C.receptive_field([pair.depthwise, pair.pointwise]) == C.receptive_field([full])


@few
@given(st.integers(1, 5), st.integers(1, 5))
def test_separate_finds_column_and_row(kh, kw):
    column, row = randn(kh), randn(kw + 1)[:kw]
    kernel = torch.outer(column, row)
    found = C.separate(kernel)
    close(torch.outer(*found), kernel)
    assert found[1][found[1].abs().argmax()] > 0 and found[0].norm() == pytest.approx(found[1].norm().item())


@few
@given(pair, pair, st.integers(0, 1))
def test_a_column_then_a_row_is_their_outer_product(size, kernel, padding):
    x, column, row = randn(2, 3, size[0] + 2, size[1] + 2), randn(kernel[0]), randn(kernel[1])
    weight = torch.outer(column, row).expand(3, 1, -1, -1)
    close(C.conv2d_separable(x, column, row, padding), F.conv2d(x, weight, padding=padding, groups=3))


def test_a_kernel_of_higher_rank_is_refused_with_its_error():
    laplace = torch.tensor([[0., 1., 0.], [1., -4., 1.], [0., 1., 0.]])
    with pytest.raises(ValueError, match=r"expected a kernel of rank 1, got one whose best pair is off by 10\.05%"):
        C.separate(laplace)
    column, row = C.separate(laplace, tolerance=0.2)
    error = (laplace - torch.outer(column, row)).norm() / laplace.norm()
    assert error.item() == pytest.approx(C.rank_one_error(laplace), rel=1e-5)
    with pytest.raises(ValueError, match="not all zero"):
        C.separate(torch.zeros(3, 3))


# ---------------------------------------------------------------- bad input

X, W = torch.zeros(1, 4, 6, 6), torch.zeros(2, 4, 3, 3)
SENTENCE = r"(?s)^[\w.]+: expected .*, got .*; .*\S$"


@pytest.mark.parametrize("call", [
    lambda f: f(X[0], W), lambda f: f(X.long(), W), lambda f: f(X.double(), W), lambda f: f(X, W[0]),
    lambda f: f(X, W[:, :3]), lambda f: f(X, W, torch.zeros(3)), lambda f: f(X, W, groups=3), lambda f: f(X, W, stride=0),
    lambda f: f(X, W, padding=-1), lambda f: f(X, W, stride=(1, 1, 1)), lambda f: f(X, W, padding="full"),
    lambda f: f(X, W, padding="same", stride=2), lambda f: f(X, W, dilation=3), lambda f: f(X, W, stride=1.5)])
@pytest.mark.parametrize("function", [C.conv2d_loops, C.conv2d_unfold])
def test_bad_convolutions_are_refused_in_one_sentence(function, call):
    with pytest.raises((ValueError, TypeError), match=SENTENCE):
        call(function)


T = torch.zeros(4, 2, 3, 3)


@pytest.mark.parametrize("call", [
    lambda f: f(X[0], T), lambda f: f(X.double(), T), lambda f: f(X, T[:3]), lambda f: f(X, T[0]),
    lambda f: f(X, T, groups=3), lambda f: f(X, T, torch.zeros(3)), lambda f: f(X, T, output_padding=1),
    lambda f: f(X, T, padding=4)])
@pytest.mark.parametrize("function", [C.conv_transpose2d_loops, C.conv_transpose2d_matrix])
def test_bad_transposed_convolutions_are_refused_in_one_sentence(function, call):
    with pytest.raises((ValueError, TypeError), match=SENTENCE):
        call(function)


@pytest.mark.parametrize("call", [
    lambda: C.conv1d_unfold(X, W), lambda: C.conv3d_unfold(X, W), lambda: C.conv3d_loops(X, W),
    lambda: C.sliding_windows(torch.zeros(3, 3), 2), lambda: C.sliding_windows(X, 7), lambda: C.sliding_windows(X, 2.0),
    lambda: C.convolution_matrix(W[0], 6), lambda: C.convolution_matrix(W, 2), lambda: C.convolution_matrix(W, 6, groups=0),
    lambda: C.convolve1d(X, W), lambda: C.convolve2d(torch.zeros(2, 2), torch.zeros(2, 2).double()),
    lambda: C.turned(torch.zeros(3)), lambda: C.conv_size(3, 5), lambda: C.conv_size(0, 1), lambda: C.conv_size(3.5, 1),
    lambda: C.pool_size(4, 2, padding=2), lambda: C.transposed_size(4, 2, output_padding=1),
    lambda: C.transposed_size(1, 1, padding=1), lambda: C.same_padding(0), lambda: C.adaptive_windows(0, 3),
    lambda: C.max_pool2d(X[0], 2), lambda: C.max_pool2d(X, 7), lambda: C.max_pool2d(X, 0),
    lambda: C.avg_pool2d(X.long(), 2), lambda: C.adaptive_avg_pool2d(X, 0),
    lambda: C.Layer(0), lambda: C.Layer(3, padding=-1), lambda: C.receptive_field([nn.ConvTranspose2d(1, 1, 2)]),
    lambda: C.conv_cost(4, 4, 3, 3), lambda: C.conv_cost(4, 4, (3,), (3, 3)),
    lambda: C.conv_cost(4, 6, (3,), (3,), groups=4),
    lambda: C.count_parameters(abs), lambda: C.multiply_adds(abs), lambda: C.effective_size(X),
    lambda: C.effective_size(X[0, 0], 2.0), lambda: C.effective_receptive_field(nn.Identity(), X[0]),
    lambda: C.rank_one_error(X), lambda: C.full_weight(nn.Conv2d(3, 3, 3)),
    lambda: C.DepthwiseSeparableConv2d(3, 4, padding=-1),
    lambda: C.conv2d_separable(X, torch.zeros(3, 3), torch.zeros(3)),
    lambda: C.conv2d_separable(X, torch.zeros(7), torch.zeros(1))])
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=SENTENCE):
        call()
