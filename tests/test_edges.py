"""What dlnotes.edges promises: the numbers of scikit-image and scipy.ndimage, in the conventions that its file states."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data, feature, filters

from dlnotes.edges import (canny, edge_kernels, edge_mask, gaussian_blur, gradient_direction, gradient_magnitude, hysteresis,
                           image_gradients, laplacian, laplacian_of_gaussian, non_maximum_suppression, separable_filter)

quick = settings(max_examples=30, deadline=None)
OPERATORS = ["sobel", "scharr", "prewitt"]
SIDE = st.integers(3, 9)
NDIMAGE = {"replicate": "nearest", "reflect": "mirror", "circular": "wrap", "constant": "constant"}
PICTURES = {"camera": data.camera, "coins": data.coins, "page": data.page}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def picture(name: str) -> np.ndarray:
    return PICTURES[name]() / 255


def batch(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None, None]            # 1 1 h w


def same(ours: torch.Tensor, theirs: np.ndarray, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs, atol=tolerance, rtol=tolerance)


# ---------------------------------------------------------------- equal to scikit-image and SciPy

@pytest.mark.parametrize("operator", OPERATORS)
@given(h=SIDE, w=SIDE, seed=st.integers(0, 999), padding=st.sampled_from(sorted(NDIMAGE)))
@quick
def test_gradients_are_scikit_images(operator, h, w, seed, padding):
    x, theirs = noise(1, 1, h, w, seed=seed), getattr(filters, operator)
    gx, gy = image_gradients(x, operator, padding)
    array, mode = x[0, 0].numpy(), NDIMAGE[padding]
    same(2 * gx, theirs(array, axis=1, mode=mode))
    same(2 * gy, theirs(array, axis=0, mode=mode))
    same(math.sqrt(2) * gradient_magnitude(gx, gy), theirs(array, mode=mode))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", PICTURES)
def test_photographs_give_scikit_images_default(operator, name):
    """Its default mode "reflect" repeats the border pixel: "replicate" here, at one pixel of padding."""
    magnitude = gradient_magnitude(*image_gradients(batch(picture(name)), operator))
    same(math.sqrt(2) * magnitude, getattr(filters, operator)(picture(name)))


@given(h=SIDE, w=SIDE, seed=st.integers(0, 999))
@quick
def test_whole_number_weights_are_scipys(h, w, seed):
    x = noise(1, 1, h, w, seed=seed)
    for operator in ("sobel", "prewitt"):
        gx, gy = image_gradients(x, operator, normalized=False)
        same(gx, getattr(ndimage, operator)(x[0, 0].numpy(), axis=1))
        same(gy, getattr(ndimage, operator)(x[0, 0].numpy(), axis=0))
    for operator, times in (("sobel", 8), ("scharr", 32), ("prewitt", 6)):
        whole, scaled = image_gradients(x, operator, normalized=False)[0], image_gradients(x, operator)[0]
        torch.testing.assert_close(whole, times * scaled)


@given(h=SIDE, w=SIDE, seed=st.integers(0, 999), padding=st.sampled_from(sorted(NDIMAGE)))
@quick
def test_laplacian_is_scipys_and_scikit_images_with_the_other_sign(h, w, seed, padding):
    x = noise(1, 1, h, w, seed=seed)
    same(laplacian(x, 4, padding), ndimage.laplace(x[0, 0].numpy(), mode=NDIMAGE[padding]))
    same(laplacian(x), -filters.laplace(x[0, 0].numpy()))
    same(laplacian(x, 8, padding), ndimage.correlate(x[0, 0].numpy(), np.array([[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
                                                     mode=NDIMAGE[padding]), 1e-11)


@given(sigma=st.floats(0.3, 1.2), seed=st.integers(0, 999), padding=st.sampled_from(sorted(NDIMAGE)))
@quick
def test_gaussian_blur_is_scipys(sigma, seed, padding):
    x = noise(1, 1, 9, 11, seed=seed)
    same(gaussian_blur(x, sigma, padding), ndimage.gaussian_filter(x[0, 0].numpy(), sigma, mode=NDIMAGE[padding]))


def test_laplacian_of_gaussian_draws_near_to_scipys_as_sigma_grows():
    errors, x, inside = [], picture("camera"), np.s_[20:-20, 20:-20]
    for sigma in (1.0, 2.0, 4.0):
        theirs = ndimage.gaussian_laplace(x, sigma)[inside]
        difference = laplacian_of_gaussian(batch(x), sigma)[0, 0].numpy()[inside] - theirs
        errors.append(np.abs(difference).max() / np.abs(theirs).max())
    assert errors[0] < 0.3 and errors[1] < errors[0] / 2.5 and errors[2] < errors[1] / 2.5


# ---------------------------------------------------------------- separable, per channel, anywhere

@given(kh=st.sampled_from([1, 3, 5]), kw=st.sampled_from([1, 3, 5]), padding=st.sampled_from([*sorted(NDIMAGE), "valid"]),
       seed=st.integers(0, 999))
@quick
def test_two_passes_are_one_with_the_outer_product(kh, kw, padding, seed):
    x, down, across = noise(2, 3, 7, 8, seed=seed), noise(kh, seed=seed + 1), noise(kw, seed=seed + 2)
    pads = [kw // 2, kw // 2, kh // 2, kh // 2]
    padded = x if padding == "valid" else F.pad(x, pads, mode=padding)
    expected = F.conv2d(padded, torch.outer(down, across).expand(3, 1, kh, kw), groups=3)
    torch.testing.assert_close(separable_filter(x, down, across, padding), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_channel_of_every_picture_for_itself(operator):
    x = noise(2, 3, 6, 5)
    for part, whole in zip(zip(*(image_gradients(x[i:i + 1, j:j + 1], operator) for i in range(2) for j in range(3))),
                           image_gradients(x, operator)):
        assert torch.equal(torch.cat(part).reshape(2, 3, 6, 5), whole)
    assert all(laplacian(x, n).shape == x.shape and laplacian(x, n, "valid").shape == (2, 3, 4, 3) for n in (4, 8))


# ---------------------------------------------------------------- what they measure

@pytest.mark.parametrize("operator", OPERATORS)
def test_a_plane_gives_its_slope_and_direction(operator):
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1), (3, 4), (-2, 0.5)):
        gx, gy = image_gradients((a * x + b * y)[None, None].double(), operator, "valid")
        torch.testing.assert_close(gx, torch.full_like(gx, a))
        torch.testing.assert_close(gy, torch.full_like(gy, b))
        torch.testing.assert_close(gradient_magnitude(gx, gy), torch.full_like(gx, math.hypot(a, b)))
        assert gradient_direction(gx, gy)[0, 0, 0, 0].item() == pytest.approx(math.atan2(b, a))


def test_sobel_is_a_band_pass():
    """Claim C081: no answer to a constant, none to the finest patterns; most at a quarter of the sampling rate."""
    i = torch.arange(16)
    checkerboard = ((i[:, None] + i[None]) % 2).double()[None, None]
    stripes = (i % 2).double().expand(1, 1, 16, 16)
    period_four = ((i // 2) % 2).double().expand(1, 1, 16, 16)
    ramp, flat = i.double().expand(1, 1, 16, 16), torch.ones(1, 1, 16, 16, dtype=torch.float64)

    def strongest(x):
        return gradient_magnitude(*image_gradients(x, padding="valid", normalized=False)).max().item()
    assert [strongest(x) for x in (checkerboard, stripes, period_four, ramp, flat)] == [0.0, 0.0, 4.0, 8.0, 0.0]
    smooth, derivative = edge_kernels("sobel", normalized=False, dtype=torch.float64)
    across = torch.fft.fft(F.pad(derivative, (0, 61))).abs()[:33]
    assert across[0] < 1e-12 and across[32] < 1e-12 and across.argmax() == 16
    assert (across * smooth.sum()).max().item() == pytest.approx(8.0)


def test_scharr_is_rounder_than_sobel_and_prewitt():
    """A wave of any direction has one slope; how much the measured magnitude depends on the direction is the error."""
    spread = {}
    y, x = torch.meshgrid(torch.arange(32.0).double(), torch.arange(32.0).double(), indexing="ij")
    for operator in OPERATORS:
        values = []
        for angle in torch.linspace(0, math.pi / 4, 10):
            phase = 0.8 * (x * torch.cos(angle) + y * torch.sin(angle))
            sine, cosine = (image_gradients(f(phase)[None, None], operator, "valid") for f in (torch.sin, torch.cos))
            values.append((gradient_magnitude(*sine) ** 2 + gradient_magnitude(*cosine) ** 2).sqrt().mean().item())
        spread[operator] = max(values) / min(values) - 1
    assert spread["scharr"] < 0.3 * spread["sobel"] < 0.3 * spread["prewitt"]


def test_the_laplacian_is_more_sensitive_to_noise_than_the_gradient():
    x = noise(1, 1, 200, 200)
    gain = {"sobel": image_gradients(x)[0].std(), "four": laplacian(x).std(), "eight": laplacian(x, 8).std()}
    assert [round(value.item(), 1) for value in gain.values()] == [0.4, 4.5, 8.5]       # √(12)/8, √20, √72


def test_gradients_flow_also_where_the_picture_is_flat():
    x = torch.ones(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    gradient_magnitude(*image_gradients(x)).sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
    y = noise(1, 2, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: gradient_magnitude(*image_gradients(z, "scharr", "reflect")), y)
    assert torch.autograd.gradcheck(lambda z: laplacian(gaussian_blur(z, 0.5), 8), y)


def test_a_mask_is_what_lies_above_the_threshold():
    assert edge_mask(torch.tensor([0.1, 0.2, 0.3]), 0.2).tolist() == [False, False, True]


# ---------------------------------------------------------------- Canny

@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("sigma, low, high", [(1.0, 0.1, 0.2), (2.0, 0.1, 0.4), (0.7, 0.3, 0.9)])
def test_canny_is_scikit_images_on_photographs(name, sigma, low, high):
    theirs = feature.canny(picture(name), sigma, low, high, mode="nearest")
    ours = canny(batch(picture(name)), sigma, low / 8, high / 8)
    assert theirs.any() and np.array_equal(ours.edges[0, 0].numpy(), theirs)
    assert torch.equal(ours.edges, hysteresis(ours.crests, low / 8, high / 8))


@given(h=SIDE, w=SIDE, seed=st.integers(0, 999))
@quick
def test_crests_are_no_lower_than_the_way_up_and_down(h, w, seed):
    """By loops: step along the gradient to the ring of neighbours, interpolate along its side."""
    gx, gy = noise(1, 1, h, w, seed=seed), noise(1, 1, h, w, seed=seed + 1)
    magnitude, crests = gradient_magnitude(gx, gy)[0, 0], non_maximum_suppression(gx, gy)[0, 0]
    for r in range(h):
        for c in range(w):
            expected = 0.0
            if 0 < r < h - 1 and 0 < c < w - 1:
                dx, dy = gx[0, 0, r, c].item(), gy[0, 0, r, c].item()
                dx, dy = dx / max(abs(dx), abs(dy)), dy / max(abs(dx), abs(dy))
                around = []
                for sign in (1, -1):
                    y, x = r + sign * dy, c + sign * dx
                    y0, x0 = math.floor(y), math.floor(x)
                    around.append(sum(max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * magnitude[i, j].item()
                                      for i in (y0, y0 + 1) for j in (x0, x0 + 1) if 0 <= i < h and 0 <= j < w))
                if magnitude[r, c] >= max(around):
                    expected = magnitude[r, c].item()
            assert crests[r, c].item() == pytest.approx(expected, abs=1e-12)


def test_of_two_equal_crests_side_by_side_both_stay():
    gx = torch.tensor([0.0, 1.0, 2.0, 2.0, 1.0, 0.0]).expand(1, 1, 3, 6)
    assert non_maximum_suppression(gx, torch.zeros_like(gx))[0, 0].tolist() == [[0] * 6, [0, 0, 2, 2, 0, 0], [0] * 6]


def test_weak_edges_live_by_their_link_to_strong_ones():
    crests = torch.tensor([[[[0.0, 1, 1, 3, 0, 1], [0.0] * 6, [1, 1, 0, 0, 2, 0], [0, 0, 1, 0, 0, 1]]]])
    assert hysteresis(crests, 1.0, 3.0).nonzero()[:, 2:].tolist() == [[0, 1], [0, 2], [0, 3]]
    assert hysteresis(crests, 1.0, 2.0).nonzero()[:, 2:].tolist() == [[0, 1], [0, 2], [0, 3], [2, 4], [3, 5]]


# ---------------------------------------------------------------- refusals

@pytest.mark.parametrize("call", [
    lambda x: image_gradients(x[0]), lambda x: image_gradients(x.long()), lambda x: image_gradients(x, "roberts"),
    lambda x: image_gradients(x, padding="same"), lambda x: image_gradients(x[..., :1], padding="reflect"),
    lambda x: image_gradients(x[..., :2], padding="valid"), lambda x: laplacian(x, 6),
    lambda x: laplacian(x, padding="zeros"),
    lambda x: gaussian_blur(x, 0.0), lambda x: gaussian_blur(x, 1.0, truncate=-1.0),
    lambda x: gaussian_blur(x, 3.0, "circular"),
    lambda x: laplacian_of_gaussian(x, -1.0), lambda x: separable_filter(x, x.new_ones(2), x.new_ones(3)),
    lambda x: separable_filter(x, torch.ones(3, dtype=torch.float32), x.new_ones(3)), lambda x: edge_kernels("laplace"),
    lambda x: separable_filter(x, x.new_ones(3, 3), x.new_ones(3)), lambda x: gradient_magnitude(x, x[..., 1:]),
    lambda x: gradient_direction(x, x.float()), lambda x: edge_mask(x, -0.1), lambda x: edge_mask(x > 0, 0.1),
    lambda x: canny(x, low=0.3, high=0.1), lambda x: canny(x[..., :2]), lambda x: canny(x, low=0.0), lambda x: canny(x[0]),
    lambda x: hysteresis(x > 0, 0.1, 0.2), lambda x: non_maximum_suppression(x, x[..., 1:]),
])
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=r"(?s)^[\w.]+: expected .*, got .*; .*\S$"):
        call(noise(1, 1, 6, 7))
