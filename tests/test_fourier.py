"""What dlnotes.fourier promises, checked in float64 against torch.fft, F.conv2d and scipy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dlnotes import fourier
from dlnotes.fourier import (DualDomainAttention, FrequencyGate, GlobalFilter, apply_mask, binomial_kernel, blur_pool,
                             centered_fft2, centered_ifft2, dft2, dft_matrix, fft_convolve2d, focal_frequency_loss,
                             frequency_axes, frequency_l1_loss, frequency_mask, hann2d, log_magnitude,
                             multiscale_frequency_l1_loss, phase, radial_power, radius_map, swap_phase)

SIZE = st.integers(1, 9)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, atol=atol, rtol=atol)


# --- the transform ---------------------------------------------------------------------------------------------------

@given(h=SIZE, w=SIZE, is_complex=st.booleans())
@settings(max_examples=30, deadline=None)
def test_dft2_by_matrices_equals_fft2(h, w, is_complex):
    x = noise(2, h, w, dtype=torch.complex128 if is_complex else torch.float64)
    close(dft2(x), torch.fft.fft2(x))


def test_dft_matrix_is_unitary_up_to_n_and_symmetric():
    matrix = dft_matrix(12)
    close(matrix @ matrix.conj().T, 12 * torch.eye(12, dtype=torch.complex128))
    assert torch.equal(matrix, matrix.T)


def test_dft_matrix_stays_exact_for_large_n():
    x = noise(1009)
    close(dft_matrix(1009) @ x.to(torch.complex128), torch.fft.fft(x))


def test_dtypes_follow_the_input():
    assert dft2(noise(3, 4, dtype=torch.float32)).dtype == torch.complex64
    assert dft2(noise(3, 4)).dtype == torch.complex128
    assert dft_matrix(3, torch.complex64).dtype == torch.complex64


@given(h=SIZE, w=SIZE)
@settings(max_examples=30, deadline=None)
def test_frequency_axes_are_fftfreq_in_whole_cycles(h, w):
    ky, kx = frequency_axes(h, w)
    np.testing.assert_allclose(ky.numpy(), np.fft.fftfreq(h) * h)
    np.testing.assert_allclose(kx.numpy(), np.fft.fftfreq(w) * w)
    shifted = frequency_axes(h, w, shifted=True)[0]
    assert shifted[h // 2] == 0 and bool((shifted.diff() == 1).all())
    close(radius_map(h, w, dtype=torch.float64)[-1, 0], ky[-1].abs().double())
    assert radius_map(h, w, shifted=True)[h // 2, w // 2] == 0


def test_a_wave_of_ky_and_kx_cycles_fills_its_bin_and_the_mirrored_one():
    h, w, ky, kx = 6, 10, 2, -3
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    wave = torch.cos(2 * math.pi * (ky * y / h + kx * x / w) + 0.7).double()
    spectrum = torch.fft.fft2(wave)
    rows, columns = frequency_axes(h, w)
    found = {(int(rows[i]), int(columns[j])) for i, j in (spectrum.abs() > 1e-4).nonzero().tolist()}
    assert found == {(2, -3), (-2, 3)}
    assert phase(spectrum)[2, -3].item() == pytest.approx(0.7, abs=1e-5)


@given(h=SIZE, w=SIZE)
@settings(max_examples=30, deadline=None)
def test_centered_transforms_undo_each_other_for_even_and_odd_sizes(h, w):
    x = noise(2, 3, h, w)
    spectrum = centered_fft2(x)
    close(centered_ifft2(spectrum).real, x)
    close(spectrum[..., h // 2, w // 2].real, x.sum((-2, -1)))     # the zero frequency; batch and channels stay in place


def test_log_magnitude_is_ln_of_one_plus_modulus():
    close(log_magnitude(torch.tensor([0j, 3 + 4j], dtype=torch.complex128)),
          torch.tensor([0.0, math.log(6)], dtype=torch.float64))


def test_hann2d_is_scipys_window():
    rows, columns = signal.get_window("hann", 6), signal.get_window("hann", 9)
    close(hann2d(6, 9, dtype=torch.float64), torch.from_numpy(np.outer(rows, columns)))
    assert hann2d(6, 9).mean().item() == pytest.approx(0.25)


def test_radial_power_of_white_noise_is_flat_and_of_one_wave_is_one_ring():
    assert radial_power(noise(64, 64))[3:].std() < 0.5
    wave = torch.cos(2 * math.pi * 5 * torch.arange(32, dtype=torch.float64) / 32).expand(32, 32)
    assert radial_power(wave).argmax() == 5 and radial_power(wave).shape == (17,)


# --- filters ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["low", "high", "band"])
@pytest.mark.parametrize("edge", ["ideal", "gaussian"])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 11)])
def test_masks_lie_between_zero_and_one_and_keep_pictures_real(kind, edge, size):
    mask = frequency_mask(*size, kind, edge, radius=2, width=1, dtype=torch.float64)
    assert mask.shape == size and mask.min() >= 0 and mask.max() <= 1
    filtered = torch.fft.ifft2(torch.fft.fft2(noise(*size)) * mask)
    assert filtered.imag.abs().max() < 1e-12
    close(apply_mask(noise(*size), mask), filtered.real)
    close(frequency_mask(*size, kind, edge, 2, 1, shifted=True, dtype=torch.float64), torch.fft.fftshift(mask))


def test_low_and_high_add_to_the_picture():
    x = noise(2, 3, 8, 11)
    for edge in ("ideal", "gaussian"):
        parts = [apply_mask(x, frequency_mask(8, 11, kind, edge, 2.5, dtype=torch.float64)) for kind in ("low", "high")]
        close(parts[0] + parts[1], x)
        close(parts[0].mean((-2, -1)), x.mean((-2, -1)))           # the mean is the zero frequency


def test_gaussian_values_at_the_radius():
    mask = frequency_mask(64, 64, "low", "gaussian", radius=10, dtype=torch.float64)
    assert mask[0, 0] == 1 and mask[10, 0].item() == pytest.approx(0.607, abs=5e-4)
    band = frequency_mask(64, 64, "band", "gaussian", radius=10, width=4, dtype=torch.float64)
    assert band[10, 0] == 1 and band[12, 0].item() == pytest.approx(0.607, abs=5e-4)


def test_ideal_low_pass_rings_and_gaussian_does_not():
    step = torch.zeros(256, 256, dtype=torch.float64)
    step[:, 64:192] = 1
    ideal, gaussian = (apply_mask(step, frequency_mask(256, 256, "low", edge, 20, dtype=torch.float64))
                       for edge in ("ideal", "gaussian"))
    assert ideal.max() > 1.08 and gaussian.max() < 1 + 1e-9


def test_masks_that_would_make_the_picture_complex_are_refused():
    mask = torch.ones(6, 6, dtype=torch.float64)
    mask[1, 2] = 0
    with pytest.raises(ValueError, match=r"apply_mask: expected a mask with mask\[-k\] == conj\(mask\[k\]\)"):
        apply_mask(noise(6, 6), mask)
    with pytest.raises(ValueError, match="treats k and -k differently"):      # odd size: a centred mask is caught too
        apply_mask(noise(7, 7), frequency_mask(7, 7, "low", "ideal", 1, shifted=True, dtype=torch.float64))


def test_a_complex_mask_can_shift_a_picture():
    x = noise(5, 7)
    ky, kx = frequency_axes(5, 7)
    turns = 2 * ky.double()[:, None] / 5 + 3 * kx.double() / 7
    shift = torch.polar(torch.ones_like(turns), -2 * math.pi * turns)
    close(apply_mask(x, shift), x.roll((2, 3), (0, 1)))


@given(h=SIZE, w=SIZE)
@settings(max_examples=20, deadline=None)
def test_swap_phase_exchanges_phases_and_keeps_magnitudes(h, w):
    a, b = noise(h, w, seed=1), noise(h, w, seed=2)
    first, second = swap_phase(a, b)
    close(torch.fft.fft2(first).abs(), torch.fft.fft2(a).abs(), 1e-8)
    close(torch.fft.fft2(second).abs(), torch.fft.fft2(b).abs(), 1e-8)
    close(swap_phase(first, second)[1], b, 1e-7)
    close(swap_phase(a, a)[0], a)


# --- convolution -----------------------------------------------------------------------------------------------------

@given(h=st.integers(3, 9), w=st.integers(3, 9), kh=st.integers(1, 3), kw=st.integers(1, 3), p=st.integers(0, 4),
       groups=st.sampled_from([1, 2]))
@settings(max_examples=40, deadline=None)
def test_fft_convolve2d_equals_conv2d(h, w, kh, kw, p, groups):
    x, weight, bias = noise(2, 4, h, w), noise(6, 4 // groups, kh, kw, seed=1), noise(6, seed=2)
    close(fft_convolve2d(x, weight, bias, padding=(p, 0), groups=groups),
          F.conv2d(x, weight, bias, padding=(p, 0), groups=groups))


def test_flipped_it_is_scipys_convolution():
    x, weight = noise(9, 7), noise(3, 4, seed=1)
    full = fft_convolve2d(x[None, None], weight[None, None], padding=(2, 3), flip=True)[0, 0]
    close(full, torch.from_numpy(signal.convolve2d(x.numpy(), weight.numpy())))


def test_fft_convolve2d_is_differentiable():
    x, weight = noise(1, 2, 5, 4).requires_grad_(), noise(2, 2, 3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: fft_convolve2d(a, b, padding=1), (x, weight))


def test_binomial_kernel_has_the_stated_transfer():
    for taps in (1, 2, 3, 5):
        kernel = binomial_kernel(taps, dtype=torch.float64)
        assert kernel.sum().item() == pytest.approx(1)
        transfer = torch.fft.fft(F.pad(kernel, (0, 16 - taps))).abs()
        close(transfer, (math.pi * torch.arange(16).double() / 16).cos().abs() ** (taps - 1))


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (9, 5)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
def test_blur_pool_has_the_size_of_a_plain_stride_and_keeps_constants(size, stride, taps):
    x = noise(2, 3, *size)
    plain = x[..., ::stride, ::stride]
    assert blur_pool(x, stride, taps).shape == plain.shape
    close(blur_pool(torch.ones_like(x), stride, taps), torch.ones_like(plain))
    if taps == 1:
        assert torch.equal(blur_pool(x, stride, taps), plain)


def test_blur_pool_removes_the_checkerboard_that_a_plain_stride_turns_into_a_constant():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 1.0
    assert board[::2, ::2].unique().tolist() == [0.0]
    close(blur_pool(board[None, None]), torch.full((1, 1, 4, 4), 0.5))


# --- losses ----------------------------------------------------------------------------------------------------------

def test_frequency_l1_is_the_mean_over_stacked_parts():
    a, b = noise(2, 3, 6, 5), noise(2, 3, 6, 5, seed=1)
    difference = torch.fft.fft2(a) - torch.fft.fft2(b)
    close(frequency_l1_loss(a, b, norm="backward"), torch.stack([difference.real, difference.imag], -1).abs().mean())
    close(frequency_l1_loss(a, b), frequency_l1_loss(a, b, norm="backward") / math.sqrt(30))


def test_multiscale_is_the_weighted_sum():
    small, large = (noise(1, 4, 4), noise(1, 4, 4, seed=1)), (noise(1, 8, 8), noise(1, 8, 8, seed=1))
    expected = 0.5 * frequency_l1_loss(*small) + 2 * frequency_l1_loss(*large)
    close(multiscale_frequency_l1_loss([small[0], large[0]], [small[1], large[1]], weights=[0.5, 2]), expected)


def test_focal_frequency_loss_by_hand():
    a, b = noise(2, 3, 4, 6), noise(2, 3, 4, 6, seed=1)
    total = 0
    for i in range(2):
        for c in range(3):
            distance = torch.fft.fft2(a[i, c] - b[i, c], norm="ortho").abs()
            total += (distance / distance.max() * distance**2).mean() / 6
    close(focal_frequency_loss(a, b), total)
    close(focal_frequency_loss(a, b, alpha=0), F.mse_loss(a, b))   # Parseval


def test_focal_weight_carries_no_gradient():
    a, b = noise(1, 4, 4).requires_grad_(), noise(1, 4, 4, seed=1)
    distance = torch.fft.fft2(a - b, norm="ortho")
    weight = (distance.abs() / distance.abs().max()).detach()
    expected, = torch.autograd.grad((weight * (distance.real**2 + distance.imag**2)).mean(), a)
    got, = torch.autograd.grad(focal_frequency_loss(a, b), a)
    close(got, expected)


def test_losses_of_equal_pictures_are_zero_with_finite_gradients():
    for loss in (frequency_l1_loss, focal_frequency_loss):
        x = noise(1, 2, 4, 4).requires_grad_()
        value = loss(x, x.detach().clone())
        value.backward()
        assert value == 0 and torch.isfinite(x.grad).all()


# --- modules ---------------------------------------------------------------------------------------------------------

def params(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_global_filter_is_a_circular_depthwise_convolution(size):
    h, w = size
    layer, x, kernel = GlobalFilter(3, h, w).double(), noise(2, 3, h, w), noise(3, h, w, seed=1)
    with torch.no_grad():
        layer.weight.copy_(torch.view_as_real(torch.fft.rfft2(kernel)))
    wrapped = F.pad(x, (w - 1, 0, h - 1, 0), mode="circular")
    close(layer(x), F.conv2d(wrapped, kernel.flip(-2, -1)[:, None], groups=3))
    assert params(layer) == 3 * h * (w // 2 + 1) * 2


def test_global_filter_has_as_many_effective_parameters_as_its_kernel_has_pixels():
    h, w = 4, 6
    layer, x = GlobalFilter(1, h, w).double(), noise(1, 1, h, w)
    jacobian = torch.autograd.functional.jacobian(
        lambda weight: torch.func.functional_call(layer, {"weight": weight}, (x,)), layer.weight.detach())
    assert torch.linalg.matrix_rank(jacobian.reshape(h * w, -1)) == h * w and params(layer) == h * w + 2 * h


@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_frequency_gate_follows_its_formula_and_starts_as_the_identity(size):
    gate, x = FrequencyGate(4).double(), noise(2, 4, *size)
    assert torch.equal(gate(x), x) and params(gate) == 2 * (4 * 4 + 4) + 2 * 4
    with torch.no_grad():
        gate.alpha.copy_(noise(4, 1, 1))
        gate.beta.copy_(noise(4, 1, 1, seed=1))
    gated = torch.fft.ifft2(gate.gate(x) * torch.fft.fft2(gate.value(x))).abs()
    close(gate(x), gated * gate.alpha + x * gate.beta)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))
def test_one_weight_a_channel_passes_through_the_fourier_transform(c, h, w, seed):
    """The channel attention on the spectrum, as its authors compute it, with both transforms."""
    layer, u = DualDomainAttention(c).double(), noise(2, c, h, w, seed=seed)
    f1 = torch.fft.ifft2(layer.frequency(u.mean((-2, -1), keepdim=True)) * torch.fft.fft2(u)).abs()
    close(layer(u), layer.gate(layer.space(f1.mean((-2, -1), keepdim=True)) * f1))
    assert params(layer) == 4 * (c * c + c) + 2 * c


@pytest.mark.parametrize("make", [lambda: GlobalFilter(4, 6, 8), lambda: FrequencyGate(4), lambda: DualDomainAttention(4)])
def test_a_gradient_reaches_every_parameter_and_the_module_learns(make):
    torch.manual_seed(0)
    module, teacher, x = make(), make(), noise(2, 4, 6, 8, dtype=torch.float32)
    with torch.no_grad():
        for p in teacher.parameters():
            p.normal_(std=0.5)
        target = teacher(x)
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=0.02), []
    for _ in range(100):
        loss = F.mse_loss(module(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())
    assert losses[-1] < 0.7 * losses[0]


# --- errors ----------------------------------------------------------------------------------------------------------

X = torch.zeros(1, 2, 6, 8)
BAD = [
    (lambda: dft_matrix(0), ValueError, "dft_matrix: expected n to be an integer of at least 1, got 0"),
    (lambda: dft_matrix(4, torch.float32), ValueError, "dft_matrix: expected dtype complex64 or complex128"),
    (lambda: dft2([1.0]), TypeError, "dft2: expected x to be a torch.Tensor, got list"),
    (lambda: dft2(X.half()), TypeError, r"dft2: .*got torch.float16; convert it with .float\(\)"),
    (lambda: dft2(torch.zeros(4)), ValueError, r"dft2: expected x of shape \(..., h, w\), got \(4,\)"),
    (lambda: dft2(torch.zeros(0, 4)), ValueError, "dft2: expected a picture with at least one pixel"),
    (lambda: frequency_axes(4, 2.0), ValueError, "frequency_axes: expected w to be an integer"),
    (lambda: radius_map(4, 4, dtype=torch.int64), ValueError, "radius_map: expected dtype float32 or float64"),
    (lambda: centered_fft2(X, norm="unit"), ValueError, "centered_fft2: expected norm to be one of"),
    (lambda: centered_ifft2(X), TypeError, "centered_ifft2: expected spectrum of dtype complex64, complex128"),
    (lambda: log_magnitude(X), TypeError, "log_magnitude: expected a complex tensor, got torch.float32"),
    (lambda: phase(3), TypeError, "phase: expected a complex tensor, got int"),
    (lambda: hann2d(4, 4, dtype=torch.int32), ValueError, "hann2d: expected dtype float32 or float64"),
    (lambda: radial_power(X), ValueError, r"radial_power: expected x of shape \(h, w\), got \(1, 2, 6, 8\)"),
    (lambda: frequency_mask(4, 4, "middle"), ValueError, "frequency_mask: expected kind low, high or band, got 'middle'"),
    (lambda: frequency_mask(4, 4, edge="soft"), ValueError, "frequency_mask: expected edge ideal or gaussian, got 'soft'"),
    (lambda: frequency_mask(4, 4, radius=0), ValueError, "frequency_mask: expected a radius"),
    (lambda: frequency_mask(4, 4, "band", width=0), ValueError, "frequency_mask: expected a band of positive width"),
    (lambda: apply_mask(X, torch.ones(8, 6)), ValueError, r"apply_mask: expected a mask of the picture's size \(6, 8\)"),
    (lambda: apply_mask(X, torch.ones(6, 8).double()), TypeError, "apply_mask: expected a mask of dtype torch.float32"),
    (lambda: apply_mask(X.to(torch.complex64), torch.ones(6, 8)), TypeError, "apply_mask: .*take the real part first"),
    (lambda: swap_phase(X, X[..., :4]), ValueError, "swap_phase: expected a and b of one shape and dtype"),
    (lambda: fft_convolve2d(X, torch.ones(1, 3, 2, 2)), ValueError, "fft_convolve2d: expected weight"),
    (lambda: fft_convolve2d(X, torch.ones(1, 2, 9, 2)), ValueError, "fft_convolve2d: expected a kernel no larger"),
    (lambda: fft_convolve2d(X, torch.ones(1, 2, 2, 2).double()), TypeError, "fft_convolve2d: expected weight of dtype"),
    (lambda: fft_convolve2d(X, torch.ones(1, 2, 2, 2), torch.ones(2)), ValueError, "fft_convolve2d: expected bias"),
    (lambda: fft_convolve2d(X, torch.ones(1, 2, 2, 2), padding=-1), ValueError, "fft_convolve2d: expected padding of at"),
    (lambda: binomial_kernel(0), ValueError, "binomial_kernel: expected taps"),
    (lambda: blur_pool(X[0]), ValueError, r"blur_pool: expected x of shape \(b, c, h, w\), got \(2, 6, 8\)"),
    (lambda: blur_pool(X, taps=13), ValueError, "blur_pool: expected height and width above 6"),
    (lambda: frequency_l1_loss(X, X[:, :1]), ValueError, "frequency_l1_loss: expected prediction and target of one shape"),
    (lambda: multiscale_frequency_l1_loss(X, X), TypeError, "multiscale_frequency_l1_loss: expected lists of tensors"),
    (lambda: multiscale_frequency_l1_loss([X], []), ValueError, "multiscale_frequency_l1_loss: expected as many"),
    (lambda: focal_frequency_loss(X, X, alpha=-1), ValueError, "focal_frequency_loss: expected alpha of at least 0"),
    (lambda: GlobalFilter(2, 6, 6)(X), ValueError, r"GlobalFilter: expected height and width \(6, 6\), got"),
    (lambda: FrequencyGate(2)(X.double()), TypeError, "FrequencyGate: expected torch.float32, .*, got torch.float64"),
    (lambda: DualDomainAttention(0), ValueError, "DualDomainAttention: expected c"),
]


@pytest.mark.parametrize("call, kind, message", BAD)
def test_wrong_input_is_named_with_a_remedy(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert ";" in str(caught.value)


def test_every_public_name_is_documented():
    for name in fourier.__all__:
        assert (getattr(fourier, name).__doc__ or "").strip(), name


@pytest.mark.cuda
def test_everything_stays_on_the_device_of_its_input():
    x = noise(1, 2, 16, 16).cuda()
    mask = frequency_mask(16, 16, dtype=torch.float64, device=x.device)
    gate = FrequencyGate(2).double().cuda()
    results = [dft2(x), centered_fft2(x), apply_mask(x, mask), *swap_phase(x, x), fft_convolve2d(x, x), blur_pool(x),
               frequency_l1_loss(x, x), focal_frequency_loss(x, x), radial_power(x[0, 0]), gate(x)]
    assert {result.device.type for result in results} == {"cuda"}
    close(dft2(x), torch.fft.fft2(x))
