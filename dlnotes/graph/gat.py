"""Graph attention: every node decides for itself how much of each neighbour it takes.

Source: Veličković et al., "Graph Attention Networks", ICLR 2018, equations 1 to 6; the network is that of section 3.3 for
citation graphs. A score is one vector's product with two transformed nodes side by side; it falls into a part for the node
that asks and a part for the one that is asked, so n + n numbers and one broadcast sum make all n² scores. The adjacency
enters as a mask: outside the neighbourhood, to which the node itself belongs, a weight is exactly zero. What an edge weighs
does not matter, and it may lead one way only.
Departures: the adjacency is dense; the layer leaves the nonlinearity to the network, as equation 6 does; no bias after the
sum; the last layer has as many heads as wanted, averaged, and one by default; scores are returned before the softmax.
"""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import nn

from dlnotes._check import check_input, check_integers, check_probability

from ._checks import check_adjacency

__all__ = ["GAT", "GATLayer", "neighbour_attention"]


def neighbour_attention(asking: torch.Tensor, asked: torch.Tensor, adjacency: torch.Tensor,
                        slope: float = 0.2) -> torch.Tensor:
    """Attention weights over neighbours, equation 3: softmax over j of LeakyReLU(asking[i] + asked[j]).

    Args:
        asking: (..., n), what node i contributes to the scores of its row.
        asked: (..., n), what node j contributes to the scores of its column.
        adjacency: (n, n), of the same dtype; entry (i, j) is not zero if i may hear j. Every node hears itself.
        slope: of the LeakyReLU below zero.

    Returns:
        (..., n, n): row i sums to one over the neighbours of i and i itself; the rest is exactly zero.

    Raises:
        TypeError, ValueError: if a shape, dtype or device does not fit.

    >>> pair_and_hermit = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> neighbour_attention(torch.zeros(3), torch.zeros(3), pair_and_hermit)
    tensor([[0.5000, 0.5000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """
    if asking.shape != asked.shape:
        raise ValueError("neighbour_attention: expected asking and asked of one shape (..., n), got "
                         f"{tuple(asking.shape)} and {tuple(asked.shape)}; both have one number for each node")
    check_adjacency("neighbour_attention", adjacency, asking.shape[-1], like=asking)
    scores = F.leaky_relu(asking[..., :, None] + asked[..., None, :], slope)                        # ... n n
    neighbours = (adjacency != 0) | torch.eye(len(adjacency), dtype=torch.bool, device=adjacency.device)        # n n
    return scores.masked_fill(~neighbours, float("-inf")).softmax(dim=-1)                           # ... n n


class GATLayer(nn.Module):
    """One layer of graph attention, without its nonlinearity.

    Args:
        in_features: width of a node before.
        out_features: width of one head.
        heads: attention heads, each with its own matrix.
        concat: lay the heads side by side (equation 5), or average them (equation 6).
        slope: of the LeakyReLU below zero.
        dropout: probability with which an attention weight is set to zero in training.

    Shape: node features (b, n, in_features) and adjacency (n, n) to (b, n, heads · out_features), or (b, n, out_features)
    averaged.

    >>> layer = GATLayer(4, 8, heads=3)
    >>> layer(torch.randn(2, 5, 4), torch.zeros(5, 5)).shape
    torch.Size([2, 5, 24])
    """

    def __init__(self, in_features: int, out_features: int, heads: int = 1, concat: bool = True, slope: float = 0.2,
                 dropout: float = 0.0):
        super().__init__()
        check_integers("GATLayer", in_features=in_features, out_features=out_features, heads=heads)
        check_probability("GATLayer", dropout=dropout)
        self.heads, self.concat, self.slope, self.dropout = heads, concat, slope, dropout
        self.linear = nn.Linear(in_features, heads * out_features, bias=False)                      # W of all heads
        self.asking = nn.Parameter(torch.empty(heads, out_features))                                # first half of a
        self.asked = nn.Parameter(torch.empty(heads, out_features))                                 # second half of a
        for parameter in (self.linear.weight, self.asking, self.asked):
            nn.init.xavier_uniform_(parameter)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        """Attend to neighbours.

        Args:
            x: (b, n, in_features).
            adjacency: (n, n); entry (i, j) is not zero if node i may hear node j.

        Returns:
            (b, n, heads · out_features), or (b, n, out_features) averaged.

        Raises:
            TypeError, ValueError: if a shape, dtype or device does not fit.
        """
        check_input("GATLayer", x, "b n c", like=self, c=self.linear.in_features)
        check_adjacency("GATLayer", adjacency, x.shape[1], like=x)
        h = rearrange(self.linear(x), "b n (heads d) -> b heads n d", heads=self.heads)
        asking = einsum(h, self.asking, "b heads n d, heads d -> b heads n")
        asked = einsum(h, self.asked, "b heads n d, heads d -> b heads n")
        weights = neighbour_attention(asking, asked, adjacency, self.slope)                         # b heads n n
        out = F.dropout(weights, self.dropout, self.training) @ h                                   # b heads n d
        return rearrange(out, "b heads n d -> b n (heads d)") if self.concat else out.mean(dim=1)   # b n d

    def extra_repr(self) -> str:
        return f"heads={self.heads}, concat={self.concat}, slope={self.slope}, dropout={self.dropout}"


class GAT(nn.Module):
    """Two layers of graph attention that give every node a score for each class, with an ELU between them (section 3.3).

    Args:
        in_features: width of a node.
        hidden: width of one head of the first layer.
        num_classes: scores for each node.
        heads: of the first layer, side by side.
        out_heads: of the second, averaged.
        dropout: on what enters each layer and on the attention weights, in training.

    Shape: node features (b, n, in_features) and adjacency (n, n) to scores (b, n, num_classes).
    """

    def __init__(self, in_features: int, hidden: int = 8, num_classes: int = 2, heads: int = 8, out_heads: int = 1,
                 dropout: float = 0.6):
        super().__init__()
        self.dropout = dropout
        self.attention1 = GATLayer(in_features, hidden, heads, dropout=dropout)
        self.attention2 = GATLayer(heads * hidden, num_classes, out_heads, concat=False, dropout=dropout)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        """Scores of the nodes ``x`` (b, n, in_features); arguments and errors as :meth:`GATLayer.forward`."""
        first = self.attention1.linear
        check_input("GAT", x, "b n c", like=first.weight, c=first.in_features)
        x = F.dropout(x, self.dropout, self.training)               # b n in
        x = F.elu(self.attention1(x, adjacency))                    # b n (heads hidden)
        x = F.dropout(x, self.dropout, self.training)               # b n (heads hidden)
        return self.attention2(x, adjacency)                        # b n classes
