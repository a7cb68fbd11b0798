"""Filtering by masks: multiply each frequency by a number, and go back. And the phase swap of two pictures.

Masks are laid out like the result of ``torch.fft.fft2`` (zero frequency at index (0, 0)) unless ``shifted=True``.
The Gaussian low-pass is the usual ``exp(-r**2 / (2 R**2))`` (Gonzalez and Woods, Digital Image Processing, 4.8): at the
radius R it lets 0.607 of the amplitude through. Phase swap: Oppenheim and Lim, Proceedings of the IEEE, 1981.
"""

import torch

from ._checks import COMPLEX, REAL, check_same, check_size, check_tensor
from .transform import radius_map

__all__ = ["apply_mask", "frequency_mask", "swap_phase"]


def frequency_mask(h: int, w: int, kind: str = "low", edge: str = "gaussian", radius: float = 20.0, width: float = 10.0, *,
                   shifted: bool = False, dtype: torch.dtype = torch.float32,
                   device: torch.device | str | None = None) -> torch.Tensor:
    """A round low-, high- or band-pass mask with values from 0 to 1.

    Args:
        h, w: size of the picture.
        kind: ``"low"``, ``"high"`` (one minus low) or ``"band"``.
        edge: ``"ideal"`` (one inside, zero outside; the border belongs to the inside) or ``"gaussian"``.
        radius: R in cycles per picture. Low-pass: ``r <= R`` or ``exp(-r**2 / (2 R**2))``. Band: its middle.
        width: of the band, in cycles per picture: ``|r - R| <= width / 2`` or ``exp(-(r - R)**2 / (2 (width / 2)**2))``.
        shifted: put the zero frequency in the centre, to look at it.
        dtype, device: of the mask.

    Returns:
        (h, w) real mask.

    Raises:
        ValueError: for an unknown kind or edge, a size below one, a negative radius (for a Gaussian also zero), or a
            width that is not positive.

    >>> frequency_mask(4, 4, "low", "ideal", radius=1).int().tolist()
    [[1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    """
    check_size("frequency_mask", h=h, w=w)
    if kind not in ("low", "high", "band"):
        raise ValueError(f"frequency_mask: expected kind low, high or band, got {kind!r}; spell it in lower case")
    if edge not in ("ideal", "gaussian"):
        raise ValueError(f"frequency_mask: expected edge ideal or gaussian, got {edge!r}; spell it in lower case")
    if not radius >= 0 or (edge == "gaussian" and kind != "band" and radius == 0):
        raise ValueError(f"frequency_mask: expected a radius of at least 0 cycles (above 0 for a Gaussian), got {radius}; "
                         f"pass a positive number")
    if kind == "band" and not width > 0:
        raise ValueError(f"frequency_mask: expected a band of positive width, got {width}; pass a positive number")
    r = radius_map(h, w, shifted=shifted, dtype=dtype, device=device)            # h w
    if kind == "band":
        return ((r - radius).abs() <= width / 2).to(dtype) if edge == "ideal" else (
            torch.exp(-2 * ((r - radius) / width) ** 2))
    low = (r <= radius).to(dtype) if edge == "ideal" else torch.exp(-0.5 * (r / radius) ** 2)
    return low if kind == "low" else 1 - low


def apply_mask(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Multiply the spectrum of a real picture by a mask and return the real picture that results.

    The result is real only if the mask treats the frequencies k and -k alike: ``mask[-k] == mask[k].conj()``. Other masks
    raise, instead of losing an imaginary part in silence. A centred mask of even size passes this test, although it
    belongs to the shifted spectrum: make masks with ``shifted=False``, or undo the shift with ``ifftshift``.

    Args:
        x: (..., h, w) real.
        mask: (h, w) real or complex, in the order of ``fft2``.

    Returns:
        (..., h, w) real, dtype of ``x``.

    Raises:
        TypeError: if ``x`` is not float32 or float64, or ``mask`` not of the same precision (real or complex).
        ValueError: if the mask has another size than the picture, or is not symmetric.
    """
    check_tensor(x, "apply_mask")
    fits = (torch.float32, torch.complex64) if x.dtype == torch.float32 else (torch.float64, torch.complex128)
    check_tensor(mask, "apply_mask", name="mask", kinds=REAL + COMPLEX, dims=2)
    if mask.dtype not in fits:
        raise TypeError(f"apply_mask: expected a mask of dtype {fits[0]} or {fits[1]} for a picture of dtype {x.dtype}, "
                        f"got {mask.dtype}; make it with dtype=x.dtype")
    if mask.shape != x.shape[-2:]:
        raise ValueError(f"apply_mask: expected a mask of the picture's size {tuple(x.shape[-2:])}, got "
                         f"{tuple(mask.shape)}; make it with frequency_mask(*x.shape[-2:])")
    mirrored = mask.flip(-2, -1).roll((1, 1), (-2, -1)).conj()                   # h w; index k becomes -k
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-10
    if not (mask - mirrored).abs().max() <= tolerance * mask.abs().max():
        raise ValueError("apply_mask: expected a mask with mask[-k] == conj(mask[k]), so that the picture stays real, got "
                         "one that treats k and -k differently; mirror it, or use torch.fft and keep the complex result")
    return torch.fft.ifft2(torch.fft.fft2(x) * mask).real                        # ... h w


def swap_phase(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Exchange the phases of two pictures and keep their magnitudes.

    Args:
        a, b: (..., h, w) real, one shape and dtype.

    Returns:
        Two real pictures (..., h, w): magnitude of ``a`` with phase of ``b``, and magnitude of ``b`` with phase of ``a``.

    Raises:
        TypeError, ValueError: if a picture is not real with at least two axes, or the two do not match.
    """
    check_tensor(a, "swap_phase", name="a")
    check_tensor(b, "swap_phase", name="b")
    check_same(a, b, "swap_phase", ("a", "b"))
    first, second = torch.fft.fft2(a), torch.fft.fft2(b)
    mixed = torch.polar(first.abs(), second.angle()), torch.polar(second.abs(), first.angle())
    return tuple(torch.fft.ifft2(spectrum).real for spectrum in mixed)
