"""The discrete Fourier transform of pictures: transform, filter, convolve, compare, and layers that work on spectra.

One idea per file: :mod:`~dlnotes.fourier.transform` (the DFT and its axes), :mod:`~dlnotes.fourier.filters` (masks),
:mod:`~dlnotes.fourier.convolve` (convolution theorem, aliasing), :mod:`~dlnotes.fourier.losses` and
:mod:`~dlnotes.fourier.modules`. Pictures are ``(..., h, w)``, feature maps ``(b, c, h, w)``. Frequencies are counted in
cycles per picture: bin ``(ky, kx)`` belongs to the wave with ``ky`` periods down and ``kx`` periods across the picture.
"""

from .convolve import binomial_kernel, blur_pool, fft_convolve2d
from .filters import apply_mask, frequency_mask, swap_phase
from .losses import focal_frequency_loss, frequency_l1_loss, multiscale_frequency_l1_loss
from .modules import DualDomainAttention, FrequencyGate, GlobalFilter
from .transform import (centered_fft2, centered_ifft2, dft2, dft_matrix, frequency_axes, hann2d, log_magnitude, phase,
                        radial_power, radius_map)

__all__ = ["DualDomainAttention", "FrequencyGate", "GlobalFilter", "apply_mask", "binomial_kernel", "blur_pool",
           "centered_fft2", "centered_ifft2", "dft2", "dft_matrix", "fft_convolve2d", "focal_frequency_loss",
           "frequency_axes", "frequency_l1_loss", "frequency_mask", "hann2d", "log_magnitude",
           "multiscale_frequency_l1_loss", "phase", "radial_power", "radius_map", "swap_phase"]
