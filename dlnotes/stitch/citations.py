"""Who is to be cited for a network: every part that was borrowed, and a refusal where nobody knows.

A class of PyTorch itself, a sum or a concatenation needs no reference. A class of this package has its paper in the tables
below. Anything else was made by you or taken from somebody, and only you can say which.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from torch import nn

from .registry import STITCHABLE
from .ways import Stitch

__all__ = ["OWN", "bibtex", "cite", "known_citations"]

OWN = "own"
"""What to pass as ``citation`` for a module that you invented."""

_WITHOUT_PAPER = {"dlnotes.models.cnn:SimpleCNN", "dlnotes.stitch.layout:OnTokens", "dlnotes.stitch.layout:OnChannelsLast"}

_BACKBONES = {
    "dlnotes.models.lenet:LeNet5": "lecun1998gradient",
    "dlnotes.models.mobilenet:MobileNetV2": "sandler2018mobilenetv2",
    "dlnotes.models.shufflenet:ShuffleNetV2": "ma2018shufflenet",
    "dlnotes.models.efficientnet:EfficientNet": "tan2019efficientnet tan2021efficientnetv2",
    "dlnotes.models.hybridsn:HybridSN": "roy2020hybridsn",
    "dlnotes.models.unet:UNet": "ronneberger2015unet",
    "dlnotes.models.unet_2015:UNet2015": "ronneberger2015unet",
    "dlnotes.models.unet_stitched:StitchedUNet": "ronneberger2015unet",
    "dlnotes.models.unet_transformer:UNetTransformer": "ronneberger2015unet vaswani2017attention",
    "dlnotes.models.resnet:ResNet": "he2016deep",
    "dlnotes.models.resnext:ResNeXt": "xie2017aggregated",
    "dlnotes.models.resnest:ResNeSt": "zhang2020resnest",
    "dlnotes.models.se_resnet:SEResNet": "he2016deep hu2018squeeze",
    "dlnotes.models.sknet:SKNet": "li2019selective",
    "dlnotes.models.cbam_resnet:CBAMResNet": "he2016deep woo2018cbam",
    "dlnotes.models.eca_resnet:ECAResNet": "he2016deep wang2020eca",
    "dlnotes.models.convnext:ConvNeXt": "liu2022convnet",
    "dlnotes.models.vit:VisionTransformer": "dosovitskiy2021image touvron2021training",
    "dlnotes.models.swin:SwinTransformer": "liu2021swin",
    "dlnotes.models.transformer:Transformer": "vaswani2017attention",
    "dlnotes.models.restormer:Restormer": "zamir2022restormer",
    "dlnotes.models.safmn:SAFMN": "sun2023spatially",
    "dlnotes.models.camixersr:CAMixerSR": "wang2024camixersr",
    "dlnotes.models.hcanet:HCANet": "hu2024hybrid",
    "dlnotes.models.oknet:OKNet": "cui2024omni",
    "dlnotes.models.dea_net:DEANet": "chen2024dea",
    "dlnotes.models.acm_unet:ACMUNet": "dai2021asymmetric",
    "dlnotes.models.dnanet:DNANet": "li2023dense",
    "dlnotes.models.danet:DANetHead": "fu2019dual",
    "dlnotes.restoration.cga:ContentGuidedAttention": "chen2024dea",
    "dlnotes.restoration.deconv:DetailEnhancedConv": "chen2024dea",
    "dlnotes.attention.multi_head:MultiHeadAttention": "vaswani2017attention",
    "dlnotes.attention.window:WindowAttention": "liu2021swin",
    "dlnotes.fourier.modules:GlobalFilter": "rao2021global",
    "torchvision.models.resnet:ResNet": "he2016deep",
    "torchvision.models.vision_transformer:VisionTransformer": "dosovitskiy2021image",
    "torchvision.models.swin_transformer:SwinTransformer": "liu2021swin",
    "torchvision.models.convnext:ConvNeXt": "liu2022convnet",
    "torchvision.models.mobilenetv2:MobileNetV2": "sandler2018mobilenetv2",
    "timm.models.resnet:ResNet": "he2016deep",
    "timm.models.vision_transformer:VisionTransformer": "dosovitskiy2021image",
    "timm.models.swin_transformer:SwinTransformer": "liu2021swin",
    "timm.models.convnext:ConvNeXt": "liu2022convnet",
}


def known_citations(cls: type) -> tuple[str, ...] | None:
    """Keys to cite for a class, () where there is nothing to cite, None where nobody knows."""
    home = f"{cls.__module__}:{cls.__qualname__}"
    if home in _BACKBONES:
        return tuple(_BACKBONES[home].split())
    entry = next((entry for entry in STITCHABLE.values() if entry.home == home), None)
    if entry is not None:
        return entry.cite
    return () if cls.__module__.startswith("torch.nn.") or home in _WITHOUT_PAPER else None


def cite(model: nn.Module, citation: str | Iterable[str] = ()) -> tuple[str, ...]:
    """What to cite for a network and everything that was stitched into it.

    Args:
        model: any network.
        citation: what to cite for the classes that are not known here: keys, BibTeX entries, or ``"own"`` if they are yours.

    Returns:
        Keys of the package's bibliography and whole entries that were passed, each once, in order of appearance. See
        :func:`bibtex`.

    Raises:
        ValueError: if a class is unknown and no ``citation`` was given for it.

    >>> from dlnotes.models import create
    >>> cite(create("unet", width=4, depth=2))
    ('ronneberger2015unet',)
    """
    given = _as_tuple(citation)
    found, unknown = [*given], []
    _collect(model, "", bool(given), found, unknown)
    if unknown:
        raise ValueError(f"cite: expected to know the source of every module, got {', '.join(unknown)}; pass citation= with "
                         f"a key, a BibTeX entry, or {OWN!r} if it is yours")
    bibtex(found)                                                   # refuses what is neither a key nor an entry
    return tuple(dict.fromkeys(key for key in found if key != OWN))


def _as_tuple(citation: str | Iterable[str]) -> tuple[str, ...]:
    return (citation,) if isinstance(citation, str) else tuple(citation)


def _collect(module: nn.Module, name: str, covered: bool, found: list[str], unknown: list[str]) -> None:
    """Walk down; ``covered`` says that an enclosing class has been cited, so that its helpers need no reference."""
    if isinstance(module, Stitch):
        if module.place is not None:
            _collect(module.place, name, covered, found, unknown)
        found += [*module.citation, *(["bachlechner2021rezero"] if module.gamma is not None else [])]
        _collect(module.inserted, f"{name}.inserted".lstrip("."), bool(module.citation), found, unknown)
        return
    keys = known_citations(type(module))
    if keys is None and not covered:
        unknown.append(f"{type(module).__name__} at {name!r}" if name else type(module).__name__)
    found += keys or ()
    covered = covered or bool(keys) or keys is None
    for child, part in module.named_children():
        _collect(part, f"{name}.{child}".lstrip("."), covered, found, unknown)


def bibtex(keys: Iterable[str]) -> str:
    """BibTeX entries, sorted by key.

    Args:
        keys: keys of the package's bibliography, or whole entries, which are passed through.

    Raises:
        ValueError: if a key is not in the bibliography.

    >>> print(bibtex(["hu2018squeeze"]).splitlines()[0])
    @inproceedings{hu2018squeeze,
    """
    entries = {}
    for key in keys:
        if key.lstrip().startswith("@"):
            entries[key_of(key)] = key.strip()
        elif key in _bibliography():
            entries[key] = _bibliography()[key]
        elif key != OWN:
            raise ValueError(f"bibtex: expected a key of the package's bibliography, got {key!r}; pass the whole entry, "
                             "beginning with @")
    return "\n\n".join(entries[key] for key in sorted(entries))


def key_of(citation: str) -> str:
    """The key of an entry; a key is its own."""
    match = re.match(r"\s*@\w+\s*\{\s*([^,\s]+)\s*,", citation)
    if citation.lstrip().startswith("@") and match is None:
        raise ValueError(f"bibtex: expected an entry such as @article{{key, title = ...}}, got {citation[:40]!r}; "
                         "give it a key")
    return match.group(1) if match else citation


@cache
def _bibliography() -> dict[str, str]:
    text = Path(__file__).with_name("citations.bib").read_text(encoding="utf-8")
    return {key_of(entry): entry for entry in text.strip().split("\n\n")}
