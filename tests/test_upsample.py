"""dlnotes.upsample: resizing, unpooling and the bilinear start equal PyTorch's own in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dlnotes import upsample as U
from dlnotes.conv import avg_pool2d, max_pool2d

few = settings(max_examples=30, deadline=None)
size = st.tuples(st.integers(1, 9), st.integers(1, 9))
larger = st.tuples(st.integers(1, 20), st.integers(1, 20))
factors = st.sampled_from([0.3, 0.5, 2 / 3, 0.77, 1.0, 1.3, 1.5, 2.0, 2.6, 3.0])


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=1e-11)


# ---------------------------------------------------------------- F.interpolate

@few
@given(size, larger, st.sampled_from(["bilinear", "bicubic"]), st.booleans())
def test_smooth_resizing_to_a_size(old, new, mode, align_corners):
    x = randn(2, 3, *old)
    options = {"mode": mode, "align_corners": align_corners}
    close(U.interpolate(x, new, **options), F.interpolate(x, new, **options))


@few
@given(size, st.tuples(factors, factors), st.sampled_from(["bilinear", "bicubic"]), st.booleans(), st.booleans())
def test_smooth_resizing_by_a_factor(old, factor, mode, align_corners, recompute):
    assume(all(int(side * f) >= 1 for side, f in zip(old, factor)))
    x = randn(2, 3, *old)
    options = {"scale_factor": factor, "mode": mode, "align_corners": align_corners, "recompute_scale_factor": recompute}
    close(U.interpolate(x, **options), F.interpolate(x, **options))


@few
@given(size, larger, st.sampled_from(["bilinear", "bicubic"]))
def test_resizing_with_antialias(old, new, mode):
    x = randn(2, 3, *old)
    assume(new[1] > 1)                                                          # see the last test of this section
    close(U.interpolate(x, new, mode=mode, antialias=True), F.interpolate(x, new, mode=mode, antialias=True))


@few
@given(size, st.tuples(factors, factors), st.sampled_from(["bilinear", "bicubic"]))
def test_resizing_by_a_factor_with_antialias(old, factor, mode):
    assume(int(old[0] * factor[0]) >= 1 and int(old[1] * factor[1]) > 1)
    options = {"scale_factor": factor, "mode": mode, "antialias": True}
    x = randn(2, 3, *old)
    close(U.interpolate(x, **options), F.interpolate(x, **options))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias_treats_a_column_as_it_treats_a_row(mode):
    """PyTorch 2.13 on the CPU repeats the first pixel when an antialiased result is one pixel wide; as a row it is right."""
    column = randn(1, 1, 3, 1)
    close(U.interpolate(column, (6, 1), mode=mode, antialias=True).mT,
          F.interpolate(column.mT.contiguous(), (1, 6), mode=mode, antialias=True))


def chosen(resized: torch.Tensor) -> list[int]:
    """Which column each output column copied, for an input that numbers its columns."""
    return resized[0, 0, 0].long().tolist()


@few
@given(st.integers(1, 60), st.integers(1, 120), st.sampled_from(["nearest", "nearest-exact"]))
@example(2, 82, "nearest")
@example(2, 41, "nearest-exact")
def test_nearest_to_a_size_is_exact_and_pytorchs_up_to_its_rounding(old, new, mode):
    """The place of output i is (i + half) * old / new; only where that is a whole number may rounding decide otherwise."""
    x = torch.arange(old, dtype=torch.float64).expand(1, 1, old, old)
    half = 1 if mode == "nearest-exact" else 0
    exact = [(2 * i + half) * old // (2 * new) for i in range(new)]
    ours, theirs = (chosen(f(x, size=(new, new), mode=mode)) for f in (U.interpolate, F.interpolate))
    assert ours == exact
    for i, (mine, pytorchs) in enumerate(zip(ours, theirs)):
        on_a_border = (2 * i + half) * old % (2 * new) == 0
        assert mine == pytorchs or on_a_border and mine == pytorchs + 1


@few
@given(size, st.tuples(factors, factors), st.sampled_from(["nearest", "nearest-exact"]), st.booleans())
def test_nearest_by_a_factor(old, factor, mode, recompute):
    assume(all(int(side * f) >= 1 for side, f in zip(old, factor)))
    x = randn(2, 3, *old)
    close(U.interpolate(x, scale_factor=factor, mode=mode, recompute_scale_factor=recompute),
          F.interpolate(x, scale_factor=factor, mode=mode, recompute_scale_factor=recompute))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_gradients_are_pytorchs_and_the_transposed_matrices(mode):
    x, gradient = randn(1, 2, 4, 5).requires_grad_(), randn(1, 2, 7, 9)
    ours, = torch.autograd.grad(U.interpolate(x, (7, 9), mode=mode), x, gradient)
    theirs, = torch.autograd.grad(F.interpolate(x, (7, 9), mode=mode), x, gradient)
    close(ours, theirs)
    rows, columns = (U.interpolation_matrix(n, m, mode, dtype=torch.float64) for n, m in ((4, 7), (5, 9)))
    close(rows.T @ gradient @ columns, theirs)


def test_float32_stays_float32():
    x = torch.randn(1, 1, 5, 5)
    ours = U.interpolate(x, scale_factor=2.0, mode="bicubic")
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, F.interpolate(x, scale_factor=2.0, mode="bicubic"))


# ---------------------------------------------------------------- what the matrices say

@few
@given(st.integers(1, 9), st.integers(1, 20), st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]))
def test_rows_sum_to_one(old, new, mode):
    matrix = U.interpolation_matrix(old, new, mode, dtype=torch.float64)
    close(matrix.sum(dim=1), torch.ones(new, dtype=torch.float64))
    assert (matrix >= 0).all() or mode == "bicubic"


def test_bilinear_keeps_a_line_keyss_cubic_a_parabola_and_pytorchs_cubic_not_even_a_line():
    places = U.source_places(12, 24)
    inside = (places >= 2) & (places <= 9)
    line = torch.arange(12, dtype=torch.float64)
    bilinear, bicubic = (U.interpolation_matrix(12, 24, mode, dtype=torch.float64) for mode in ("bilinear", "bicubic"))
    taps = places.floor()[:, None] + torch.arange(-1, 3)
    close((bilinear @ line)[inside], places[inside])
    close((U.cubic(places[:, None] - taps, a=-0.5) * taps**2).sum(dim=1)[inside], places[inside] ** 2)

    def error(resized, degree):
        return (resized - places**degree)[inside].abs().max().item()
    assert error(bilinear @ line**2, 2) == pytest.approx(3 / 16)
    assert error(bicubic @ line, 1) == pytest.approx(3 / 64)                    # a quarter of the way between two pixels
    theirs = F.interpolate(line.expand(1, 1, 12, 12), scale_factor=2, mode="bicubic")[0, 0, 12]
    assert error(theirs, 1) == pytest.approx(3 / 64)


def test_size_and_factor_agree_only_where_the_factor_gives_whole_pixels():
    x = randn(1, 1, 10, 10)
    for factor in (2.0, 0.5, 1.5):
        close(U.interpolate(x, scale_factor=factor, mode="bilinear"), U.interpolate(x, int(10 * factor), mode="bilinear"))
    by_factor, by_size = U.interpolate(x, scale_factor=1.37, mode="bilinear"), U.interpolate(x, 13, mode="bilinear")
    assert by_factor.shape == by_size.shape and not torch.allclose(by_factor, by_size, atol=1e-3)
    close(U.interpolate(x, scale_factor=1.37, mode="bilinear", recompute_scale_factor=True), by_size)


def test_bicubic_overshoots_a_step_and_bilinear_does_not():
    step = torch.cat([torch.zeros(5), torch.ones(5)]).double().expand(1, 1, 10, 10)
    assert U.interpolate(step, 40, mode="bicubic").max() > 1.05 > 1.0 >= U.interpolate(step, 40, mode="bilinear").max()


def test_without_antialias_shrinking_overlooks_pixels():
    """Eight to two: bilinear reads four of the eight pixels; stretched, it hears all."""
    assert (U.interpolation_matrix(8, 2) != 0).any(dim=0).sum() == 4
    assert (U.interpolation_matrix(8, 2, antialias=True) != 0).any(dim=0).all()


# ---------------------------------------------------------------- unpooling

@few
@given(st.tuples(st.integers(2, 7), st.integers(2, 7)), st.integers(2, 3), st.integers(0, 1))
def test_max_unpooling_is_pytorchs_and_pooling_undoes_it(old, kernel, padding):
    assume(all(side + 2 * padding >= kernel for side in old))
    x = randn(2, 3, *old).abs()
    values, where = max_pool2d(x, kernel, padding=padding)
    ours = U.max_unpool2d(values, where, old)
    close(ours, F.max_unpool2d(values, where, kernel, padding=padding, output_size=old))
    close(max_pool2d(ours, kernel, padding=padding)[0], values)
    assert ((ours == x) | (ours == 0)).all()


def test_max_unpooling_passes_the_gradient_to_the_maxima():
    _, where = max_pool2d(randn(1, 2, 4, 4), 2)
    assert torch.autograd.gradcheck(lambda v: U.max_unpool2d(v, where, (4, 4)), randn(1, 2, 2, 2).requires_grad_())


@few
@given(size, st.integers(1, 4))
def test_bed_of_nails_and_repetition(old, factor):
    x = randn(2, 3, *old)
    nails, squares = U.bed_of_nails(x, factor), U.repeat_unpool(x, factor)
    close(nails[..., ::factor, ::factor], x)
    assert nails.count_nonzero() == x.count_nonzero()
    close(squares, F.interpolate(x, scale_factor=factor, mode="nearest"))
    close(avg_pool2d(squares, factor), x)
    close(squares / factor**2, torch.autograd.functional.vjp(lambda y: F.avg_pool2d(y, factor), squares, x)[1])


def test_a_transposed_convolution_is_a_bed_of_nails_and_a_convolution():
    x, weight = randn(1, 1, 4, 5), randn(1, 1, 3, 3)
    nails = U.bed_of_nails(x, 2)[..., :-1, :-1]                                 # no nail needs the zeros after the last
    close(F.conv2d(nails, weight.flip(-2, -1), padding=2), F.conv_transpose2d(x, weight, stride=2))


def test_pixel_shuffle_is_the_one_of_shapes():
    x = randn(1, 8, 3, 4)
    close(U.pixel_shuffle(x, 2), F.pixel_shuffle(x, 2))


# ---------------------------------------------------------------- learned, from a bilinear start

@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_the_bilinear_start_is_bilinear_interpolation_inside(factor):
    x, layer = randn(2, 3, 6, 7), U.bilinear_conv_transpose(3, factor).double()
    out, expected = layer(x), F.interpolate(x, scale_factor=factor, mode="bilinear")       # the weight was made in float32
    assert out.shape == expected.shape and layer.weight.requires_grad
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(out[inside], expected[inside], atol=1e-6, rtol=1e-6)
    assert factor == 1 or not torch.allclose(out, expected)                     # at the border stamps are missing


# ---------------------------------------------------------------- bad input

X = torch.zeros(1, 2, 4, 4)
SENTENCE = r"(?s)^[\w.]+: expected .*, got .*; .*\S$"


@pytest.mark.parametrize("call", [
    lambda: U.interpolate(X[0], 2), lambda: U.interpolate(X.long(), 2), lambda: U.interpolate(X),
    lambda: U.interpolate(X, 2, 2.0), lambda: U.interpolate(X, 2, recompute_scale_factor=True),
    lambda: U.interpolate(X, (1, 2, 3)), lambda: U.interpolate(X, 0), lambda: U.interpolate(X, 2.5),
    lambda: U.interpolate(X, scale_factor=-1.0), lambda: U.interpolate(X, scale_factor=(1.0, 2.0, 2.0)),
    lambda: U.interpolate(X, scale_factor=0.1), lambda: U.interpolate(X, 2, mode="linear"),
    lambda: U.interpolate(X, 2, align_corners=True), lambda: U.interpolate(X, 2, antialias=True),
    lambda: U.interpolate(X, 2, mode="bilinear", align_corners=True, antialias=True),
    lambda: U.interpolation_matrix(0, 3), lambda: U.interpolation_matrix(3, 3, scale=0.0), lambda: U.source_places(3, 0),
    lambda: U.max_unpool2d(X, X.long()[:1, :1], (4, 4)), lambda: U.max_unpool2d(X, X.int(), (4, 4)),
    lambda: U.max_unpool2d(X, X.long() + 16, (4, 4)), lambda: U.max_unpool2d(X, X.long(), (0, 4)),
    lambda: U.max_unpool2d(X, X.long(), 4), lambda: U.bed_of_nails(X, 0), lambda: U.bed_of_nails(X[0], 2),
    lambda: U.repeat_unpool(X, 1.5), lambda: U.bilinear_conv_transpose(0, 2), lambda: U.bilinear_conv_transpose(2, 0)])
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=SENTENCE):
        call()
