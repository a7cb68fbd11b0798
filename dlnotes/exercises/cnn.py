"""Checkers of chapter 2, first part (convolution)."""

import torch
import torch.nn.functional as F
from torch import nn

from ._core import Hint, exercise, expect_equal


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _same(got, expected: torch.Tensor) -> bool:
    return (isinstance(got, torch.Tensor) and got.shape == expected.shape
            and torch.allclose(got.detach().to(expected), expected, atol=1e-8))


def _whole(got, what: str) -> int:
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        raise Hint(f"Expected {what} as a whole number, got {type(got).__name__}.")
    if isinstance(got, float) and not got.is_integer():
        raise Hint(f"Expected {what} as a whole number, got {got}: round it down, with //.")
    return int(got)


def _pair(got, first: str, second: str) -> tuple[int, int]:
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Hint(f"Expected a pair ({first}, {second}), got {type(got).__name__}.")
    return _whole(got[0], first), _whole(got[1], second)


@exercise("cnn.output_size")
def output_size(answer):
    for n, k, s, p, d in [(32, 3, 1, 2, 1), (5, 3, 1, 0, 1), (32, 5, 2, 1, 1), (33, 3, 2, 1, 2), (20, 4, 3, 2, 3), (7, 7, 1, 0, 1)]:
        places = n + 2 * p - d * (k - 1) - 1
        want = places // s + 1
        got = _whole(answer(n, k, s, p, d), "the size")
        if got == want:
            continue
        wrong = {
            "You padded one side only: both sides get the zeros.": (n + p - d * (k - 1) - 1) // s + 1,
            "The + 1 is missing: the first window counts, too.": places // s,
            "Round down, not up: a window that does not fit whole is left out.": -(-places // s) + 1,
            "The dilation is missing: a kernel of k taps spans d (k - 1) + 1 pixels.": (n + 2 * p - k) // s + 1,
            "A dilated kernel spans d (k - 1) + 1 pixels, not d k.": (n + 2 * p - d * k) // s + 1,
        }
        for hint, value in wrong.items():
            if got == value:
                raise Hint(hint)
        raise Hint(f"For n={n}, kernel={k}, stride={s}, padding={p}, dilation={d} expected {want}, got {got}.")
    return "Solve it for n and you have the transposed convolution: up to `stride` sizes share one answer."


@exercise("cnn.cost")
def cost(answer):
    for cin, cout, k, g, h, w in [(3, 8, 5, 1, 6, 7), (64, 128, 3, 4, 14, 10), (32, 32, 3, 32, 9, 9)]:
        weights = cout * cin * k * k // g
        parameters, adds = _pair(answer(cin, cout, k, g, h, w), "parameters", "multiply-adds")
        if parameters == weights:
            raise Hint("The bias is missing from the parameters: one number for each output channel.")
        if g > 1 and parameters in (weights * g, weights * g + cout):
            raise Hint("The groups are missing: each output channel sees in_channels / groups input channels.")
        if cin != cout and parameters == weights + cin:
            raise Hint("The bias has one number for each output channel, not for each input channel.")
        if parameters != weights + cout:
            raise Hint(f"The parameters are wrong: expected {weights + cout} for {cin} to {cout} channels, kernel {k}, groups {g}, "
                       f"got {parameters}.")
        if adds == 2 * weights * h * w:
            raise Hint("You counted operations: one multiply-add is one, not two.")
        if adds == weights:
            raise Hint("Each weight is used once for every output pixel: multiply by their number.")
        if adds == (weights + cout) * h * w:
            raise Hint("Adding the bias is not counted as a multiply-add.")
        if adds != weights * h * w:
            raise Hint(f"The multiply-adds are wrong: expected {weights * h * w}, got {adds}. Weights times output pixels.")
    return "Twice the side: four times the multiply-adds, the same parameters."


@exercise("cnn.conv2d")
def conv2d(answer):
    for shape, weight_shape, stride in [((2, 3, 7, 9), (4, 3, 3, 2), 1), ((1, 2, 9, 8), (3, 2, 3, 3), 2),
                                        ((1, 1, 10, 10), (1, 1, 2, 2), 3)]:
        x, weight = _noise(*shape), _noise(*weight_shape, seed=1)
        expected = F.conv2d(x, weight, stride=stride)                                       # b o h' w'
        before = x.clone()
        got = answer(x, weight.clone(), stride)
        if not torch.equal(x, before):
            raise Hint("Your function changed its input in place: write to a new tensor.")
        if _same(got, expected):
            continue
        if _same(got, F.conv2d(x, weight.flip(-2, -1), stride=stride)):
            raise Hint("You turned the kernel: F.conv2d is a cross-correlation and does not.")
        if stride > 1 and _same(got, F.conv2d(x, weight)):
            raise Hint("The stride has no effect: take every stride-th window only.")
        if stride > 1 and isinstance(got, torch.Tensor) and got.shape == F.conv2d(x, weight).shape:
            raise Hint("The size is that of stride 1: h' is (h - kh) // stride + 1.")
        if isinstance(got, torch.Tensor) and got.ndim == 5:
            raise Hint("One axis too many: sum over the input channels as well.")
        expect_equal(got, expected, atol=1e-8, hint="Each output is the sum over channels, kernel rows and kernel columns.")
    return "With a view from unfold and one einsum there is no loop left, and no copy of the windows before the product."


@exercise("cnn.same_padding")
def same_padding(answer):
    for n, k, s, d in [(32, 3, 1, 1), (10, 4, 1, 1), (32, 3, 2, 1), (31, 3, 2, 1), (16, 1, 2, 1), (20, 3, 3, 2), (17, 2, 4, 1)]:
        out = -(-n // s)
        total = max((out - 1) * s + d * (k - 1) + 1 - n, 0)
        want = (total // 2, total - total // 2)
        got = _pair(answer(n, k, s, d), "before", "after")
        if got == want:
            continue
        where = f"n={n}, kernel={k}, stride={s}, dilation={d}"
        if min(got) < 0:
            raise Hint(f"Padding cannot be negative ({where}): where the kernel is smaller than the stride, none is needed.")
        if got == want[::-1]:
            raise Hint(f"The odd zero goes behind, not in front ({where}).")
        stride_one = d * (k - 1)
        if got == (stride_one // 2, stride_one - stride_one // 2):
            raise Hint(f"That is the padding for stride 1 ({where}): with a stride, fewer zeros are needed.")
        reached = (n + sum(got) - d * (k - 1) - 1) // s + 1
        if reached == out:
            raise Hint(f"The size is right, but the zeros are not the fewest, or not split as asked ({where}): expected {want}, "
                       f"got {got}.")
        raise Hint(f"With {got} the output has {reached} places, not {out} ({where}). The last window begins at (out - 1) * stride.")
    return "For n=32, kernel 3, stride 2 it is (0, 1), while PyTorch's padding=1 is (1, 1): the same size, other windows."


@exercise("cnn.receptive_field")
def receptive_field(answer):
    cases = [[(3, 1, 1), (3, 1, 1)], [(7, 2, 1), (3, 2, 1), (3, 1, 1)], [(3, 1, 2), (2, 2, 1), (3, 1, 4)], [(1, 2, 1), (5, 3, 1)]]
    for layers in cases:
        size, jump = 1, 1
        early, plain, summed = 1, 1, 0                                      # usual mistakes
        for k, s, d in layers:
            size, plain = size + d * (k - 1) * jump, plain + (k - 1) * jump
            jump *= s
            early, summed = early + d * (k - 1) * jump, summed + k
        got_size, got_jump = _pair(answer([tuple(layer) for layer in layers]), "size", "jump")
        if (got_size, got_jump) == (size, jump):
            continue
        if got_size != size and got_size == early:
            raise Hint("A layer's own stride does not widen its own field: multiply the jump after adding.")
        if got_size != size and got_size == plain:
            raise Hint("The dilation is missing: a layer adds d (k - 1) jumps.")
        if got_size == summed:
            raise Hint("You added the kernels: two 3×3 layers see 5 pixels, not 6. Each adds d (k - 1) jumps.")
        if got_size == size + 1 or got_size == size - 1:
            raise Hint("One off: begin with a field of 1, the output itself.")
        if got_size == size:
            raise Hint(f"The size is right; the jump is the product of all strides, {jump} here, got {got_jump}.")
        raise Hint(f"For {layers} expected size {size} and jump {jump}, got {got_size} and {got_jump}.")
    return "The same two numbers say where output i looks: it begins at start + i * jump."


@exercise("cnn.merge")
def merge(answer):
    for c, o, k in [(3, 5, 3), (4, 4, 5)]:
        depthwise, pointwise = _noise(c, 1, k, k), _noise(o, c, 1, 1, seed=1)
        expected = torch.einsum("oc,cij->ocij", pointwise[:, :, 0, 0], depthwise[:, 0])     # o c k k
        got = answer(depthwise.clone(), pointwise.clone())
        if _same(got, expected):
            continue
        if c != o and isinstance(got, torch.Tensor) and got.shape == (c, o, k, k):
            raise Hint("The axes are exchanged: a weight is (out, in, k, k), and o belongs to the pointwise layer.")
        if isinstance(got, torch.Tensor) and got.shape == (o, 1, k, k):
            raise Hint("You summed over the channels: the full weight keeps one kernel for each pair of output and input channel.")
        if c == o and _same(got, torch.einsum("co,cij->ocij", pointwise[:, :, 0, 0], depthwise[:, 0])):
            raise Hint("The pointwise weight is transposed: entry (o, c) multiplies input channel c.")
        if c == o and _same(got, pointwise * depthwise):
            raise Hint("The depthwise kernel must follow the input channel, not the output channel: move its first axis to the "
                       "second place.")
        expect_equal(got, expected, atol=1e-8, hint="Entry (o, c) is pointwise[o, c] times the kernel of channel c.")
    return "For each input channel all filters are multiples of one kernel: rank 1, as the section on separability counts."


@exercise("cnn.unshuffle")
def unshuffle(answer):
    for c, g in [(12, 3), (6, 2), (20, 4)]:
        x = _noise(2, c, 3, 4)
        shuffled = nn.ChannelShuffle(g)(x)
        got = answer(shuffled.clone(), g)
        if _same(got, x):
            continue
        if _same(got, nn.ChannelShuffle(g)(shuffled)):
            raise Hint("You shuffled once more. The way back is the shuffle with c / groups groups.")
        if _same(got, shuffled):
            raise Hint("The order has not changed: swap the two axes between the two reshapes.")
        expect_equal(got, x, atol=1e-8, hint="Read the channels as (c / groups, groups), swap, join.")
    return ("Apart from 1 and c groups, which change nothing, only c = groups squared makes the shuffle its own inverse: a test with "
            "4 channels and 2 groups shows nothing.")


@exercise("cnn.clips")
def clips(answer):
    video = torch.randint(256, (2, 4, 5, 6, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)     # b d h w c
    expected = video.permute(0, 4, 1, 2, 3).double() / 255                              # b c d h w
    got = answer(video.clone())
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if not isinstance(got, torch.Tensor):
        raise Hint(f"Expected a tensor, got {type(got).__name__}.")
    if got.shape == expected.shape and not got.is_floating_point():
        raise Hint("The numbers are still integers: convert to float and divide by 255.")
    value = got.detach().double()
    if value.shape == expected.shape and torch.allclose(value, video.double().reshape(expected.shape) / 255, atol=1e-5):
        raise Hint("That is a reshape: it has the right shape and mixes frames and colours. Move the axes instead.")
    if value.shape == (2, 4, 3, 5, 6):
        raise Hint("Depth and channels are exchanged: nn.Conv3d wants (b, c, d, h, w).")
    if value.shape == expected.shape and torch.allclose(value, expected * 255, atol=1e-3):
        raise Hint("The order is right; divide by 255.")
    if value.shape == (2, 3, 4, 6, 5):
        raise Hint("Height and width are exchanged: keep their order.")
    expect_equal(value, expected, atol=1e-5, hint="Bring c behind b, and leave d, h, w in order.")
    return "Time is an axis now: a kernel of Conv3d moves along it."


def _circular(axes_zero: tuple[int, ...] = ()):
    weight = _noise(2, 2, 3, 3, seed=7)

    def layer(x):
        for axis, pad in ((2, (0, 0, 1, 1)), (3, (1, 1, 0, 0))):
            x = F.pad(x, pad, mode="constant" if axis in axes_zero else "circular")
        return F.conv2d(x, weight.to(x))

    return layer


@exercise("cnn.equivariant")
def equivariant(answer):
    h, w = 8, 12
    ramp = torch.arange(w, dtype=torch.float64)
    cases = [
        ("a circular convolution", _circular(), True, "It commutes with every shift, up to rounding: compare with torch.allclose."),
        ("a ReLU", torch.relu, True, "It works on each pixel alone."),
        ("a layer that subtracts the mean of the map", lambda x: x - x.mean((2, 3), keepdim=True), True,
         "The mean does not care where things are."),
        ("a convolution with zero padding", _circular((2, 3)), False, "The border shows it. Compare the whole map, and use a random one."),
        ("a convolution whose rows wrap around and whose columns are padded with zeros", _circular((3,)), False,
         "It commutes with shifts of the rows. Test both axes."),
        ("a convolution whose columns wrap around and whose rows are padded with zeros", _circular((2,)), False,
         "It commutes with shifts of the columns. Test both axes."),
        ("a layer that adds the column's number", lambda x: x + ramp.to(x), False, "Its output is not the shifted output: compare values."),
        ("a 2×2 max pooling, enlarged again", lambda x: F.max_pool2d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3), False,
         "It commutes with shifts by two pixels. Test a shift by one."),
    ]
    for name, f, want, hint in cases:
        got = answer(f, 2, h, w)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if isinstance(got, torch.Tensor) and got.numel() == 1:
            got = bool(got)
        if not isinstance(got, bool):
            raise Hint(f"Expected True or False, got {type(got).__name__}.")
        if got != want:
            raise Hint(f"You said {got} for {name}. {hint}")
    return "A shift by one row and one by one column generate all others, so two tests are enough."
