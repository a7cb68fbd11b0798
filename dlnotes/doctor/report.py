"""Findings, sorted by how much they hurt, and the report that shows them."""

import html
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

__all__ = ["Finding", "Report", "diagnose"]

SEVERITIES = ("error", "warning", "note", "good")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        severity: ``"error"`` (something will not work), ``"warning"`` (it may not), ``"note"`` (good to know) or ``"good"``.
        topic: what was looked at, in a word or two.
        text: what was found.
        cure: the command, or the step, that mends it; empty if there is nothing to mend.
    """

    severity: str
    topic: str
    text: str
    cure: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"Finding: expected severity to be one of {', '.join(SEVERITIES)}, got {self.severity!r}")
        if self.severity in ("error", "warning") and not self.cure:
            raise ValueError(f"Finding: expected a cure for {self.severity} {self.text!r}, got none; say what to do")


class Report(list):
    """Findings, worst first. It prints as text, shows as a table in a notebook, and gives itself as JSON."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        super().__init__(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))

    @property
    def errors(self) -> list[Finding]:
        """Findings because of which something will not work."""
        return [finding for finding in self if finding.severity == "error"]

    def __str__(self) -> str:
        lines = []
        for finding in self:
            lines.append(f"{finding.severity:<8} {finding.topic}: {finding.text}")
            if finding.cure:
                lines.append(f"         cure: {finding.cure}")
        counts = ", ".join(f"{sum(f.severity == s for f in self)} {s}" for s in SEVERITIES)
        return "\n".join([*lines, counts])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{f.severity}</td><td>{html.escape(f.topic)}</td><td style='text-align:left'>{html.escape(f.text)}"
                       + (f"<br>cure: <code>{html.escape(f.cure)}</code>" if f.cure else "") + "</td></tr>" for f in self)
        return f"<table><thead><tr><th>severity</th><th>topic</th><th>finding</th></tr></thead><tbody>{rows}</tbody></table>"

    def json(self) -> str:
        """A list of ``{"severity", "topic", "text", "cure"}``."""
        return json.dumps([asdict(finding) for finding in self], ensure_ascii=False, indent=1)


def checks() -> list[Callable[[], Iterator[Finding]]]:
    """Everything that is looked at, in order."""
    from . import machine, packages, torch_build

    return [packages.interpreter, packages.commands, packages.kernels, packages.shadowed, packages.duplicated, packages.records,
            torch_build.build, torch_build.devices, machine.memory, machine.disk, machine.shared_memory, machine.survival,
            machine.clock, machine.encoding, machine.fonts, machine.browser, machine.internet]


def diagnose() -> Report:
    """Look at everything. Takes a few seconds, changes nothing.

    A check that fails itself becomes a note, and the others go on.
    """
    found: list[Finding] = []
    for check in checks():
        try:
            found += check()
        except Exception as error:  # a broken environment breaks checks in ways that nobody foresaw
            found.append(Finding("note", check.__name__.replace("_", " "), f"could not be looked at: {type(error).__name__}: {error}"))
    return Report(found)
