"""Networks on graphs: convolution over neighbours (:mod:`~dlnotes.graph.gcn`), attention over neighbours
(:mod:`~dlnotes.graph.gat`), and a real graph of 34 people to try them on (:mod:`~dlnotes.graph.karate`).

A graph of n nodes is its adjacency matrix (n, n): ``adjacency[i, j]`` is the weight of the edge between i and j, zero where
there is none. GCN asks for a symmetric one; for GAT an edge may lead one way. Node features are (b, n, d), one row for each
node.
"""

from .gat import GAT, GATLayer, neighbour_attention
from .gcn import GCN, GCNLayer, normalized_adjacency
from .karate import KARATE_EDGES, KarateClub, karate_club

__all__ = ["GAT", "GATLayer", "GCN", "GCNLayer", "KARATE_EDGES", "KarateClub", "karate_club", "neighbour_attention",
           "normalized_adjacency"]
