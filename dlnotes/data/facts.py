"""What can be known of one picture file without keeping its pixels: size, mode, bits, values, and two fingerprints.

The exact fingerprint is a hash (BLAKE2b) of the upright pixels as colour, so that one picture saved as PNG and as TIFF, or
as grey and as equal colours, is found to be the same. The near one is the difference hash (N. Krawetz, "Kind of Like That",
The Hacker Factor Blog, 2013): 64 bits that say of 8 by 8 places whether it gets brighter to the right; it survives
resizing, JPEG and a change of brightness. Alike are two pictures whose hashes differ in at most 6 bits and whose thumbnails
of 32 by 32 correlate with at least 0.98. The correlation is our addition: hashes alone take one cloudless sky for another.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .files import _on_white, open_picture, picture_size, read_mask

__all__ = ["Facts", "look_alike", "mask_facts", "picture_facts"]

BITS, CORRELATION, THUMB = 6, 0.98, 32
_DEPTH = {"1": 1, "I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16, "I": 16, "F": 32}


@dataclass
class Facts:
    """What is known of one file. Where ``error`` is not empty, nothing else is."""

    path: Path
    error: str = ""
    size: tuple[int, int] = (0, 0)                                  # height, width, upright
    stored: tuple[int, int] = (0, 0)                                # height, width, as stored
    turned: bool = False                                            # EXIF says that the stored picture is not upright
    mode: str = ""                                                  # PIL's
    bits: int = 8
    digest: bytes = b""
    bright: tuple[float, float] = (0.0, 0.0)                        # least and largest value
    hash: int = 0                                                   # difference hash, 64 bits
    thumb: np.ndarray | None = None                                 # 1024 numbers of mean 0 and length 1, None if blank
    values: dict[int, int] = field(default_factory=dict)            # of a mask: pixels by number


def _header(path: Path) -> Facts:
    """Size, mode and bits, from the header."""
    picture = open_picture("check_dataset", path, load=False)
    bits = _DEPTH.get(picture.mode, 8)
    if picture.format == "PNG":
        with open(path, "rb") as file:
            bits = file.read(25)[24]                                # IHDR: PIL reads 16-bit colour as 8 bits
    return Facts(path, size=picture_size(path), stored=picture.size[::-1], turned=picture.info["orientation"] != 1,
                 mode=picture.mode, bits=bits)


def picture_facts(path: Path) -> Facts:
    """Facts of a picture; never raises."""
    try:
        facts = _header(path)
        picture = open_picture("check_dataset", path)
        deep = picture.mode in _DEPTH and picture.mode != "1"
        if deep:
            pixels = np.array(picture).astype(np.float32)                                   # h w
            if not np.isfinite(pixels).all():
                return Facts(path, error="NaN or infinite pixels, which no training survives")
            grey = _grey(pixels)
        else:
            picture = _on_white(picture).convert("RGB")
            pixels = np.asarray(picture)                                                    # h w 3
            grey = picture.convert("L")
        facts.bright = float(pixels.min()), float(pixels.max())
        facts.digest = hashlib.blake2b(repr((pixels.shape, str(pixels.dtype))).encode() + pixels.tobytes(),
                                       digest_size=16).digest()
        facts.hash, facts.thumb = _fingerprint(grey)
        return facts
    except Exception as error:                                      # one bad file must not end the report
        return Facts(path, error=_reason(error))


def mask_facts(path: Path) -> Facts:
    """Facts of a mask; never raises."""
    try:
        facts = _header(path)
        mask = read_mask(path).numpy()                                                      # h w
        numbers, counts = np.unique(mask, return_counts=True)
        facts.values = dict(zip(numbers.tolist(), counts.tolist()))
        facts.digest = hashlib.blake2b(repr(mask.shape).encode() + mask.tobytes(), digest_size=16).digest()
        return facts
    except Exception as error:
        return Facts(path, error=_reason(error))


def _reason(error: Exception) -> str:
    """The part of one of our messages that says what came; or all of a foreign one, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(", got ", 1)[1].split("; ")[0] if ", got " in text else text


def _grey(pixels: np.ndarray):
    """A PIL picture of 8 bits that spans the range of the pixels."""
    from PIL import Image

    low, high = float(pixels.min()), float(pixels.max())
    return Image.fromarray(np.uint8(255 * (pixels - low) / max(high - low, 1e-9)))


def _fingerprint(grey) -> tuple[int, np.ndarray | None]:
    """Difference hash and thumbnail of a grey PIL picture."""
    from PIL import Image

    small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), np.int16)                 # 8 9
    brighter = np.packbits(small[:, 1:] > small[:, :-1])                                    # 8 bytes
    thumb = np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BOX), np.float32).ravel()
    thumb = thumb - thumb.mean()
    length = float(np.linalg.norm(thumb))
    return int.from_bytes(brighter.tobytes(), "big"), thumb / length if length > THUMB else None    # 1 grey level rms


def look_alike(facts: list[Facts]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of pictures that look alike. Blank pictures have nothing to compare and are left out."""
    usable = [i for i, f in enumerate(facts) if f.thumb is not None]
    if len(usable) < 2:
        return []
    hashes = np.array([facts[i].hash for i in usable], np.uint64)
    thumbs = np.stack([facts[i].thumb for i in usable])                                     # n 1024
    pairs = []
    for first, mine in enumerate(hashes[:-1]):
        near = np.flatnonzero(_count_bits(hashes[first + 1:] ^ mine) <= BITS) + first + 1
        near = near[thumbs[near] @ thumbs[first] >= CORRELATION]
        pairs += [(usable[first], usable[other]) for other in near]
    return pairs


def _count_bits(x: np.ndarray) -> np.ndarray:
    """Number of ones in each of n numbers of 64 bits."""
    if hasattr(np, "bitwise_count"):                                # NumPy 2
        return np.bitwise_count(x)
    return np.unpackbits(np.ascontiguousarray(x).view(np.uint8).reshape(len(x), 8), axis=1).sum(axis=1)
