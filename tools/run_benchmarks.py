"""`make bench`: run every benchmark, one after the other; each prints its own table."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    os.environ.setdefault("PYTHONPATH", str(ROOT / "tests"))
    failed = []
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        print(f"\n== {path.stem}", flush=True)
        if subprocess.run([sys.executable, str(path)], cwd=ROOT).returncode:
            failed.append(path.name)
    if failed:
        sys.exit(f"make bench: {', '.join(failed)} stopped with an error; the message is above.")


if __name__ == "__main__":
    main()
