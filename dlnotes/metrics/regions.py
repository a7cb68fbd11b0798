"""Detection of small targets: how many of the objects were found, and how many pixels cried wolf.

A target of nine pixels in a picture of 65,536 hardly moves any score of pixels; whoever looks for targets counts targets.
Both masks are cut into connected components, and each true one may be matched with one predicted one that lies close: their
centroids less than ``distance`` apart. Pd is matched targets over true targets; Fa is pixels of unmatched predicted
components over all pixels.

Source: Li et al., "Dense Nested Attention Network for Infrared Small Target Detection", IEEE TIP 32, 2023, section IV-A
(Pd, Fa, centroids less than 3 pixels apart). Departure: the matching is one to one and the best possible (most pairs, then
least total distance). A loop over the true targets that takes the first close component can give one component away twice,
and one that compares areas or sizes of components matches blobs that lie far apart.
"""

import torch

from dlnotes._check import check_choice

from ._streaming import Metric, ratio

__all__ = ["RegionDetection", "match_regions"]


def match_regions(prediction: torch.Tensor, target: torch.Tensor, *, distance: float = 3.0,
                  connectivity: int = 8) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Connected components of one predicted and one true mask, matched.

    Args:
        prediction: (h, w), boolean or 0 and 1.
        target: (h, w), boolean or 0 and 1.
        distance: centroids of a pair lie less than this apart, in pixels.
        connectivity: 8, neighbours over corners too, or 4.

    Returns:
        The matched pairs (number of the predicted component, number of the true one), the pixels of each predicted component
        and the pixels of each true one. Components are numbered from 0, in the order of their first pixel.

    Raises:
        ValueError: if shapes or settings do not fit.

    >>> said, true = torch.zeros(8, 16, dtype=torch.bool), torch.zeros(8, 16, dtype=torch.bool)
    >>> said[1:3, 1:3] = True; true[1:3, 12:14] = True          # equal blobs, far apart
    >>> match_regions(said, true)                               # a false alarm and a miss
    ([], [4], [4])
    """
    import numpy as np
    from scipy.ndimage import center_of_mass, label
    from scipy.optimize import linear_sum_assignment

    check_choice("match_regions", (4, 8), connectivity=connectivity)
    for name, x in (("prediction", prediction), ("target", target)):
        if not isinstance(x, torch.Tensor) or x.ndim != 2:
            came = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"match_regions: expected the {name} to be one mask (h, w), got {came}; loop over the batch")
    if prediction.shape != target.shape:
        raise ValueError(f"match_regions: expected masks of one size, got {tuple(prediction.shape)} and {tuple(target.shape)}; "
                         "resize the prediction first")
    if not distance > 0:
        raise ValueError(f"match_regions: expected a distance above 0 pixels, got {distance!r}; 3 is usual")
    structure = np.ones((3, 3)) if connectivity == 8 else None
    maps, centres, pixels = [], [], []
    for x in (prediction, target):
        components, count = label(x.detach().cpu().numpy() > 0, structure)      # h w, numbers from 1
        maps.append(components)
        pixels.append(np.bincount(components.ravel(), minlength=count + 1)[1:].tolist())
        centres.append(np.array(center_of_mass(components > 0, components, range(1, count + 1))).reshape(count, 2))
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None, :], axis=-1)  # predicted true
    cost = np.where(apart < distance, apart, 1e6)                               # a far pair only where nothing else is left
    pairs = [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(cost)) if apart[i, j] < distance]
    return pairs, pixels[0], pixels[1]


class RegionDetection(Metric):
    """Pd and Fa over pictures of a batch, a set, several processes.

    Args:
        distance: see :func:`match_regions`.
        connectivity: see :func:`match_regions`.

    >>> seen = RegionDetection()
    >>> true = torch.zeros(1, 16, 16, dtype=torch.bool); true[0, 4:6, 4:6] = True; true[0, 12, 12] = True
    >>> said = torch.zeros(1, 16, 16, dtype=torch.bool); said[0, 4:6, 5:7] = True; said[0, 0, 15] = True
    >>> seen.update(said, true)
    >>> {name: round(value, 5) for name, value in seen.compute().items()}
    {'pd': 0.5, 'fa': 0.00391}
    """

    def __init__(self, distance: float = 3.0, connectivity: int = 8):
        self.distance, self.connectivity = distance, connectivity
        zero = torch.zeros((), dtype=torch.int64)
        super().__init__(found=zero, targets=zero, alarm_pixels=zero, pixels=zero)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Match a batch.

        Args:
            prediction: (b, h, w), boolean or 0 and 1, or logits (b, 1, h, w), positive meaning target.
            target: (b, h, w), boolean or 0 and 1.

        Raises:
            ValueError: if shapes do not fit.
        """
        if isinstance(prediction, torch.Tensor) and prediction.ndim == 4 and prediction.shape[1] == 1:
            prediction = prediction[:, 0] > 0                                   # b h w
        if getattr(prediction, "shape", None) != getattr(target, "shape", ()) or prediction.ndim != 3:
            came = [tuple(getattr(x, "shape", ())) for x in (prediction, target)]
            raise ValueError(f"RegionDetection: expected masks (b, h, w), or logits (b, 1, h, w) and masks (b, h, w), got "
                             f"{came[0]} and {came[1]}; target.squeeze(1) drops a channel axis")
        if prediction.is_floating_point() and ((prediction != 0) & (prediction != 1)).any():
            raise ValueError("RegionDetection: expected a mask of 0 and 1, got other numbers; threshold first, or pass "
                             "logits of shape (b, 1, h, w)")
        for said, true in zip(prediction, target):
            pairs, areas, targets = match_regions(said, true, distance=self.distance, connectivity=self.connectivity)
            taken = {i for i, _ in pairs}
            self._add(found=torch.tensor(len(pairs)), targets=torch.tensor(len(targets)), pixels=torch.tensor(true.numel()),
                      alarm_pixels=torch.tensor(sum(area for i, area in enumerate(areas) if i not in taken)))

    def compute(self) -> dict[str, float]:
        """``pd``, found over true targets, and ``fa``, false-alarm pixels over all pixels; NaN where there were none."""
        return {"pd": ratio(self.sums["found"], self.sums["targets"]).item(),
                "fa": ratio(self.sums["alarm_pixels"], self.sums["pixels"]).item()}
