"""Layers in two thin factors: a weight matrix of rank r is a layer down to r channels and a layer up from them.

Any layer can be written so when its weights are cut to their first r singular terms. It saves parameters and
multiplications only below the break-even rank m n / (m + n), where a matrix without structure has lost much; a trained one
may have lost little.

Sources: scheme "channel", k×k down and 1×1 up: Zhang et al., "Accelerating Very Deep Convolutional Networks", TPAMI 2016,
section 3.1. Scheme "spatial", k×1 down and 1×k up: Jaderberg, Vedaldi and Zisserman, BMVC 2014, scheme 2; as one SVD: Tai
et al., ICLR 2016. Departures: they fit the factors further, to responses on data or by training; here the weights are cut,
no more. Each factor takes the root of the singular values.
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_choice, check_input, check_integers

__all__ = ["LowRankConv2d", "LowRankLinear"]


def split(matrix: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two factors (m, rank) and (rank, n) of equal norm, whose product is the nearest matrix of that rank."""
    matrix = matrix.detach().to(torch.promote_types(matrix.dtype, torch.float32))   # m n; there is no SVD in half precision
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)                        # m r, r, r n
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]                            # m rank, rank n


class LowRankLinear(nn.Module):
    """A linear layer of rank ``rank``: ``up(down(x))``, with (in + out) · rank weights in place of in · out.

    Args:
        in_features, out_features: as ``nn.Linear``.
        rank: from 1 to the smaller of the two.
        bias: of the second factor.

    Shape: (b, ..., in_features) to (b, ..., out_features).

    >>> layer = LowRankLinear(512, 512, rank=64)
    >>> sum(p.numel() for p in layer.parameters()) == 64 * (512 + 512) + 512
    True
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True):
        super().__init__()
        check_integers("LowRankLinear", in_features=in_features, out_features=out_features, rank=rank)
        _check_rank("LowRankLinear", rank, out_features, in_features)
        self.in_features, self.out_features, self.rank = in_features, out_features, rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the last axis of ``x`` (b, ..., in_features). Raises TypeError or ValueError if it does not fit."""
        between = [f"n{i}" for i in range(getattr(x, "ndim", 2) - 2)]
        check_input("LowRankLinear", x, " ".join(["b", *between, "c"]), like=self, c=self.in_features)
        return self.up(self.down(x))                                                # b ... out

    @classmethod
    def from_linear(cls, layer: nn.Linear, rank: int) -> "LowRankLinear":
        """The nearest layer of this rank to a (trained) ``nn.Linear``, which is not changed.

        >>> layer = nn.Linear(6, 4)
        >>> x = torch.randn(2, 6)
        >>> torch.allclose(LowRankLinear.from_linear(layer, 4)(x), layer(x), atol=1e-5)        # full rank: nothing is lost
        True
        """
        if not isinstance(layer, nn.Linear):
            raise TypeError(f"LowRankLinear.from_linear: expected an nn.Linear, got {type(layer).__name__}; "
                            "LowRankConv2d.from_conv takes convolutions")
        ours = cls(layer.in_features, layer.out_features, rank, bias=layer.bias is not None)
        up, down = split(layer.weight, rank)                                        # out rank, rank in
        return _take(ours, layer, up, down)


class LowRankConv2d(nn.Module):
    """A convolution in two: first down to ``rank`` channels, then up.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation: as ``nn.Conv2d``; zeros are padded.
        rank: channels between the two.
        bias: of the second convolution.
        scheme: ``"channel"``, all of the kernel first and then 1×1: rank · (in · k² + out) weights. ``"spatial"``, a column
            k×1 and then a row 1×k: rank · k · (in + out).

    Shape: (b, in_channels, h, w) to (b, out_channels, h', w'), as the convolution.

    >>> for scheme in ("channel", "spatial"):
    ...     layer = LowRankConv2d(64, 128, 3, rank=32, padding=1, bias=False, scheme=scheme)
    ...     print(sum(p.numel() for p in layer.parameters()), layer(torch.zeros(1, 64, 8, 8)).shape)
    22528 torch.Size([1, 128, 8, 8])
    18432 torch.Size([1, 128, 8, 8])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], rank: int,
                 stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1,
                 bias: bool = True, scheme: str = "channel"):
        super().__init__()
        check_integers("LowRankConv2d", in_channels=in_channels, out_channels=out_channels, rank=rank)
        check_choice("LowRankConv2d", ("channel", "spatial"), scheme=scheme)
        (kh, kw), (sh, sw) = _pair("kernel_size", kernel_size), _pair("stride", stride)
        (ph, pw), (dh, dw) = _pair("padding", padding, at_least=0), _pair("dilation", dilation)
        _check_rank("LowRankConv2d", rank, *_matrix_shape(in_channels, out_channels, kh, kw, scheme))
        self.in_channels, self.rank, self.scheme = in_channels, rank, scheme
        if scheme == "channel":
            self.down = nn.Conv2d(in_channels, rank, (kh, kw), (sh, sw), (ph, pw), (dh, dw), bias=False)
            self.up = nn.Conv2d(rank, out_channels, 1, bias=bias)
        else:
            self.down = nn.Conv2d(in_channels, rank, (kh, 1), (sh, 1), (ph, 0), (dh, 1), bias=False)
            self.up = nn.Conv2d(rank, out_channels, (1, kw), (1, sw), (0, pw), (1, dw), bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve ``x`` (b, in_channels, h, w). Raises TypeError or ValueError if it does not fit."""
        check_input("LowRankConv2d", x, "b c h w", like=self, c=self.in_channels)
        return self.up(self.down(x))                                                # b out h' w'

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, rank: int, scheme: str = "channel") -> "LowRankConv2d":
        """The nearest such pair (in the sum of squares over all weights) to a (trained) convolution, which is not changed.

        Raises:
            TypeError: if ``conv`` is no ``nn.Conv2d``.
            ValueError: if it has groups, a padding by name or other than zeros, or ``rank`` is too large.
        """
        if not isinstance(conv, nn.Conv2d):
            raise TypeError(f"LowRankConv2d.from_conv: expected an nn.Conv2d, got {type(conv).__name__}; "
                            "LowRankLinear.from_linear takes linear layers")
        if not has_factors(conv):
            raise ValueError("LowRankConv2d.from_conv: expected groups=1 and a number of zeros as padding, got "
                             f"groups={conv.groups}, padding={conv.padding!r}, padding_mode={conv.padding_mode!r}; "
                             "leave such a layer whole")
        ours = cls(conv.in_channels, conv.out_channels, conv.kernel_size, rank, conv.stride, conv.padding, conv.dilation,
                   conv.bias is not None, scheme)
        if scheme == "channel":
            up, down = split(as_matrix(conv, scheme), rank)                         # o rank, rank (i kh kw)
        else:
            down, up = split(as_matrix(conv, scheme), rank)                         # (i kh) rank, rank (o kw)
            down = rearrange(down, "(i kh) rank -> rank (i kh)", i=conv.in_channels)
            up = rearrange(up, "rank (o kw) -> o rank kw", o=conv.out_channels)
        return _take(ours, conv, up, down)


def has_factors(layer: nn.Module) -> bool:
    """Whether one of the two classes can stand for this layer."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1
                                            and layer.padding_mode == "zeros" and not isinstance(layer.padding, str))


def as_matrix(layer: nn.Linear | nn.Conv2d, scheme: str = "channel") -> torch.Tensor:
    """The weights as the matrix whose rank the two factors limit."""
    if isinstance(layer, nn.Linear):
        return layer.weight                                                         # o i
    if scheme == "channel":
        return rearrange(layer.weight, "o i kh kw -> o (i kh kw)")
    return rearrange(layer.weight, "o i kh kw -> (i kh) (o kw)")


def _matrix_shape(i: int, o: int, kh: int, kw: int, scheme: str) -> tuple[int, int]:
    return (o, i * kh * kw) if scheme == "channel" else (i * kh, o * kw)


def _take(ours: nn.Module, layer: nn.Module, up: torch.Tensor, down: torch.Tensor) -> nn.Module:
    """Put the factors and the bias into our layer; device, precision and mode of the original."""
    ours = ours.to(device=layer.weight.device, dtype=layer.weight.dtype).train(layer.training)
    with torch.no_grad():
        ours.up.weight.copy_(up.reshape(ours.up.weight.shape))
        ours.down.weight.copy_(down.reshape(ours.down.weight.shape))
        if layer.bias is not None:
            ours.up.bias.copy_(layer.bias)
    ours.up.weight.requires_grad_(layer.weight.requires_grad)
    ours.down.weight.requires_grad_(layer.weight.requires_grad)
    return ours


def _check_rank(owner: str, rank: int, m: int, n: int) -> None:
    if rank > min(m, n):
        raise ValueError(f"{owner}: expected rank of at most {min(m, n)}, the smaller side of the {m} by {n} weight matrix, "
                         f"got {rank}; beyond it the layer is only slower")


def _pair(name: str, value: int | tuple[int, int], at_least: int = 1) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"LowRankConv2d: expected {name} to be one number or (vertical, horizontal), got {value!r}; "
                         "pass one or two numbers")
    check_integers("LowRankConv2d", at_least=at_least, **{f"{name} (vertical)": pair[0], f"{name} (horizontal)": pair[1]})
    return pair
