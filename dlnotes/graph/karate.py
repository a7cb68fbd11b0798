"""A real graph: 34 members of a karate club, the 78 pairs that met outside it, and the two clubs that it fell into.

Source: Zachary, "An Information Flow Model for Conflict and Fission in Small Groups", Journal of Anthropological Research
33, 1977: the edges are those of his matrix of relations, the clubs those that members joined after the split (table 3).
Members count from 0 here, from 1 there: 0 is the instructor ("Mr. Hi"), 33 the officer ("John A."). Member 8 is the famous
one: most of his friends left with the officer, and he stayed with Mr. Hi, three weeks before his black belt.
"""

from dataclasses import dataclass

import torch

__all__ = ["KARATE_EDGES", "KarateClub", "karate_club"]

# member -> the members of higher number that he met
_MET = {
    0: (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31), 1: (2, 3, 7, 13, 17, 19, 21, 30),
    2: (3, 7, 8, 9, 13, 27, 28, 32), 3: (7, 12, 13), 4: (6, 10), 5: (6, 10, 16), 6: (16,), 8: (30, 32, 33), 9: (33,),
    13: (33,), 14: (32, 33), 15: (32, 33), 18: (32, 33), 19: (33,), 20: (32, 33), 22: (32, 33), 23: (25, 27, 29, 32, 33),
    24: (25, 27, 31), 25: (31,), 26: (29, 33), 27: (33,), 28: (31, 33), 29: (32, 33), 30: (32, 33), 31: (32, 33), 32: (33,),
}
KARATE_EDGES: tuple[tuple[int, int], ...] = tuple((i, j) for i, friends in _MET.items() for j in friends)
_WITH_HI = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21)


@dataclass(frozen=True)
class KarateClub:
    """The graph as tensors.

    Attributes:
        features: (1, 34, 34), the identity: nothing is known of a member but who it is.
        adjacency: (34, 34), ones for the 78 edges in both directions.
        clubs: (34,) int64, 0 with Mr. Hi and 1 with the officer.
        leaders: (2,) int64, the members 0 and 33: with their two labels the others can be told.
    """

    features: torch.Tensor
    adjacency: torch.Tensor
    clubs: torch.Tensor
    leaders: torch.Tensor


def karate_club(dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> KarateClub:
    """Zachary's karate club.

    >>> club = karate_club()
    >>> int(club.adjacency.sum()) // 2, club.clubs.bincount().tolist()
    (78, [17, 17])
    """
    adjacency = torch.zeros(34, 34, dtype=dtype, device=device)
    i, j = torch.tensor(KARATE_EDGES, device=device).T              # 78 each
    adjacency[i, j] = 1
    adjacency[j, i] = 1
    clubs = torch.ones(34, dtype=torch.int64, device=device)
    clubs[list(_WITH_HI)] = 0
    features = torch.eye(34, dtype=dtype, device=device)[None]      # 1 n n
    return KarateClub(features, adjacency, clubs, leaders=torch.tensor([0, 33], device=device))
