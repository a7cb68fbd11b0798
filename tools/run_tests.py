"""`make test` after the site is built: unit tests, nbval over every notebook, then pages and widgets in a browser.

Three runs, since a browser driver and notebook kernels do not share a process. Arguments go to pytest: `run_tests.py -k fft`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKERS = str(min(4, os.cpu_count() or 1))
RUNS = {
    "unit tests": ["tests", "dlnotes", "--doctest-modules", "-m", "not browser", "-n", WORKERS, "--dist", "loadfile"],
    "notebooks": ["--nbval", "book", "-n", WORKERS, "--dist", "loadfile", "--nbval-cell-timeout", "300", "-p", "no:cacheprovider"],
    "pages and widgets": ["tests/browser", "-m", "browser", "-n", WORKERS, "--dist", "worksteal"],
}


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    os.environ.setdefault("DLNOTES_PROGRESS", "0")  # no progress bars in stored pages
    begin, failed = time.perf_counter(), []
    for name, arguments in RUNS.items():
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", "pytest", *arguments, *sys.argv[1:]], cwd=ROOT).returncode
        print(f"== {name}: {time.perf_counter() - start:.0f} s", flush=True)
        if code and not (code == 5 and sys.argv[1:]):
            failed.append(name)
    print(f"make test: {time.perf_counter() - begin:.0f} s in all")
    if failed:
        sys.exit(f"make test: {' and '.join(failed)} failed; the first message above says what to mend.")


if __name__ == "__main__":
    main()
