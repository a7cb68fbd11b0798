"""Modules of the package that can be stitched into a network: by name, with settings that suit a width, and with the paper.

Every entry takes maps (b, c, h, w) to maps of the same shape; the fusions take two. The classes are imported when they are
first asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from math import gcd

from torch import nn

__all__ = ["STITCHABLE", "Stitchable", "build", "entry_of", "stitchable"]


@dataclass(frozen=True)
class Stitchable:
    """One module of the package.

    Attributes:
        home: module and class, ``"dlnotes.attention:ECA"``.
        cite: keys of what to cite for it; empty where there is nothing to cite, such as a sum.
        settings: channels -> arguments of the class.
        inputs: maps that it takes.
    """

    home: str
    cite: tuple[str, ...]
    settings: Callable[[int], dict] = lambda c: {"channels": c}
    inputs: int = 1

    def load(self) -> type[nn.Module]:
        """The class."""
        module, name = self.home.split(":")
        return getattr(import_module(module), name)


def _narrowing(factor: int) -> Callable[[int], dict]:
    """The paper's reduction, or for narrow or odd widths the largest that divides the channels."""
    return lambda c: {"channels": c, "reduction": gcd(c, factor)}


def _eca(c: int) -> dict:
    from dlnotes.attention.eca import eca_kernel_size
    return {"kernel_size": eca_kernel_size(c)}


STITCHABLE: dict[str, Stitchable] = {
    # attention over channels, places, both
    "se": Stitchable("dlnotes.attention.squeeze_excitation:SqueezeExcitation", ("hu2018squeeze",), _narrowing(16)),
    "eca": Stitchable("dlnotes.attention.eca:ECA", ("wang2020eca",), _eca),
    "cbam": Stitchable("dlnotes.attention.cbam:CBAM", ("woo2018cbam",), _narrowing(16)),
    "channel_attention": Stitchable("dlnotes.attention.cbam:ChannelAttention", ("woo2018cbam",), _narrowing(16)),
    "spatial_attention": Stitchable("dlnotes.attention.cbam:SpatialAttention", ("woo2018cbam",), lambda c: {}),
    "coordinate": Stitchable("dlnotes.attention.coordinate:CoordinateAttention", ("hou2021coordinate",)),
    "selective_kernel": Stitchable("dlnotes.attention.selective_kernel:SelectiveKernel", ("li2019selective",),
                                   lambda c: {"channels": c, "groups": gcd(c, 32)}),
    "non_local": Stitchable("dlnotes.attention.non_local:NonLocal", ("wang2018nonlocal",)),
    "position_attention": Stitchable("dlnotes.attention.dual:PositionAttention", ("fu2019dual",), _narrowing(8)),
    "channel_affinity": Stitchable("dlnotes.attention.dual:ChannelAffinity", ("fu2019dual",), lambda c: {}),
    # restoration
    "mdta": Stitchable("dlnotes.restoration.mdta:MDTA", ("zamir2022restormer",), lambda c: {"channels": c, "heads": 1}),
    "gdfn": Stitchable("dlnotes.restoration.gdfn:GDFN", ("zamir2022restormer",)),
    "safm": Stitchable("dlnotes.restoration.safm:SAFM", ("sun2023spatially",)),
    "ccm": Stitchable("dlnotes.restoration.ccm:CCM", ("sun2023spatially",)),
    "okm": Stitchable("dlnotes.restoration.okm:OmniKernel", ("cui2024omni",)),
    "frequency_gate": Stitchable("dlnotes.fourier.modules:FrequencyGate", ("cui2024omni",), lambda c: {"c": c}),
    "dual_domain": Stitchable("dlnotes.fourier.modules:DualDomainAttention", ("cui2024omni",), lambda c: {"c": c}),
    "cafm": Stitchable("dlnotes.restoration.cafm:CAFM", ("hu2024hybrid",), lambda c: {"channels": c, "heads": 1}),
    "msfn": Stitchable("dlnotes.restoration.msfn:MSFN", ("hu2024hybrid",)),
    "deb": Stitchable("dlnotes.restoration.deab:DEB", ("chen2024dea",)),
    "deab": Stitchable("dlnotes.restoration.deab:DEAB", ("chen2024dea",), _narrowing(8)),
    "csam": Stitchable("dlnotes.small_target.csam:CSAM", ("li2023dense",), _narrowing(16)),
    "aspp": Stitchable("dlnotes.fusion.context:ASPP", ("chen2017rethinking",), lambda c: {"channels": c, "out_channels": c}),
    # fusion of two maps
    "add_fusion": Stitchable("dlnotes.fusion.sums:AddFusion", (), inputs=2),
    "concat_fusion": Stitchable("dlnotes.fusion.sums:ConcatFusion", (), inputs=2),
    "weighted_fusion": Stitchable("dlnotes.fusion.sums:WeightedFusion", ("tan2020efficientdet",), inputs=2),
    "cascade_fusion": Stitchable("dlnotes.fusion.sums:CascadeFusion", ("zhao2018icnet",), inputs=2),
    "gated_fusion": Stitchable("dlnotes.fusion.gated:GatedFusion", ("arevalo2017gated",), inputs=2),
    "gru_fusion": Stitchable("dlnotes.fusion.gated:GRUFusion", ("cho2014learning", "ballas2016delving"), inputs=2),
    "attention_fusion": Stitchable("dlnotes.fusion.cross_attention:AttentionFusion",
                                   ("vaswani2017attention", "lu2019vilbert"),
                                   lambda c: {"channels": c, "heads": gcd(c, 4)}, inputs=2),
    "hyper_fusion": Stitchable("dlnotes.fusion.generated:HyperFusion", ("ha2017hypernetworks", "debrabandere2016dynamic"),
                               _narrowing(4), inputs=2),
    "cga_fusion": Stitchable("dlnotes.restoration.cga:CGAFusion", ("chen2024dea",), _narrowing(8), inputs=2),
    "acm": Stitchable("dlnotes.small_target.acm:AsymmetricModulation", ("dai2021asymmetric",), _narrowing(4), inputs=2),
}


def stitchable(inputs: int | None = None) -> list[str]:
    """Names that ``insert`` knows, in alphabetical order.

    Args:
        inputs: only modules that take so many maps: 1, or 2 for the fusions.

    >>> stitchable(inputs=2)[:3]
    ['acm', 'add_fusion', 'attention_fusion']
    """
    return sorted(name for name, entry in STITCHABLE.items() if inputs in (None, entry.inputs))


def build(name: str, channels: int, settings: Mapping | None = None) -> nn.Module:
    """A fresh module of that name for so many channels.

    Args:
        name: one of :func:`stitchable`.
        channels: of the map, or of each of the two.
        settings: arguments of the class that replace those chosen for the width.

    Raises:
        ValueError: if there is no such name, or the class refuses the settings.

    >>> sum(p.numel() for p in build("se", 64).parameters()), sum(p.numel() for p in build("eca", 256).parameters())
    (580, 5)
    """
    if name not in STITCHABLE:
        near = get_close_matches(str(name), STITCHABLE, n=3, cutoff=0.4)
        raise ValueError(f"insert: expected the name of a stitchable module, got {name!r}; "
                         + (f"did you mean {' or '.join(near)}" if near else f"the names are {', '.join(stitchable())}"))
    entry = STITCHABLE[name]
    return entry.load()(**{**entry.settings(channels), **(settings or {})})


def entry_of(cls: type) -> str | None:
    """The name under which a class is registered, or None."""
    return next((name for name, entry in STITCHABLE.items() if entry.home == f"{cls.__module__}:{cls.__qualname__}"), None)
