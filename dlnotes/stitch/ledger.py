"""The results of an ablation on disk: one JSON line for each finished cell, and what they are results of.

A line is written in one piece and flushed to the disk before its cell counts as done. A process that is killed leaves at
most one piece of a line behind; that is cut off, and its cell runs again. What must not change between two calls stands
beside the results, and a call with something else is refused.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Ledger"]


class Ledger:
    """Results in ``folder/results.jsonl``, their configuration in ``folder/ablation.json``.

    Args:
        folder: made if it is missing.

    Raises:
        ValueError: if ``folder`` is a file.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"ablate: expected a folder for the results, got the file {self.folder}; name another")
        self.results, self.settings = self.folder / "results.jsonl", self.folder / "ablation.json"

    def open(self, configuration: Mapping) -> dict[tuple[str, int], dict]:
        """Check the configuration, add what is new in it, and return the finished cells: (variant, seed) -> line.

        New variants and seeds may come; what was there must be the same.

        Raises:
            ValueError: if something recorded is different now, or a file is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = json.loads(json.dumps(configuration))               # as it will come back from the disk
        if self.settings.exists():
            recorded = self._read(self.settings, self.settings.read_text(encoding="utf-8"))
            both = recorded["variants"] | configuration["variants"]
            known = {name: both[name] for name in recorded["variants"]}
            for change in _changes(recorded, configuration | {"variants": known}):
                raise ValueError(f"ablate: expected the configuration that {self.folder} was begun with, got a change: "
                                 f"{change}; use another folder, or change it back")
            configuration = configuration | {"variants": both}
        elif self.results.exists():
            raise ValueError(f"ablate: expected {self.settings.name} beside {self.results}, got none; use another folder")
        beside = self.settings.with_name(f".{self.settings.name}.{os.getpid()}")
        beside.write_text(json.dumps(configuration, indent=2, sort_keys=True), encoding="utf-8")
        os.replace(beside, self.settings)                                   # atomic on one file system
        return self._finished()

    def _finished(self) -> dict[tuple[str, int], dict]:
        found: dict[tuple[str, int], dict] = {}
        if not self.results.exists():
            return found
        text = self.results.read_bytes()
        whole = text[:text.rfind(b"\n") + 1]
        if whole != text:                                                   # the process was killed while it wrote
            with self.results.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.decode("utf-8").splitlines(), 1):
            cell = self._read(f"line {number} of {self.results}", line)
            key = cell["variant"], cell["seed"]
            if key in found and found[key]["scores"] != cell["scores"]:
                raise ValueError(f"ablate: expected one result for variant {key[0]!r}, seed {key[1]}, got two that differ "
                                 f"in {self.results}; two runs shared the folder, or the training is not deterministic")
            found[key] = cell
        return found

    def append(self, variant: str, seed: int, scores: Mapping[str, float], seconds: float) -> dict:
        """Write one finished cell, all of it or nothing, and return it."""
        cell = {"variant": variant, "seed": seed, "scores": dict(scores), "seconds": round(seconds, 3)}
        line = (json.dumps(cell) + "\n").encode("utf-8")
        with self.results.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())
        return cell

    @staticmethod
    def _read(what, text: str) -> dict:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"ablate: expected JSON in {what}, got {text[:40]!r}; restore it from a copy, or use another "
                             "folder") from error


def _changes(old, new, at: str = ""):
    """What differs, as ``where: recorded ..., now ...``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, now) in enumerate(zip(old, new)):
            yield from _changes(before, now, f"{at}[{i}]")
    elif old != new and not (old != old and new != new):
        yield f"{at} was {old!r}, now {new!r}"
