"""The discrete Fourier transform as a matrix, the names of its bins, and the usual ways to look at a spectrum.

The DFT writes n samples as a sum of n waves: ``X[k] = sum_m x[m] exp(-2 pi i k m / n)``. In two dimensions it acts on the
columns and on the rows. Definition and signs are those of ``torch.fft`` (Cooley and Tukey, 1965, use the other sign).
"""

import math

import torch

from ._checks import COMPLEX, REAL, check_norm, check_size, check_tensor

__all__ = ["centered_fft2", "centered_ifft2", "dft2", "dft_matrix", "frequency_axes", "hann2d", "log_magnitude", "phase",
           "radial_power", "radius_map"]


def dft_matrix(n: int, dtype: torch.dtype = torch.complex128, device: torch.device | str | None = None) -> torch.Tensor:
    """The matrix of the DFT: row k samples the wave ``exp(-2 pi i k m / n)`` at the positions m.

    Args:
        n: number of samples.
        dtype: complex64 or complex128.
        device: where to make it.

    Returns:
        (n, n) complex matrix W; ``W @ x`` equals ``torch.fft.fft(x)``. ``W @ W.conj().T`` is n times the identity.

    Raises:
        ValueError: if ``n`` is not a positive integer or ``dtype`` is not complex.

    >>> dft_matrix(4).real.round().int().tolist()
    [[1, 1, 1, 1], [1, 0, -1, 0], [1, -1, 1, -1], [1, 0, -1, 0]]
    """
    check_size("dft_matrix", n=n)
    if dtype not in COMPLEX:
        raise ValueError(f"dft_matrix: expected dtype complex64 or complex128, got {dtype}; the waves have two parts")
    k = torch.arange(n, device=device)
    turns = torch.outer(k, k) % n                                # n n; whole turns dropped while still integers
    angle = (-2 * math.pi / n) * turns.to(torch.float64)
    return torch.polar(torch.ones_like(angle), angle).to(dtype)  # n n


def dft2(x: torch.Tensor) -> torch.Tensor:
    """Two-dimensional DFT by two matrix products; the teaching version of ``torch.fft.fft2``.

    Costs h w (h + w) multiplications where the FFT needs a multiple of h w log2(h w).

    Args:
        x: (..., h, w) real or complex.

    Returns:
        (..., h, w) complex spectrum, unnormalised, zero frequency at index (0, 0).

    Raises:
        TypeError: if ``x`` is not a tensor of float32, float64, complex64 or complex128.
        ValueError: if ``x`` has fewer than two axes or no pixel.
    """
    check_tensor(x, "dft2", kinds=REAL + COMPLEX)
    dtype = torch.complex128 if x.dtype in (torch.float64, torch.complex128) else torch.complex64
    h, w = x.shape[-2:]
    rows, columns = dft_matrix(h, dtype, x.device), dft_matrix(w, dtype, x.device)
    return rows @ x.to(dtype) @ columns                          # ... h w; the matrix is its own transpose


def frequency_axes(h: int, w: int, *, shifted: bool = False,
                   device: torch.device | str | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole numbers of cycles that belong to the rows and columns of ``fft2``.

    For even n the bin n/2 is named -n/2, as in ``torch.fft.fftfreq``: both names give the same samples.

    Args:
        h, w: size of the picture.
        shifted: give the order after ``fftshift`` (ascending) instead of the order of ``fft2``.
        device: where to make them.

    Returns:
        ``ky`` (h,) and ``kx`` (w,), int64, in cycles per picture.

    Raises:
        ValueError: if a size is not a positive integer.

    >>> frequency_axes(4, 5)
    (tensor([ 0,  1, -2, -1]), tensor([ 0,  1,  2, -2, -1]))
    >>> frequency_axes(4, 5, shifted=True)[1]
    tensor([-2, -1,  0,  1,  2])
    """
    check_size("frequency_axes", h=h, w=w)

    def axis(n: int) -> torch.Tensor:
        k = torch.arange(n, device=device)
        k = torch.where(k >= (n + 1) // 2, k - n, k)
        return torch.fft.fftshift(k) if shifted else k

    return axis(h), axis(w)


def radius_map(h: int, w: int, *, shifted: bool = False, dtype: torch.dtype = torch.float32,
               device: torch.device | str | None = None) -> torch.Tensor:
    """Distance of every bin of ``fft2`` from the zero frequency, in cycles per picture.

    In a picture that is not square, equal radius does not mean equal stripe width in pixels: both axes are counted per
    picture, not per pixel.

    Args:
        h, w: size of the picture. shifted: order after ``fftshift``.
        dtype: float32 or float64. device: where to make it.

    Returns:
        (h, w) ``sqrt(ky**2 + kx**2)``.

    Raises:
        ValueError: if a size is not a positive integer or ``dtype`` is not float32 or float64.

    >>> radius_map(4, 5)[0].tolist()
    [0.0, 1.0, 2.0, 2.0, 1.0]
    """
    if dtype not in REAL:
        raise ValueError(f"radius_map: expected dtype float32 or float64, got {dtype}; radii are not whole numbers")
    check_size("radius_map", h=h, w=w)
    ky, kx = frequency_axes(h, w, shifted=shifted, device=device)
    return torch.hypot(ky.to(dtype)[:, None], kx.to(dtype))      # h w


def centered_fft2(x: torch.Tensor, *, norm: str = "backward") -> torch.Tensor:
    """``fft2`` with the zero frequency moved to index ``(h // 2, w // 2)``, for looking.

    Only the last two axes are shifted: ``torch.fft.fftshift`` without ``dim`` would also rotate batch and channels.

    Args:
        x: (..., h, w) real or complex. norm: as in ``torch.fft.fft2``.

    Returns:
        (..., h, w) complex.

    Raises:
        TypeError, ValueError: as :func:`dft2`; ValueError for an unknown ``norm``.
    """
    check_tensor(x, "centered_fft2", kinds=REAL + COMPLEX)
    check_norm(norm, "centered_fft2")
    return torch.fft.fftshift(torch.fft.fft2(x, norm=norm), dim=(-2, -1))


def centered_ifft2(spectrum: torch.Tensor, *, norm: str = "backward") -> torch.Tensor:
    """The inverse of :func:`centered_fft2`: ``ifftshift``, then ``ifft2``.

    Args:
        spectrum: (..., h, w) complex, zero frequency in the centre. norm: the one of the forward transform.

    Returns:
        (..., h, w) complex; take ``.real`` when the spectrum came from a real picture.

    Raises:
        TypeError, ValueError: if ``spectrum`` is not such a complex tensor; ValueError for an unknown ``norm``.
    """
    check_tensor(spectrum, "centered_ifft2", name="spectrum", kinds=COMPLEX)
    check_norm(norm, "centered_ifft2")
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm=norm)


def log_magnitude(spectrum: torch.Tensor) -> torch.Tensor:
    """``ln(1 + |F|)``: zero stays zero, and factors become steps. For looking, not for measuring.

    The picture depends on the normalisation of the transform, because of the 1: compare spectra of one ``norm`` only.

    Args:
        spectrum: any shape, complex.

    Returns:
        Same shape, real, not negative.

    Raises:
        TypeError: if ``spectrum`` is not a complex tensor.

    >>> log_magnitude(torch.tensor([0j, 3 + 4j])).exp().round().tolist()
    [1.0, 6.0]
    """
    _check_spectrum(spectrum, "log_magnitude")
    return spectrum.abs().log1p()


def phase(spectrum: torch.Tensor) -> torch.Tensor:
    """Angle of every coefficient in radians, from -pi to pi: where the crests of that wave lie.

    The angle of a coefficient that is zero up to rounding is noise.

    Args:
        spectrum: any shape, complex.

    Returns:
        Same shape, real.

    Raises:
        TypeError: if ``spectrum`` is not a complex tensor.
    """
    _check_spectrum(spectrum, "phase")
    return spectrum.angle()


def hann2d(h: int, w: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> torch.Tensor:
    """Hann window of a picture: one in the middle, falling to zero at the border, to hide the jump from edge to edge.

    Args:
        h, w: size of the picture.
        dtype: float32 or float64. device: where to make it.

    Returns:
        (h, w) outer product of two periodic Hann windows ``sin(pi m / n)**2``; mean 1/4 for h, w of at least 2.

    Raises:
        ValueError: if a size is not a positive integer or ``dtype`` is not float32 or float64.
    """
    if dtype not in REAL:
        raise ValueError(f"hann2d: expected dtype float32 or float64, got {dtype}; a window has values between 0 and 1")
    check_size("hann2d", h=h, w=w)
    rows, columns = (torch.hann_window(n, periodic=True, dtype=dtype, device=device) for n in (h, w))
    return torch.outer(rows, columns)                            # h w


def radial_power(x: torch.Tensor) -> torch.Tensor:
    """Mean power per ring of the spectrum: how much of the picture lives at each radius.

    Args:
        x: (h, w) real.

    Returns:
        (r,) mean of ``|fft2(x, norm="ortho")|**2`` over the bins whose radius rounds to 0, 1, ... cycles per picture, as
        far as complete rings go: r = min(h, w) // 2 + 1.

    Raises:
        TypeError, ValueError: if ``x`` is not a real picture (h, w).
    """
    check_tensor(x, "radial_power", dims=2)
    h, w = x.shape
    power = torch.fft.fft2(x, norm="ortho").abs().square().flatten()          # (h w)
    ring = radius_map(h, w, device=x.device).round().long().flatten()         # (h w)
    total = torch.zeros(int(ring.max()) + 1, dtype=x.dtype, device=x.device).index_add(0, ring, power)
    return (total / ring.bincount())[: min(h, w) // 2 + 1]


def _check_spectrum(spectrum, where: str) -> None:
    if not isinstance(spectrum, torch.Tensor) or not spectrum.is_complex():
        got = spectrum.dtype if isinstance(spectrum, torch.Tensor) else type(spectrum).__name__
        raise TypeError(f"{where}: expected a complex tensor, got {got}; pass the result of torch.fft.fft2")
