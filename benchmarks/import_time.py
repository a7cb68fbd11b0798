"""What `import dlnotes` adds to `import torch`, in milliseconds: the median of several fresh processes.

    python benchmarks/import_time.py

Passes (exit status 0) if it adds less than 50 ms.
"""

import statistics
import subprocess
import sys

CHILD = """
import time
start = time.perf_counter()
import torch
middle = time.perf_counter()
import {module}
print(middle - start, time.perf_counter() - middle)
"""


def added(module: str, runs: int = 5) -> tuple[float, float]:
    """Median milliseconds of `import torch`, and of importing ``module`` after it."""
    call = [sys.executable, "-c", CHILD.format(module=module)]
    lines = [subprocess.run(call, capture_output=True, text=True, check=True).stdout for _ in range(runs)]
    first, second = zip(*(map(float, line.split()) for line in lines))
    return 1000 * statistics.median(first), 1000 * statistics.median(second)


def main() -> int:
    torch_ms, dlnotes_ms = added("dlnotes")
    print(f"{'import torch':<28} {torch_ms:8.1f} ms\n{'import dlnotes, on top':<28} {dlnotes_ms:8.1f} ms")
    for module in ("dlnotes.attention", "dlnotes.capture", "dlnotes.models"):
        print(f"{'import ' + module + ', on top':<38} {added(module, 3)[1]:8.1f} ms")
    return 0 if dlnotes_ms < 50 else 1


if __name__ == "__main__":
    raise SystemExit(main())
