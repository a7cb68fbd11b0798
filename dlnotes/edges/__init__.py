"""Edges of pictures: filters in :mod:`~dlnotes.edges.operators`, Canny's detector in :mod:`~dlnotes.edges.canny`."""

from .canny import CannySteps, canny, hysteresis, non_maximum_suppression
from .operators import (edge_kernels, edge_mask, gaussian_blur, gradient_direction, gradient_magnitude, image_gradients,
                        laplacian, laplacian_of_gaussian, separable_filter)

__all__ = ["CannySteps", "canny", "edge_kernels", "edge_mask", "gaussian_blur", "gradient_direction", "gradient_magnitude",
           "hysteresis", "image_gradients", "laplacian", "laplacian_of_gaussian", "non_maximum_suppression",
           "separable_filter"]
