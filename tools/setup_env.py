"""Make .venv with everything the course needs. Uses only Python's standard library; runs again only when the pins change.

    python3 tools/setup_env.py
"""

import hashlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
STAMP = VENV / ".dlnotes-installed"


def stop(sentence: str) -> None:
    sys.exit(f"setup: {sentence}")


def pins() -> str:
    files = [ROOT / "requirements.lock", ROOT / "pyproject.toml"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files) + sys.version.encode()).hexdigest()


def pip(what: str, *arguments: str) -> None:
    print(f"setup: {what}", flush=True)
    run = subprocess.run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--progress-bar", "off",
                          *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    if run.returncode == 0:
        return
    print(run.stdout[-3000:])
    text = run.stdout.lower()
    if "no space left" in text:
        stop("the disk is full; free about 3 GiB, then run the same command again.")
    if re.search(r"connection|resolve|timed out|max retries|network", text):
        stop("a package could not be downloaded; check the internet connection, then run the same command again (it goes on "
             "from where it stopped).")
    if "do not match the hashes" in text:
        stop("a downloaded package is not the one that was pinned; clear pip's cache (pip cache purge), then run it again.")
    stop("pip could not install the packages (its message is above); mend that, then run the same command again.")


def main() -> None:
    if STAMP.exists() and PYTHON.exists() and STAMP.read_text() == pins():
        return
    if sys.version_info < (3, 11):
        stop(f"Python 3.11 or newer builds the course and this is {sys.version.split()[0]}; install a newer Python, then run: "
             "make PYTHON=/path/to/python3.11 book")
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < 4:
        stop(f"4 GiB of free disk space is needed here and there are {free:.1f} GiB; make room, then run it again.")
    begin = time.perf_counter()
    if not PYTHON.exists():
        print("setup: making .venv", flush=True)
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            print(made.stdout[-2000:])
            stop("Python's venv module did not work; on Debian or Ubuntu install it with: apt install python3-venv")
    torch = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")).group(1)
    pip("installing the pinned packages (about two minutes)", "--no-deps", "--require-hashes", "-r", "requirements.lock")
    pip(f"installing {torch}", torch)
    pip("installing dlnotes itself", "--no-deps", "--no-build-isolation", "-e", ".")
    STAMP.write_text(pins())
    print(f"setup: ready in {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
