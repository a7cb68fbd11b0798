"""Findings, sorted by how much they hurt, and the report that shows them as text, in a notebook and for a program.

What a report shows is masked first: the password in an address, and the value of every variable whose name speaks of a secret.
A finding may quote an error message, and nobody knows what those hold.
"""

import html
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace

__all__ = ["Finding", "Report", "diagnose"]

SEVERITIES = ("error", "warning", "note", "good")
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(?:^|_)KEY(?:$|_)|(?:^|_)AUTH(?:$|_)|(?:^|_)PWD$|COOKIE", re.I)


def mask(text: str) -> str:
    """A text without the secrets of this process.

    >>> mask("the proxy http://me:hunter2@proxy.example:3128 is silent")
    'the proxy http://***@proxy.example:3128 is silent'
    """
    text = re.sub(r"(\w://)[^/\s]+@", r"\1***@", text)
    secrets = {value for name, value in os.environ.items() if SECRET.search(name) and len(value) >= 6 and not os.path.isabs(value)}
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


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
        masked = (replace(finding, text=mask(finding.text), cure=mask(finding.cure)) for finding in findings)
        super().__init__(sorted(masked, key=lambda finding: SEVERITIES.index(finding.severity)))

    @property
    def errors(self) -> list[Finding]:
        """Findings because of which something will not work."""
        return [finding for finding in self if finding.severity == "error"]

    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return {severity: sum(finding.severity == severity for finding in self) for severity in SEVERITIES}

    def __str__(self) -> str:
        lines = []
        for finding in self:
            lines.append(f"{finding.severity:<8} {finding.topic}: {finding.text}")
            if finding.cure:
                lines.append(f"         cure: {finding.cure}")
        return "\n".join([*lines, ", ".join(f"{count} {severity}" for severity, count in self.counts().items())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A table that reads on any page, light or dark: what is good is folded away, a click selects a whole cure."""
        count = self.counts()
        bad = ", ".join(f"{count[s]} {s}{'s' * (count[s] != 1)}" for s in SEVERITIES[:-1] if count[s])
        mended = [finding for finding in self if finding.severity != "good"]
        good = [finding for finding in self if finding.severity == "good"]
        table = f"<table><tbody>{''.join(map(_row, mended))}</tbody></table>" if mended else ""
        fold = (f"<details><summary>{len(good)} good</summary><table><tbody>{''.join(map(_row, good))}</tbody></table></details>"
                if good else "")
        return f"<div class='dln-doctor'><style>{STYLE}</style><p>{bad or 'Nothing to mend'}.</p>{table}{fold}</div>"

    def json(self) -> str:
        """A list of ``{"severity", "topic", "text", "cure"}``."""
        return json.dumps([asdict(finding) for finding in self], ensure_ascii=False, indent=1)


# The labels bring their own ground, so that they read on a light page and on a dark one; the rest takes the page's colours.
STYLE = """
.dln-doctor { color: var(--dln-ink, var(--jp-content-font-color1, inherit)); background: var(--dln-paper, transparent);
  font-family: var(--dln-sans, var(--jp-content-font-family, system-ui, sans-serif)); font-size: 14px;
  line-height: 1.45; max-width: 52rem; overflow-wrap: anywhere; }
.dln-doctor p { margin: 0 0 6px; font-weight: 600; }
.dln-doctor table, .dln-doctor tbody, .dln-doctor tr, .dln-doctor td { background: none !important; border: 0; }
.dln-doctor table { border-collapse: collapse; width: 100%; margin: 0; table-layout: auto; }
.dln-doctor tr { border-top: 1px solid rgba(128, 128, 128, .35) !important; }
.dln-doctor td { text-align: left !important; vertical-align: top; padding: 7px 14px 7px 0 !important; font-size: 14px;
  white-space: normal; }
.dln-doctor td:nth-child(1) { width: 5.2em; } .dln-doctor td:nth-child(2) { width: 8em;
  font-weight: 600; }
.dln-doctor b { display: inline-block; min-width: 4.6em; white-space: nowrap; text-align: center; border-radius: 4px; padding: 1px 6px;
  font-size: 12px; font-weight: 600; }
.dln-doctor .error { background: #8f4300; color: #fff; } .dln-doctor .warning { background: #fbe3c9; color: #6b3300; }
.dln-doctor .note { background: #dbe9fb; color: #0b4a96; } .dln-doctor .good { background: #e4e8ed; color: #3c4553; }
.dln-doctor .cure { margin-top: 4px; }
.dln-doctor code { background: rgba(128, 128, 128, .16) !important; color: inherit !important; border: 0; border-radius: 4px;
  padding: 2px 6px; font: 13px/1.5 var(--dln-mono, var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace));
  white-space: pre-wrap;
  user-select: all; -webkit-user-select: all; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.dln-doctor summary { cursor: pointer; padding: 7px 0; border-top: 1px solid rgba(128, 128, 128, .35); }
@media (max-width: 480px) { .dln-doctor tr, .dln-doctor td { display: block; width: auto !important; }
  .dln-doctor td { padding: 3px 0 !important; } .dln-doctor tr { padding: 5px 0; }
  .dln-doctor td:nth-child(-n+2) { display: inline-block; margin-right: 8px; } }
"""


_CODE = r"<code>\1</code>"


def _row(finding: Finding) -> str:
    cure = f"<div class='cure'>cure: <code>{html.escape(finding.cure)}</code></div>" if finding.cure else ""
    return (f"<tr><td><b class='{finding.severity}'>{finding.severity}</b></td><td>{html.escape(finding.topic)}</td>"
            f"<td>{re.sub('`([^`]+)`', _CODE, html.escape(finding.text))}{cure}</td></tr>")


def checks() -> list[Callable[[], Iterator[Finding]]]:
    """Everything that is looked at, in order."""
    from . import machine, network, packages, torch_build

    return [packages.interpreter, packages.paths, packages.commands, packages.kernels, packages.shadowed, packages.duplicated,
            packages.records, torch_build.torch_and_devices, machine.memory, machine.disk, machine.mounts, machine.shared_memory,
            machine.survival, machine.clock, machine.encoding, machine.fonts, machine.browser, network.internet]


def diagnose() -> Report:
    """Look at everything. Takes a few seconds, changes nothing: no file is written, and no GPU is left occupied.

    A check that fails itself becomes a note, and the others go on.
    """
    found: list[Finding] = []
    for check in checks():
        try:
            found += check()
        except Exception as error:  # a broken environment breaks checks in ways that nobody foresaw
            found.append(Finding("note", check.__name__.replace("_", " "), f"could not be looked at: {type(error).__name__}: {error}"))
    return Report(found)
