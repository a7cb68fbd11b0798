"""Checkers of chapter 7 (FFT)."""

import math

import torch
import torch.nn.functional as F

from ._core import Hint, exercise, expect_equal, expect_number


def _noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _same(got, expected: torch.Tensor, atol: float = 1e-6) -> bool:
    return (isinstance(got, torch.Tensor) and got.shape == expected.shape and got.is_complex() == expected.is_complex()
            and torch.allclose(got.detach().to(expected), expected, atol=atol, rtol=1e-4))


def _grid(h: int, w: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(h, dtype=torch.float64)[:, None], torch.arange(w, dtype=torch.float64)


@exercise("fourier.stripes")
def stripes(answer):
    for h, w, ky, kx in [(6, 10, 2, 3), (9, 5, 1, -2), (4, 12, 0, 5)]:
        y, x = _grid(h, w)
        expected = torch.cos(2 * math.pi * (ky * y / h + kx * x / w))                     # h w
        got = answer(h, w, ky, kx)
        if _same(got, expected, 1e-4):
            continue
        if _same(got, torch.cos(2 * math.pi * (kx * y / h + ky * x / w)), 1e-4):
            raise Hint("The axes are exchanged: ky counts the cycles from top to bottom, along the rows' index.")
        if _same(got, torch.sin(2 * math.pi * (ky * y / h + kx * x / w)), 1e-4):
            raise Hint("That is the sine: the crest must be at the top left pixel, so use the cosine.")
        if _same(got, torch.cos(ky * y / h + kx * x / w), 1e-4):
            raise Hint("The factor 2 pi is missing: one cycle is a turn of 2 pi.")
        if _same(got, torch.cos(2 * math.pi * (ky * y / (h - 1) + kx * x / (w - 1))), 1e-4):
            raise Hint("You divided by the size minus one, so first and last pixel coincide. A cycle ends one pixel later.")
        expect_equal(got, expected, atol=1e-4, hint="Each pixel is cos(2 pi (ky y / h + kx x / w)).")
    return "(ky, kx) and (-ky, -kx) give the same field, which is why a real wave fills two bins."


@exercise("fourier.amplitude_phase")
def amplitude_phase(answer):
    for n, k, amplitude, shift in [(32, 5, 1.5, 0.8), (45, 7, 0.4, -2.0), (20, 3, 3.0, 1.2)]:
        m = torch.arange(n, dtype=torch.float64)
        x = amplitude * torch.cos(2 * math.pi * k * m / n + shift) + 0.7 + 0.5 * torch.cos(2 * math.pi * (k + 2) * m / n)
        got = answer(x.clone(), k)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Hint(f"Expected a pair (amplitude, phase), got {type(got).__name__}.")
        a, p = expect_number(got[0], "the amplitude"), expect_number(got[1], "the phase")
        if math.isclose(a, amplitude * n / 2, rel_tol=1e-3):
            raise Hint("The amplitude is too large by n/2: the sum of cos squared over n samples is n/2.")
        if math.isclose(a, amplitude / 2, rel_tol=1e-3):
            raise Hint("The amplitude is half of what it should be: the other half is in bin -k.")
        if not math.isclose(a, amplitude, rel_tol=1e-3):
            raise Hint("The amplitude is wrong: take the modulus of bin k (not its real part), and scale it.")
        if math.isclose(p, math.degrees(shift), rel_tol=1e-3):
            raise Hint("The phase is in degrees: return radians.")
        if math.isclose(p, -shift, rel_tol=1e-3):
            raise Hint("The phase has the wrong sign: you took bin -k, or the conjugate.")
        if not math.isclose(p, shift, rel_tol=1e-3):
            raise Hint("The phase is wrong: it is the angle of the complex number in bin k.")
    return "With several waves in the signal each bin still answers for its own, because the waves are orthogonal."


@exercise("fourier.inverse")
def inverse(answer):
    for h, w in [(6, 10), (7, 4)]:
        picture = torch.complex(_noise(h, w, seed=1), _noise(h, w, seed=2))
        spectrum = torch.fft.fft2(picture)
        got = answer(spectrum.clone())
        if _same(got, picture):
            continue
        if _same(got, picture.real):
            raise Hint("You dropped the imaginary part. This spectrum is not of a real picture: keep the result complex.")
        if _same(got, picture * (h * w)):
            raise Hint("The scale is missing: the inverse divides by h * w.")
        if _same(got, picture * math.sqrt(h * w)):
            raise Hint("You divided by sqrt(h * w); the forward transform here has no factor, so divide by h * w.")
        forward = torch.fft.fft2(spectrum)
        if _same(got, forward) or _same(got, forward / (h * w)):
            raise Hint("That is the forward transform again: the inverse uses the conjugate matrices.")
        expect_equal(got, picture, hint="Rows from the left, columns from the right, both conjugated, divided by h * w.")
    return "Applying the forward transform twice gives the picture turned by half a turn, times h w; try it."


@exercise("fourier.uncenter")
def uncenter(answer):
    for shape in [(2, 3, 5, 7), (3, 2, 8, 5)]:
        x = _noise(*shape)
        spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))                    # b c h w
        got = answer(spectrum.clone())
        if _same(got, x):
            continue
        if isinstance(got, torch.Tensor) and got.is_complex():
            raise Hint("The result is still complex: the pictures were real, so return the real part.")
        wrong = {
            "Without dim, ifftshift moves batch and channels too: pass dim=(-2, -1).":
                torch.fft.ifft2(torch.fft.ifftshift(spectrum)).real,
            "fftshift does not undo itself for odd sizes: use ifftshift.":
                torch.fft.ifft2(torch.fft.fftshift(spectrum, dim=(-2, -1))).real,
            "The shift is still in: undo it with ifftshift before ifft2.": torch.fft.ifft2(spectrum).real,
            "The modulus loses the sign: take the real part.": x.abs(),
            "The shift comes before the inverse transform, not after it.":
                torch.fft.ifftshift(torch.fft.ifft2(spectrum).real, dim=(-2, -1)),
        }
        for hint, mistake in wrong.items():
            if _same(got, mistake):
                raise Hint(hint)
        expect_equal(got, x, hint="Undo the shift over the last two axes, then ifft2, then the real part.")
    return "For even sizes fftshift and ifftshift agree, and that is how the mistake survives tests on 256 x 256."


@exercise("fourier.energy_radius")
def energy_radius(answer):
    y, x = _grid(40, 30)
    picture = (5 + torch.cos(2 * math.pi * 3 * x / 30) + torch.cos(2 * math.pi * 10 * y / 40)
               + 0.5 * torch.cos(2 * math.pi * (6 * y / 40 - 8 * x / 30)))       # radii 3, 10 and 10; energy 1 : 1 : 1/4
    rough = _noise(24, 33)
    cases = [(picture, 0.4, 3), (picture, 0.5, 10), (picture, 0.99, 10)]
    ky, kx = (torch.fft.fftfreq(n, dtype=torch.float64) * n for n in rough.shape)
    r, power = torch.hypot(ky[:, None], kx), torch.fft.fft2(rough).abs().square()
    power[0, 0] = 0
    expected = next(R for R in range(30) if power[r <= R].sum() >= 0.6 * power.sum())
    for x_, share, want in [*cases, (rough, 0.6, expected)]:
        before = x_.clone()
        got = expect_number(answer(x_, share), "the radius")
        if not torch.equal(before, x_):
            raise Hint("Your function changed its input in place: work on a copy.")
        if got == want:
            continue
        if got == 0:
            raise Hint("Radius 0: you counted the mean, which alone holds most of the energy. Leave it out on both sides.")
        amplitude = torch.fft.fft2(x_ - x_.mean()).abs()
        rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) * n for n in x_.shape)
        radius = torch.hypot(rows[:, None], columns)
        by_amplitude = next(R for R in range(60) if amplitude[radius <= R].sum() >= share * amplitude.sum())
        if got == by_amplitude:
            raise Hint("You added moduli. Energy is the square of the modulus.")
        if got == want + 1:
            raise Hint("One too large: the bins with radius equal to R belong to the disc.")
        raise Hint("The radius is not the one. Measure radii in cycles from bin (0, 0), where negative bins are named "
                   "by their negative number, and compare sums of squared moduli.")
    return "By Parseval you could have measured the same shares on the filtered pictures, without looking at the spectrum."


@exercise("fourier.full_convolution")
def full_convolution(answer):
    for (h, w), (kh, kw) in [((9, 7), (3, 4)), ((5, 8), (2, 4))]:                    # an even and an odd width
        x, kernel = _noise(h, w), _noise(kh, kw, seed=1)
        turned = kernel.flip(0, 1)[None, None]
        expected = F.conv2d(x[None, None], turned, padding=(kh - 1, kw - 1))[0, 0]       # h+kh-1 w+kw-1
        got = answer(x.clone(), kernel.clone())
        if _same(got, expected):
            continue
        if isinstance(got, torch.Tensor) and got.shape == x.shape:
            raise Hint("The result has the size of the picture, so the end has wrapped around: pad both to h + kh - 1 by "
                       "w + kw - 1.")
        if isinstance(got, torch.Tensor) and got.is_complex():
            raise Hint("The result is complex: use rfft2 and irfft2 with s=..., or take the real part.")
        if isinstance(got, torch.Tensor) and got.shape[-1] == expected.shape[-1] - 1:
            raise Hint("A column is missing: irfft2 guesses an even width. Pass s=(height, width).")
        if _same(got, F.conv2d(x[None, None], kernel[None, None], padding=(kh - 1, kw - 1))[0, 0]):
            raise Hint("That is the cross-correlation: the kernel is not flipped.")
        size = (h + kh - 1, w + kw - 1)
        correlated = torch.fft.irfft2(torch.fft.rfft2(x, s=size) * torch.fft.rfft2(kernel, s=size).conj(), s=size)
        if _same(got, correlated):
            raise Hint("You conjugated the kernel's spectrum: that is the cross-correlation. Leave the conjugate out.")
        expect_equal(got, expected, hint="Transform both at the full size, multiply, go back.")
    return "The same product multiplies polynomials and long integers: their coefficients are convolved, too."


@exercise("fourier.alias")
def alias(answer):
    for k, n, s, want in [(110, 240, 6, 10), (100, 256, 2, 28), (20, 256, 2, 20), (64, 256, 2, 64), (50, 240, 4, 10),
                          (70, 240, 3, 10), (128, 256, 2, 0)]:
        got = expect_number(answer(k, n, s), "the frequency")
        case = f"{k} cycles in {n} samples, stride {s}"
        if got == want:
            continue
        if got == k / s or got == k // s:
            raise Hint(f"{case}: dividing by the stride would change the cycles per picture. The picture still shows the "
                       "same waves.")
        if got == k:
            raise Hint(f"{case}: you returned {k}, but {n // s} samples hold at most {n // s // 2} cycles.")
        if got == -want or (got < 0):
            raise Hint(f"{case}: the name is right up to the sign; return the number from 0 to n / (2 s).")
        if got == k % (n // s):
            raise Hint(f"{case}: {got} is above the limit of {n // s // 2}; it has a twin below it.")
        if got == (n // s - k if n // s > k else k - n // s):
            raise Hint(f"{case}: you folded once. A stride of {s} may fold several times; take the remainder first.")
        raise Hint(f"{case}: got {got}. The new bins repeat every n / s, and k and -k look alike.")
    return "128 cycles in 256 samples became constant: that is the checkerboard, which a stride of 2 turns into a flat area."


@exercise("fourier.frequency_l1")
def frequency_l1(answer):
    for shape in [(2, 3, 8, 10), (1, 2, 5, 12)]:
        prediction, target = _noise(*shape, seed=1), _noise(*shape, seed=2)
        D = torch.fft.fft2(prediction - target, norm="ortho")
        expected = torch.view_as_real(D).abs().mean()
        got = answer(prediction.clone(), target.clone())
        if isinstance(got, torch.Tensor) and got.is_complex():
            raise Hint("The loss is complex, so nothing can minimise it: stack real and imaginary parts first.")
        value = expect_number(got, "the loss")
        h, w = shape[-2:]
        half = torch.view_as_real(torch.fft.rfft2(prediction - target, norm="ortho")).abs().mean()
        four = torch.fft.fftn(prediction - target, norm="ortho")
        wrong = {
            "Without a normalisation the loss grows with the size of the picture: use norm='ortho'.":
                expected * math.sqrt(h * w),
            "norm='forward' divides by h * w, so the loss shrinks with the size: use 'ortho'.": expected / math.sqrt(h * w),
            "That is the mean modulus: stack real and imaginary parts, then take absolute values.": D.abs().mean(),
            "You compared magnitudes only, so a shifted picture would cost nothing: compare real and imaginary parts.":
                (torch.fft.fft2(prediction, norm="ortho").abs() - torch.fft.fft2(target, norm="ortho").abs()).abs().mean(),
            "You added the two parts: stack them and take the mean over both.": 2 * expected,
            "You took the squares: by Parseval that is the pixel loss again. Take absolute values.":
                D.abs().square().mean(),
            "You used rfft2: bins whose twin is missing count once, so the mean is another one. Use fft2.": half,
            "You transformed all four axes: batch and channels are not space. Use fft2.":
                torch.view_as_real(four).abs().mean(),
        }
        if math.isclose(value, expected.item(), rel_tol=1e-4):
            continue
        for hint, mistake in wrong.items():
            if math.isclose(value, mistake.item(), rel_tol=1e-4):
                raise Hint(hint)
        raise Hint("The value is not the one: fft2 of the difference with norm='ortho', parts stacked, mean of absolutes.")
    x = _noise(1, 1, 4, 6).requires_grad_()
    loss = answer(x, torch.zeros_like(x))
    if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        raise Hint("The loss carries no gradient: return a tensor, without .item() or .detach().")
    return "The transform is linear, so one transform of the difference is enough; two would cost twice as much."


@exercise("fourier.notch")
def notch(answer):
    for (h, w), ky, kx, shift in [((96, 128), 25, -31, 0.4), ((90, 75), 0, 27, 1.1), ((64, 101), 30, 0, 2.0)]:
        ys, xs = torch.fft.fftfreq(h, dtype=torch.float64) * h, torch.fft.fftfreq(w, dtype=torch.float64) * w
        falling = 1 / (1 + torch.hypot(ys[:, None], xs)) ** 1.5                           # like a photograph
        clean = torch.fft.ifft2(torch.fft.fft2(_noise(h, w)) * falling).real
        clean = 0.5 + 0.15 * clean / clean.std()
        y, x = _grid(h, w)
        spoiled = (clean + 0.2 * torch.cos(2 * math.pi * (ky * y / h + kx * x / w) + shift)).float()
        before = spoiled.clone()
        got = answer(spoiled)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not torch.equal(before, spoiled):
            raise Hint("Your function changed its input in place: work on a copy.")
        if not isinstance(got, torch.Tensor) or got.shape != spoiled.shape:
            raise Hint(f"Expected a picture of shape {tuple(spoiled.shape)}, got {tuple(getattr(got, 'shape', ()))}.")
        if got.is_complex():
            raise Hint("The result is complex: a real wave has two bins, (ky, kx) and (-ky, -kx). Clear both, then take the "
                       "real part.")
        error, start = got.double() - clean, spoiled.double() - clean
        left = (error.square().mean() / start.square().mean()).sqrt().item()
        if left <= 0.1:
            continue
        wave = torch.fft.fft2(got.double() - clean)[ky, kx].abs() / torch.fft.fft2(start)[ky, kx].abs()
        if 0.4 < wave < 0.6:
            raise Hint("Half of the stripes is left: a real wave has two bins, and you cleared one of them.")
        if abs(got.mean() - clean.mean()) > 0.1:
            raise Hint("The picture lost its mean: bin (0, 0) is the largest of all. Search beyond 20 cycles only.")
        if wave > 0.9:
            raise Hint("The stripes are still there: find the largest bin beyond 20 cycles, in the unshifted order of fft2.")
        raise Hint(f"The stripes are weaker, but {left:.0%} of the error is left, so you removed parts of the picture as "
                   "well: clear two bins only.")
    return "Scanned prints are cleaned in this way. Stripes whose frequency is no whole number leak: they need a small disc."
