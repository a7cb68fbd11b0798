"""What can be wrong with a data set, by name, and the report that says so.

``KINDS`` is the list of all defects that are looked for, worst first, each with what it means or what to do about it.
"""

from dataclasses import asdict, dataclass, field

__all__ = ["Finding", "KINDS", "Report"]

KINDS = {
    "unreadable": ("error", "damaged, truncated or no picture: export or download it again"),
    "missing mask": ("error", "no mask for a picture: make one, or take the picture out"),
    "size mismatch": ("error", "mask and picture differ in size: export both at one size"),
    "unexpected mask value": ("error", "numbers that are no class: say what they mean (values=, ignore=) or correct them"),
    "listed without file": ("error", "a list names a picture that is not there: correct the list"),
    "in two splits": ("error", "a leak: take the name out of one list"),
    "duplicate across splits": ("error", "a leak: equal pixels on both sides; delete one"),
    "contradiction": ("error", "equal pixels with unequal mask or label: one of them is wrong"),
    "ambiguous name": ("error", "two files of one name: rename or delete one"),
    "unreadable list": ("error", "save it as text in UTF-8"),
    "probably unexpected mask value": ("warning", "numbers that few masks hold: pass classes= or values= to be sure"),
    "near duplicate across splits": ("warning", "they look alike: keep both on one side (split_names with groups)"),
    "duplicate": ("warning", "equal pixels: it counts twice in training"),
    "mask without picture": ("warning", "a mask that belongs to no picture: a wrong name?"),
    "empty mask": ("warning", "nothing but background: meant so?"),
    "empty class": ("warning", "a class that never occurs: it cannot be learned or measured"),
    "blank picture": ("warning", "all pixels equal: a failed export?"),
    "mixed modes": ("warning", "read with channels=3 or channels=1 to bring them together"),
    "mixed bit depths": ("warning", "8 and 16 bits differ in range and detail: meant so?"),
    "turned picture": ("warning", "EXIF turns it; tools that ignore EXIF see it lying: store it upright"),
    "odd name": ("warning", "spaces, special or non-ASCII characters trip scripts: rename"),
    "name collision": ("warning", "differ only in case or Unicode form: one overwrites the other on Windows or macOS"),
    "listed twice": ("warning", "it counts twice: take it out once"),
    "empty list": ("warning", "a split without names"),
    "near duplicate": ("note", "they look alike, within one split: a video? Then split by group"),
    "not listed": ("note", "in no list: forgotten?"),
    "split without masks": ("note", "read it with masks=False"),
    "other file": ("note", "no picture by its ending: it is not read"),
    "not searched": ("note", "more than 20,000 pictures: near duplicates were not looked for"),
}
"""What is looked for: severity, and what it means or what to do."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: its kind (a key of ``KINDS``), in which files, and what exactly."""

    kind: str
    files: tuple[str, ...]
    detail: str = ""

    @property
    def severity(self) -> str:
        return KINDS[self.kind][0]


@dataclass
class Report:
    """What ``check_dataset`` found. ``print(report)`` is for people, ``to_dict()`` for scripts."""

    root: str
    task: str                                                       # "segmentation" or "classification"
    layout: str
    pictures: int
    masks: int
    splits: dict[str, int]                                          # names in each
    findings: list[Finding] = field(default_factory=list)

    def of(self, what: str) -> list[Finding]:
        """The findings of one kind, or of one severity ("error", "warning", "note")."""
        if what not in KINDS and what not in ("error", "warning", "note"):
            raise ValueError(f"Report.of: expected a kind or a severity, got {what!r}; kinds are {', '.join(KINDS)}")
        return [finding for finding in self.findings if what in (finding.kind, finding.severity)]

    @property
    def ok(self) -> bool:
        """No error: a folder class will read all of it."""
        return not self.of("error")

    def exit_status(self, strict: bool = False) -> int:
        """0 if there is no error (with ``strict``: and no warning), else 1."""
        return int(bool(self.of("error") or (strict and self.of("warning"))))

    def to_dict(self) -> dict:
        """Plain numbers, strings, lists and dicts, ready for JSON."""
        return {**asdict(self), "ok": self.ok,
                "findings": [{"kind": f.kind, "severity": f.severity, "files": list(f.files), "detail": f.detail}
                             for f in self.findings]}

    def text(self, most: int | None = 5) -> str:
        """The report as lines, worst first; at most so many files of each kind, None for all."""
        splits = "".join(f", {name} {count}" for name, count in self.splits.items()) or ", no splits"
        lines = [f"{self.root}: {self.task}, layout {self.layout!r}, {self.pictures} pictures"
                 f"{f', {self.masks} masks' if self.task == 'segmentation' else ''}{splits}"]
        for kind, (severity, meaning) in KINDS.items():
            found = self.of(kind)
            if found:
                lines += ["", f"{severity}: {kind} ({len(found)}): {meaning}"]
                for finding in found[:most]:
                    lines.append("  " + " = ".join(finding.files[:4]) + " ..." * (len(finding.files) > 4)
                                 + (": " if finding.detail and finding.files else "") + finding.detail)
                if most is not None and len(found) > most:
                    lines.append(f"  and {len(found) - most} more")
        count = {severity: len(self.of(severity)) for severity in ("error", "warning", "note")}
        return "\n".join([*lines, "", ", ".join(f"{n} {severity}{'s' * (n != 1)}" for severity, n in count.items())])

    def __str__(self) -> str:
        return self.text()
