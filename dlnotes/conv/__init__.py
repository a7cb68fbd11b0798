"""Convolution, one idea per file: start with ``sliding``, then ``arithmetic``, ``matrix`` and ``transposed``."""

from .arithmetic import adaptive_windows, conv_size, pool_size, same_padding, transposed_size
from .cost import ConvCost, conv_cost, count_parameters, multiply_adds
from .dimensions import conv1d_unfold, conv3d_loops, conv3d_unfold
from .matrix import convolution_matrix
from .pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .receptive_field import (Layer, ReceptiveField, effective_receptive_field, effective_size, receptive_field,
                              receptive_fields)
from .separable import DepthwiseSeparableConv2d, conv2d_separable, full_weight, rank_one_error, separate
from .sliding import conv2d_loops, conv2d_unfold, sliding_windows
from .transposed import conv_transpose2d_loops, conv_transpose2d_matrix
from .true_convolution import convolve1d, convolve2d, turned

__all__ = [
    "ConvCost", "DepthwiseSeparableConv2d", "Layer", "ReceptiveField", "adaptive_avg_pool2d", "adaptive_windows",
    "avg_pool2d", "conv1d_unfold", "conv2d_loops", "conv2d_separable", "conv2d_unfold", "conv3d_loops", "conv3d_unfold",
    "conv_cost", "conv_size", "conv_transpose2d_loops", "conv_transpose2d_matrix", "convolution_matrix", "convolve1d",
    "convolve2d", "count_parameters", "effective_receptive_field", "effective_size", "full_weight", "max_pool2d",
    "multiply_adds", "pool_size", "rank_one_error", "receptive_field", "receptive_fields", "same_padding", "separate",
    "sliding_windows", "transposed_size", "turned",
]
