"""The questions that ``check_dataset`` asks, in groups: files, names, lists, pairs, numbers in masks, duplicates.

Each looks at facts that were read before (``facts``) and at what the folder holds (``layouts``); none opens a file.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from .facts import Facts, look_alike
from .layouts import Survey
from .report import Finding

__all__ = ["Defects"]

_ALL_PAIRS = 20_000                                                 # pictures; near duplicates compare each with each


class Defects:
    """One method for each group of questions; all add to ``findings``."""

    def __init__(self, found: Survey):
        self.found, self.findings = found, []
        unions = {"trainval", "trainvaltest"} if "train" in found.splits else set()
        self.splits = {split: names for split, names in found.splits.items() if split not in unions}
        self.split_of: dict[str, set[str]] = defaultdict(set)
        for split, names in self.splits.items():
            for name in names:
                self.split_of[name].add(split)

    def add(self, kind: str, files: Iterable[Path | str] = (), detail: str = "") -> None:
        shown = tuple(p.relative_to(self.found.root).as_posix() if isinstance(p, Path) else p for p in files)
        self.findings.append(Finding(kind, shown, detail))

    def files(self, pictures: dict[str, list[Facts]], masks: dict[str, list[Facts]]) -> None:
        """Unreadable, turned, blank; modes and bits that differ."""
        for facts in (f for group in (pictures, masks) for many in group.values() for f in many):
            if facts.error:
                kind = "unexpected mask value" if "in colours" in facts.error else "unreadable"
                self.add(kind, [facts.path], facts.error)
        for what, group in (("pictures", pictures), ("masks", masks)):
            good = [f for many in group.values() for f in many if not f.error]
            for kind, of in (("mixed modes", lambda f: f.mode), ("mixed bit depths", lambda f: f"{f.bits} bits")):
                count = Counter(map(of, good))
                if len(count) > 1:
                    usual = count.most_common(1)[0][0]
                    self.add(kind, [f.path for f in good if of(f) != usual],
                             f"{what}: " + ", ".join(f"{n} × {name}" for name, n in count.most_common()))
            for f in good:
                if f.turned:
                    self.add("turned picture", [f.path])
                if what == "pictures" and f.bright[0] == f.bright[1]:
                    self.add("blank picture", [f.path], f"all pixels {f.bright[0]:g}")
        for path in self.found.others:
            self.add("other file", [path])

    def names(self) -> None:
        """Names that trip scripts or file systems."""
        files = [path for group in (self.found.pictures, self.found.masks) for many in group.values() for path in many]
        alike = defaultdict(list)
        for path in files:
            name = path.relative_to(self.found.root).as_posix()
            alike[unicodedata.normalize("NFC", name).casefold()].append(path)
            why = [what for what, is_so in (
                ("non-ASCII characters", not name.isascii()),
                ("spaces", any(c.isspace() for c in name)),
                ("characters that Windows forbids", any(c in '<>:"|?*\\' or ord(c) < 32 for c in name)),
                ("a name that Windows reserves", path.stem.upper() in ("CON", "PRN", "AUX", "NUL"))) if is_so]
            if why:
                self.add("odd name", [path], ", ".join(why))
        for paths in alike.values():
            if len(paths) > 1:
                self.add("name collision", paths)
        for group in (self.found.masks, self.found.pictures if self.found.layout != "nnunet" else {}):
            for paths in group.values():
                if len(paths) > 1:
                    self.add("ambiguous name", paths)

    def lists(self) -> None:
        """Lists against files and against each other."""
        for path, reason in self.found.problems.items():
            self.add("unreadable list", [path], reason.split(", got ")[-1].split("; ")[0])
        for split, names in self.found.splits.items():
            if not names:
                self.add("empty list", [self.found.lists.get(split, split)])
            for name, times in Counter(names).items():
                if name not in self.found.pictures:
                    self.add("listed without file", [name], f"in {split}")
                if times > 1:
                    self.add("listed twice", [name], f"{times} times in {split}")
        for name, splits in self.split_of.items():
            if len(splits) > 1:
                self.add("in two splits", [name], " and ".join(sorted(splits)))
        for name, paths in self.found.pictures.items():
            if self.found.lists and not self.split_of[name]:
                self.add("not listed", paths)

    def pairs(self, pictures: dict[str, list[Facts]], masks: dict[str, list[Facts]]) -> None:
        """Every picture with its mask, at one size."""
        bare = [split for split, names in self.splits.items() if names and not any(name in masks for name in names)]
        for split in bare:
            self.add("split without masks", [split], f"{len(self.splits[split])} pictures")
        for name, many in pictures.items():
            optional = self.found.layout == "voc" and self.found.lists and not self.split_of[name]
            if name not in masks:
                if not optional and not self.split_of[name] & set(bare):
                    self.add("missing mask", [f.path for f in many[:1]])
            elif not many[0].error and not masks[name][0].error and many[0].size != masks[name][0].size:
                picture, mask = many[0], masks[name][0]
                turned = ", which fits before EXIF turns the picture" if picture.stored == mask.size else ""
                self.add("size mismatch", [picture.path, mask.path], f"{_by(picture.size)} and {_by(mask.size)}{turned}")
        for name, many in masks.items():
            if name not in pictures:
                self.add("mask without picture", [f.path for f in many])

    def mask_values(self, masks: dict[str, list[Facts]], classes: int | None, ignore: int | None,
                    values: str | Iterable[int] | None) -> None:
        """Numbers that are no class, masks without an object, classes without a pixel."""
        good = {name: many[0] for name, many in masks.items() if not many[0].error}
        if not good:
            return
        wanted, legal, sure = _legal(list(good.values()), classes, ignore, values)
        for facts in good.values():
            strange = [value for value in facts.values if value not in legal and value != ignore]
            if strange:
                share = sum(facts.values[value] for value in strange) / sum(facts.values.values())
                lossy = facts.path.suffix.lower() in (".jpg", ".jpeg")
                certain = sure and not (lossy and values == "binary")       # the halfway line repairs what JPEG blurs
                self.add("unexpected mask value" if certain else "probably unexpected mask value", [facts.path],
                         f"{', '.join(map(str, strange[:6]))}{', ...' * (len(strange) > 6)} on {share:.2%} of the pixels, "
                         f"expected {_range(legal)}{'; JPEG blurs numbers, save masks as PNG' * lossy}")
            if not any(value in wanted for value in facts.values if value not in (0, ignore)):
                self.add("empty mask", [facts.path])
        for split, names in ([(None, list(good))] + list(self.splits.items())):
            seen = {value for name in names if name in good for value in good[name].values}
            for value in sorted(wanted - seen - {ignore}) if seen else ():
                if split is None or any(value in f.values for f in good.values()):
                    self.add("empty class", (), f"class {value}" + (f" in {split}" if split else ""))

    def class_folders(self) -> None:
        """Classes without a picture, in all or in one split."""
        for split, names in ([(None, list(self.found.pictures))] + list(self.splits.items())):
            seen = {self.found.labels.get(name) for name in names}
            for label in sorted(set(self.found.classes) - seen):
                if split is None or label in self.found.labels.values():
                    self.add("empty class", (), f"class {label!r}" + (f" in {split}" if split else ""))

    def duplicates(self, pictures: dict[str, list[Facts]], masks: dict[str, list[Facts]], near: bool) -> None:
        """Equal pixels, and pictures that look alike."""
        good = [(name, many[0]) for name, many in pictures.items() if not any(f.error for f in many)]
        equal = defaultdict(list)
        for name, facts in good:
            equal[b"".join(f.digest for f in pictures[name])].append((name, facts))
        for group in equal.values():
            if len(group) > 1:
                names, paths = [name for name, _ in group], [facts.path for _, facts in group]
                self.add("duplicate across splits" if self._crosses(names) else "duplicate", paths)
                truths = {masks[name][0].digest for name in names if name in masks}
                labels = {self.found.labels[name] for name in names if name in self.found.labels}
                if len(truths) > 1 or len(labels) > 1:
                    self.add("contradiction", paths, ", ".join(sorted(labels)) or "masks differ")
        if not near:
            return
        if len(good) > _ALL_PAIRS:
            self.add("not searched")
            return
        single = [group[0] for group in equal.values()]
        for i, j in look_alike([facts for _, facts in single]):
            names = single[i][0], single[j][0]
            self.add("near duplicate across splits" if self._crosses(names) else "near duplicate",
                     [single[i][1].path, single[j][1].path])

    def _crosses(self, names: Iterable[str]) -> bool:
        """Do these pictures lie in more than one split?"""
        return len(set().union(*(self.split_of[name] for name in names))) > 1


def _legal(masks: list[Facts], classes: int | None, ignore: int | None,
           values: str | Iterable[int] | None) -> tuple[set[int], set[int], bool]:
    """The classes, the numbers that masks may hold, and whether that was said (True) or guessed from the masks (False)."""
    seen = [set(facts.values) - {ignore} for facts in masks]
    said = None
    if values == "binary":
        said = {0, 255} if sum(255 in v for v in seen) >= sum(1 in v for v in seen) else {0, 1}
    elif values is not None:
        said = set(values)
    elif classes is not None:
        said = set(range(classes))
    if said is not None:
        return said, said, True
    if any(255 in v for v in seen) and 2 * sum(v <= {0, 255} for v in seen) > len(seen):
        return {0, 255}, {0, 255}, False
    often, few = Counter(value for v in seen for value in v), max(1, len(seen) // 50)
    guess = {0}
    for value in sorted(set(often) - {255}):
        if value == max(guess) + 1 or often[value] > few:           # the next class, or one that is not rare
            guess.add(value)
    gaps = set(range(max(guess))) - guess
    guess |= gaps if len(gaps) < len(guess) else set()              # 0, 1, 3: class 2 is missing; 0, 128: nothing is
    border = {255} if often[255] > few else set()                   # Pascal VOC's habit
    return guess, guess | border, False


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _range(values: set[int]) -> str:
    ordered = sorted(values)
    if len(ordered) > 3 and ordered == list(range(len(ordered))):
        return f"0 to {ordered[-1]}"
    return ", ".join(map(str, ordered[:12]))
