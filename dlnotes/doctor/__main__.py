"""``python -m dlnotes.doctor``: print the report; the exit status is 1 if something is broken."""

import sys

from dlnotes.doctor import diagnose


def main(argv: list[str] | None = None) -> int:
    """Print the report; ``--json`` for a program. Returns 0, or 1 if there is an error among the findings."""
    argv = sys.argv[1:] if argv is None else argv
    if argv not in ([], ["--json"]):
        print(f"dlnotes.doctor: expected nothing or --json, got {' '.join(argv)}", file=sys.stderr)
        return 2
    report = diagnose()
    print(report.json() if argv else report)
    return int(bool(report.errors))


if __name__ == "__main__":
    sys.exit(main())
