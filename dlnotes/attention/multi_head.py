"""Multi-head attention: several small attentions side by side, each over all tokens, each in its own projection.

Source: Vaswani et al., NeurIPS 2017, section 3.2.2. Width ``dim`` is cut into ``heads`` pieces of ``dim // heads``, and
the scores are divided by √(dim // heads): the width of one head, not of the token. Without ``context`` it is
self-attention; with it, queries come from ``x``, keys and values from ``context`` (cross-attention).
"""

import torch
from einops import rearrange
from torch import nn

from dlnotes._check import check_input

from ._check import check_count
from .scaled_dot_product import attention

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(nn.Module):
    """Multi-head self- or cross-attention, batch first.

    Args:
        dim: width of ``x`` and of the output, divisible by ``heads``.
        heads: number of heads.
        dim_context: width of ``context``; ``dim`` when None.
        bias: give each of the four linear maps a bias.
        dropout: probability with which an attention weight is set to zero in training.

    Raises:
        ValueError: if a size is not a positive integer, ``dim`` not divisible by ``heads``, or ``dropout`` not in [0, 1).

    >>> layer = MultiHeadAttention(dim=32, heads=4)
    >>> layer(torch.randn(2, 10, 32)).shape
    torch.Size([2, 10, 32])
    >>> sum(p.numel() for p in layer.parameters()) == 4 * 32**2 + 4 * 32        # the number of heads does not enter
    True
    """

    def __init__(self, dim: int, heads: int, *, dim_context: int | None = None, bias: bool = True, dropout: float = 0.0):
        super().__init__()
        dim_context = dim if dim_context is None else dim_context
        check_count("MultiHeadAttention", dim=dim, heads=heads, dim_context=dim_context)
        if dim % heads:
            raise ValueError(f"MultiHeadAttention: expected dim divisible by heads, got dim={dim}, heads={heads}; "
                             f"choose dim as a multiple of {heads}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"MultiHeadAttention: expected dropout in [0, 1), got {dropout}; 0.0 switches it off")
        self.dim, self.dim_context, self.heads, self.dropout = dim, dim_context, heads, dropout
        self.q_proj = nn.Linear(dim, dim, bias=bias)
        self.k_proj = nn.Linear(dim_context, dim, bias=bias)
        self.v_proj = nn.Linear(dim_context, dim, bias=bias)
        self.out_proj = nn.Linear(dim, dim, bias=bias)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None,
                mask: torch.Tensor | None = None) -> torch.Tensor:
        """Attend from ``x`` to ``context`` (to ``x`` itself when None).

        Args:
            x: (b, n, dim).
            context: (b, m, dim_context).
            mask: broadcasts to (b, heads, n, m): for example (n, m) or (b, 1, 1, m). Boolean: True = may attend.
                Of x's dtype: added to the scores.

        Returns:
            (b, n, dim).

        Raises:
            ValueError: if a shape does not fit.
        """
        context = x if context is None else context
        for name, tensor, width in (("x", x, self.dim), ("context", context, self.dim_context)):
            check_input(f"MultiHeadAttention, {name}", tensor, "b tokens d", d=width, like=self)
        if x.shape[0] != context.shape[0]:
            raise ValueError("MultiHeadAttention: expected x and context with the same batch size, "
                             f"got {tuple(x.shape)} and {tuple(context.shape)}; expand one of them first")
        if mask is not None and mask.ndim == 3:
            raise ValueError("MultiHeadAttention: expected a mask (n, m) or (b, heads, n, m), with 1 where it broadcasts, "
                             f"got {tuple(mask.shape)}; write mask[:, None] for one mask per sample")
        q = rearrange(self.q_proj(x), "b n (heads d) -> b heads n d", heads=self.heads)
        k = rearrange(self.k_proj(context), "b m (heads d) -> b heads m d", heads=self.heads)
        v = rearrange(self.v_proj(context), "b m (heads d) -> b heads m d", heads=self.heads)
        out = attention(q, k, v, mask, dropout=self.dropout if self.training else 0.0)      # b heads n d
        return self.out_proj(rearrange(out, "b heads n d -> b n (heads d)"))                # b n dim

    @classmethod
    def from_torch(cls, layer: nn.MultiheadAttention) -> "MultiHeadAttention":
        """Our layer with a copy of the weights of PyTorch's.

        Ours is batch first whatever ``layer.batch_first`` says, and its boolean masks mean the opposite of PyTorch's.

        Args:
            layer: any ``nn.MultiheadAttention`` whose keys and values have the same width.

        Raises:
            TypeError: if ``layer`` is something else.
            ValueError: if it has ``kdim != vdim``, ``add_bias_kv`` or ``add_zero_attn``, which ours does not offer.

        >>> theirs = nn.MultiheadAttention(16, 2, batch_first=True)
        >>> x = torch.randn(3, 5, 16)
        >>> torch.allclose(MultiHeadAttention.from_torch(theirs)(x), theirs(x, x, x)[0], atol=1e-6)
        True
        """
        if not isinstance(layer, nn.MultiheadAttention):
            raise TypeError(f"MultiHeadAttention.from_torch: expected an nn.MultiheadAttention, got {type(layer).__name__}; "
                            "pass that layer of the model, not the model")
        if layer.kdim != layer.vdim:
            raise ValueError("MultiHeadAttention.from_torch: expected keys and values of the same width, "
                             f"got kdim={layer.kdim}, vdim={layer.vdim}; project one of them first")
        if layer.bias_k is not None or layer.add_zero_attn:
            raise ValueError("MultiHeadAttention.from_torch: expected a layer without add_bias_kv and add_zero_attn, "
                             f"got bias_k of type {type(layer.bias_k).__name__}, add_zero_attn={layer.add_zero_attn}; "
                             "ours offers neither")
        weight, bias = layer.out_proj.weight, layer.in_proj_bias
        ours = cls(layer.embed_dim, layer.num_heads, dim_context=layer.kdim, bias=bias is not None, dropout=layer.dropout)
        ours = ours.to(device=weight.device, dtype=weight.dtype).train(layer.training)
        if layer.in_proj_weight is not None:                        # one (3 dim, dim) matrix holds all three
            weights = layer.in_proj_weight.chunk(3)
        else:
            weights = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        with torch.no_grad():
            for i, ours_i in enumerate((ours.q_proj, ours.k_proj, ours.v_proj)):
                ours_i.weight.copy_(weights[i])
                if bias is not None:
                    ours_i.bias.copy_(bias.chunk(3)[i])
            ours.out_proj.weight.copy_(weight)
            if bias is not None:
                ours.out_proj.bias.copy_(layer.out_proj.bias)
        return ours
