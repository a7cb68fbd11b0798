"""What is wrong with this environment, said before it costs an evening: interpreter, packages, devices, memory, disk, platform.

    python -m dlnotes.doctor            findings, worst first, each with the command that cures it
    python -m dlnotes.doctor --json     the same for a program

Nothing is changed, and no value of a variable is printed that could hold a secret.
"""

from .report import Finding, Report, diagnose

__all__ = ["Finding", "Report", "diagnose"]
