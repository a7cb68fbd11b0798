"""Plausible wrong answers of chapter 7, each with words that its hint must contain."""

import math

import torch

from dlnotes import fourier


def _stripes(h, w, ky, kx, *, wave=torch.cos, turn=2 * math.pi, less=0):
    y, x = torch.arange(h)[:, None] / (h - less), torch.arange(w) / (w - less)
    return wave(turn * (ky * y + kx * x))


def _inverse(spectrum, *, conjugate=True, divide=True):
    rows, columns = (fourier.dft_matrix(n, spectrum.dtype) for n in spectrum.shape)
    if conjugate:
        rows, columns = rows.conj(), columns.conj()
    out = rows @ spectrum @ columns
    return out / spectrum.numel() if divide else out


def _radius(x, share, *, power=2, mean=False, strict=False):
    values = torch.fft.fft2(x if mean else x - x.mean()).abs() ** power
    r = fourier.radius_map(*x.shape)
    radius = 0
    while values[r < radius if strict else r <= radius].sum() < share * values.sum():
        radius += 1
    return radius


def _convolution(x, kernel, *, full=True, conj=False, s=True):
    size = [n + k - 1 for n, k in zip(x.shape, kernel.shape)] if full else list(x.shape)
    spectrum = torch.fft.rfft2(kernel, s=size)
    product = torch.fft.rfft2(x, s=size) * (spectrum.conj() if conj else spectrum)
    return torch.fft.irfft2(product, s=size) if s else torch.fft.irfft2(product)


def _loss(p, t, *, norm="ortho", reduce=lambda D: torch.view_as_real(D).abs().mean()):
    return reduce(torch.fft.fft2(p - t, norm=norm))


def _notch(x, *, beyond=20, both=True, around=0, change=False):
    X = torch.fft.fft2(x)
    r = fourier.radius_map(*x.shape)
    i, j = divmod(X.abs().where(r >= beyond, 0).argmax().item(), x.shape[1])
    mask = torch.ones_like(x)
    for di in range(-around, around + 1):
        for dj in range(-around, around + 1):
            mask[(i + di) % x.shape[0], (j + dj) % x.shape[1]] = 0
            if both:
                mask[(-i - di) % x.shape[0], (-j - dj) % x.shape[1]] = 0
    out = torch.fft.ifft2(X * mask).real
    return x.copy_(out) if change else out


def _uncenter(s, shift=torch.fft.ifftshift, **kwargs):
    return torch.fft.ifft2(shift(s, **kwargs)).real


SPACE = {"dim": (-2, -1)}

NEAR_MISSES = {
    "fourier.stripes": [
        (lambda h, w, ky, kx: _stripes(h, w, kx, ky), "axes are exchanged"),
        (lambda *a: _stripes(*a, wave=torch.sin), "sine"),
        (lambda *a: _stripes(*a, turn=1.0), "2 pi"),
        (lambda *a: _stripes(*a, less=1), "size minus one"),
    ],
    "fourier.amplitude_phase": [
        (lambda x, k: (torch.fft.fft(x)[k].abs().item(), torch.fft.fft(x)[k].angle().item()), "n/2"),
        (lambda x, k: (torch.fft.fft(x)[k].abs().item() / len(x), torch.fft.fft(x)[k].angle().item()), "half"),
        (lambda x, k: (2 * torch.fft.fft(x)[k].real.item() / len(x), 0.0), "modulus"),
        (lambda x, k: (2 * torch.fft.fft(x)[k].abs().item() / len(x), torch.fft.fft(x)[-k].angle().item()), "sign"),
        (lambda x, k: (2 * torch.fft.fft(x)[k].abs().item() / len(x), math.degrees(torch.fft.fft(x)[k].angle())), "degrees"),
        (lambda x, k: 2 * torch.fft.fft(x)[k].abs().item() / len(x), "pair"),
    ],
    "fourier.inverse": [
        (lambda s: _inverse(s, divide=False), "scale is missing"),
        (lambda s: _inverse(s, conjugate=False), "forward transform"),
        (lambda s: _inverse(s).real, "imaginary part"),
        (lambda s: _inverse(s, divide=False) / math.sqrt(s.numel()), "sqrt"),
    ],
    "fourier.uncenter": [
        (lambda s: _uncenter(s), "dim=(-2, -1)"),
        (lambda s: _uncenter(s, torch.fft.fftshift, **SPACE), "use ifftshift"),
        (lambda s: torch.fft.ifft2(torch.fft.ifftshift(s, **SPACE)), "complex"),
        (lambda s: torch.fft.ifft2(torch.fft.ifftshift(s, **SPACE)).abs(), "sign"),
        (lambda s: torch.fft.ifft2(s).real, "still in"),
        (lambda s: torch.fft.ifftshift(torch.fft.ifft2(s).real, **SPACE), "not after"),
    ],
    "fourier.energy_radius": [
        (lambda x, share: _radius(x, share, mean=True), "counted the mean"),
        (lambda x, share: _radius(x, share, power=1), "square of the modulus"),
        (lambda x, share: _radius(x, share, strict=True), "equal to R"),
    ],
    "fourier.full_convolution": [
        (lambda x, k: _convolution(x, k, full=False), "wrapped around"),
        (lambda x, k: _convolution(x, k, s=False), "guesses an even width"),
        (lambda x, k: _convolution(x, k, conj=True), "cross-correlation"),
        (lambda x, k: _convolution(x, k.flip(0, 1)), "cross-correlation"),
        (lambda x, k: torch.fft.ifft2(torch.fft.fft2(x, s=(20, 20)) * torch.fft.fft2(k, s=(20, 20))), "complex"),
    ],
    "fourier.alias": [
        (lambda k, n, s: k // s, "dividing by the stride"),
        (lambda k, n, s: k, "hold at most"),
        (lambda k, n, s: k % (n // s), "twin"),
        (lambda k, n, s: k if k <= n // s // 2 else abs(n // s - k), "folded once"),
        (lambda k, n, s: (k + n // s // 2) % (n // s) - n // s // 2, "sign"),
    ],
    "fourier.frequency_l1": [
        (lambda p, t: _loss(p, t, norm="backward"), "norm='ortho'"),
        (lambda p, t: _loss(p, t, norm="forward"), "shrinks"),
        (lambda p, t: _loss(p, t, reduce=lambda D: D.abs().mean()), "modulus"),
        (lambda p, t: _loss(p, t, reduce=lambda D: D.mean()), "complex"),
        (lambda p, t: _loss(p, t, reduce=lambda D: D.abs().square().mean()), "Parseval"),
        (lambda p, t: (_loss(p, 0 * p, reduce=abs) - _loss(t, 0 * t, reduce=abs)).abs().mean(), "shifted"),
        (lambda p, t: torch.view_as_real(torch.fft.fftn(p - t, norm="ortho")).abs().mean(), "four axes"),
        (lambda p, t: torch.view_as_real(torch.fft.rfft2(p - t, norm="ortho")).abs().mean(), "rfft2"),
        (lambda p, t: _loss(p, t).item(), "gradient"),
    ],
    "fourier.notch": [
        (lambda x: _notch(x, both=False), "two bins"),
        (lambda x: _notch(x, beyond=0), "lost its mean"),
        (lambda x: fourier.apply_mask(x, fourier.frequency_mask(*x.shape, "low", "ideal", 20)), "parts of the picture"),
        (lambda x: _notch(x, around=12), "parts of the picture"),
        (lambda x: x.clone(), "still there"),
        (lambda x: _notch(x, change=True), "in place"),
    ],
}
