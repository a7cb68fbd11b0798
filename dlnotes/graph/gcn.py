"""Graph convolution: every node takes a weighted mean of itself and its neighbours, and one matrix maps all nodes alike.

Source: Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017: equation 2 is
:class:`GCNLayer`, equation 9 :class:`GCN`. The weight of the edge between i and j is 1 / √(dᵢ dⱼ), with degrees that count a
self-loop: a hub's voice is divided among its many neighbours. An isolated node hears itself alone.
Departures: the adjacency is dense, n by n, where the authors' is sparse; the network returns scores before the softmax.
"""

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_input, check_integers, check_probability

from ._checks import check_adjacency, check_undirected

__all__ = ["GCN", "GCNLayer", "normalized_adjacency"]


def normalized_adjacency(adjacency: torch.Tensor) -> torch.Tensor:
    """D^-1/2 (A + I) D^-1/2, with D the diagonal of the row sums of A + I.

    Args:
        adjacency: (n, n), symmetric, not negative, with zeros on the diagonal.

    Returns:
        (n, n), symmetric; its largest eigenvalue is 1.

    Raises:
        TypeError, ValueError: if it is no such matrix.

    >>> normalized_adjacency(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))     # a pair, and a hermit
    tensor([[0.5000, 0.5000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """
    check_adjacency("normalized_adjacency", adjacency)
    check_undirected("normalized_adjacency", adjacency)
    with_loops = adjacency + torch.eye(len(adjacency), dtype=adjacency.dtype, device=adjacency.device)     # n n
    scale = with_loops.sum(dim=-1).rsqrt()                          # n; a degree is at least 1
    return scale[:, None] * with_loops * scale                      # n n


class GCNLayer(nn.Module):
    """One graph convolution, without its nonlinearity: Â X W (equation 2).

    Args:
        in_features, out_features: width of a node before and after.
        bias: add one number for each output feature; the paper's equation has none.

    Shape: node features (b, n, in_features) and adjacency (n, n) to (b, n, out_features).

    >>> layer = GCNLayer(4, 8)
    >>> layer(torch.randn(2, 5, 4), torch.zeros(5, 5)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = False):
        super().__init__()
        check_integers("GCNLayer", in_features=in_features, out_features=out_features)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_features, out_features)))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        """Mix neighbours.

        Args:
            x: (b, n, in_features).
            adjacency: (n, n) as :func:`normalized_adjacency` takes it: the layer normalises it itself.

        Returns:
            (b, n, out_features).

        Raises:
            TypeError, ValueError: if a shape or dtype does not fit, or the adjacency is no adjacency.
        """
        check_input("GCNLayer", x, "b n c", like=self.weight, c=self.weight.shape[0])
        check_adjacency("GCNLayer", adjacency, x.shape[1], like=x)
        out = normalized_adjacency(adjacency) @ (x @ self.weight)   # b n out
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}, bias={self.bias is not None}"


class GCN(nn.Module):
    """Two graph convolutions that give every node a score for each class: Â ReLU(Â X W₀) W₁ (equation 9).

    Args:
        in_features: width of a node.
        hidden: width between the two.
        num_classes: scores for each node.
        dropout: on what enters each layer, in training.

    Shape: node features (b, n, in_features) and adjacency (n, n) to scores (b, n, num_classes).
    """

    def __init__(self, in_features: int, hidden: int = 16, num_classes: int = 2, dropout: float = 0.5):
        super().__init__()
        check_probability("GCN", dropout=dropout)
        self.dropout = dropout
        self.conv1 = GCNLayer(in_features, hidden)
        self.conv2 = GCNLayer(hidden, num_classes)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        """Scores of the nodes ``x`` (b, n, in_features); arguments and errors as :meth:`GCNLayer.forward`."""
        check_input("GCN", x, "b n c", like=self, c=self.conv1.weight.shape[0])
        x = F.dropout(x, self.dropout, self.training)               # b n in
        x = F.relu(self.conv1(x, adjacency))                        # b n hidden
        x = F.dropout(x, self.dropout, self.training)               # b n hidden
        return self.conv2(x, adjacency)                             # b n classes
