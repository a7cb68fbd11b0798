"""A dialect: the names that somebody else gave to the parameters of a network that we have too."""

import re
from dataclasses import dataclass, field

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect:
    """Rules that turn the keys of a published checkpoint into ours.

    Attributes:
        name: whose names they are: ``"torchvision"``, ``"timm"``, ``"authors"``.
        rules: (pattern, replacement) pairs for :func:`re.sub`, applied one after the other to every key.
        drop: pattern -> reason. Keys (in their own spelling) that match carry nothing the model needs.
        split: pattern (of a translated key) -> the names that share its tensor in equal parts along the first axis. The
            pattern's groups may be used in the names.

    >>> Dialect("theirs", rules=((r"^fc\\.", "head."),)).translate("fc.weight")
    'head.weight'
    """

    name: str
    rules: tuple[tuple[str, str], ...] = ()
    drop: dict[str, str] = field(default_factory=dict)
    split: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def translate(self, key: str) -> str:
        """Our name of a key."""
        for pattern, replacement in self.rules:
            key = re.sub(pattern, replacement, key)
        return key

    def reason_to_drop(self, key: str) -> str | None:
        """Why a key is left out, or None if it is not."""
        return next((reason for pattern, reason in self.drop.items() if re.search(pattern, key)), None)

    def parts(self, key: str) -> list[str]:
        """The names that a translated key's tensor is cut into; the key itself where it is not."""
        for pattern, names in self.split.items():
            match = re.search(pattern, key)
            if match:
                return [key[:match.start()] + match.expand(name) + key[match.end():] for name in names]
        return [key]
