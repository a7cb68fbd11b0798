"""``dlnotes doctor``, or ``python -m dlnotes doctor``: what is wrong with this environment."""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run a command of the course; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["doctor"]:
        from dlnotes.doctor.__main__ import main as doctor

        return doctor(argv[1:])
    print(f"dlnotes: expected `dlnotes doctor` or `dlnotes doctor --json`, got {' '.join(['dlnotes', *argv])}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
