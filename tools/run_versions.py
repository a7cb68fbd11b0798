"""`make versions`: the unit tests under other Pythons and other torches; a table of what was tried and what came out.

    make versions                                               the ends of both ranges
    make versions PYTHONS="python3.12" TORCHES="2.6 newest"     or what you name

``PYTHONS`` holds interpreters, ``TORCHES`` versions or the words oldest, pinned, newest. Every pair gets an environment of its
own in ``_build/versions``: three to six GB each where pip brings a torch for CUDA. pip's own settings hold here too, so
``PIP_EXTRA_INDEX_URL`` can name PyTorch's index of CPU builds. The oldest Python with the oldest torch also gets the oldest
version of every other dependency that pyproject.toml accepts, so that each lower bound is tried; other pairs get the newest.
A pair without wheels is not a failure, and the table says what is missing. ``STORE=1`` puts the rows into
``benchmarks/versions.md`` and ``.json``, in place of older rows for the same pairs. Left out: tests in a browser, the one
that compares this environment with the pins, and the one that reads this table.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "_build" / "versions"
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")        # read by pattern: Python 3.10 knows no TOML
LEAST = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', PROJECT))            # what package and course need, and setuptools, which builds it
OLDEST_PYTHON = re.search(r'requires-python = ">=([\d.]+)', PROJECT).group(1)
PINNED = re.search(r'"torch==([\d.]+)"', PROJECT).group(1)
FOR_TESTS = ["hypothesis", "jupyterlab", "nbval", "pytest", "pytest-xdist", "wheel"]
"""What the unit tests need beyond the package and what its chapters compare with."""

PYTEST = ["-m", "pytest", "tests", "dlnotes", "--doctest-modules", "-m", "not browser", "--ignore", "tests/browser", "-n", "2",
          "--dist", "loadfile", "-p", "no:cacheprovider", "--deselect", "tests/test_pins.py::test_what_is_installed_is_what_is_pinned",
          "--deselect", "tests/test_versions.py::test_every_lower_bound_of_pyproject_was_tried_and_both_ends_passed"]
COLUMNS = ["Python", "torch", "torchvision", "other dependencies", "passed", "failed", "skipped", "seconds", "result", "date"]


OLDEST = "oldest accepted"


class CannotTry(Exception):
    """Why a pair could not be tried, in words for the table."""


def read(*command: Any, **options: Any) -> str:
    """What a command prints, without the spaces around; ``CannotTry`` with its last line if it fails."""
    try:
        run = subprocess.run([*map(str, command)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    except OSError as error:
        raise CannotTry(f"{command[0]}: {error.strerror.lower()}") from None
    if run.returncode:
        raise CannotTry(why(run.stdout))
    return run.stdout.strip()


def why(output: str) -> str:
    """The reason in what pip, venv or an interpreter printed before it stopped.

    >>> why("ERROR: Could not find a version ... (from versions: 2.5)\\nERROR: No matching distribution found for torch==2.4")
    'no wheel for torch 2.4'
    """
    if missing := re.search(r"No matching distribution found for ([\w-]+)\W*([\d.]*)", output):
        return f"no wheel for {' '.join(missing.groups())}".strip()
    if conflict := re.search(r"Cannot install (.+) because these package versions have conflicting dependencies", output):
        return f"no versions fit together: {conflict.group(1)}"
    if "No space left" in output:
        return "the disk is full"
    return (output.strip().splitlines() or ["it stopped without a word"])[-1][:160]


def requirements(python: str, torch: str) -> tuple[list[str], str]:
    """What pip installs for a pair, and in words which versions the dependencies other than torch have."""
    version = {"oldest": LEAST["torch"], "pinned": PINNED, "newest": ""}.get(torch, torch)
    oldest = version == LEAST["torch"] and python == OLDEST_PYTHON
    others = [f"{name}=={least}" if oldest else f"{name}>={least}" for name, least in LEAST.items() if name != "torch"]
    return [f"torch=={version}" if version else "torch", *others, *FOR_TESTS], OLDEST if oldest else "newest"


def attempt(interpreter: str, torch: str) -> dict[str, Any]:
    """One row of the table: make the environment, install, run the unit tests."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"Python": interpreter, "torch": torch, "date": datetime.date.today().isoformat()}
    try:
        row["Python"] = read(interpreter, "-c", "import platform; print(platform.python_version())")
        minor = row["Python"].rpartition(".")[0]
        wanted, row["other dependencies"] = requirements(minor, torch)
        row |= {"pair": f"python{minor}-torch-{torch}", "torch": wanted[0].partition("==")[2] or torch}
        if row["other dependencies"] == OLDEST:
            row["bounds"] = LEAST
        folder = WORK / row["pair"]
        read(interpreter, "-m", "venv", folder)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        read(python, "-m", "pip", "install", "-q", "--upgrade", "pip")
        read(python, "-m", "pip", "install", "-q", "--only-binary", ":all:", "--progress-bar", "off", *wanted)
        read(python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT)
        for name in ("torch", "torchvision"):
            row[name] = read(python, "-c", f"from importlib.metadata import version; print(version('{name}').split('+')[0])")
    except CannotTry as reason:
        return row | {"result": f"not tried: {reason}"}
    environment = {"OMP_NUM_THREADS": "1", "DLNOTES_PROGRESS": "0", **os.environ}
    start = time.perf_counter()
    with (folder / "pytest.log").open("w+", encoding="utf-8") as log:
        code = subprocess.run([str(python), *PYTEST], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode
        log.seek(0)
        output = log.read()
    last = next((line for line in reversed(output.splitlines()) if re.search(r"\d (passed|failed|error).* in [\d.]+s", line)), "")
    count = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", last)}
    row |= {"passed": count.get("passed", 0), "failed": count.get("failed", 0) + count.get("error", 0),
            "skipped": count.get("skipped", 0), "seconds": round(time.perf_counter() - start)}
    if code:
        print("\n".join(re.findall(r"(?m)^(?:FAILED|ERROR) .*", output)) or output[-3000:], flush=True)
    return row | {"result": "failed" if code else "passed"}


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [COLUMNS, ["---" if name in ("other dependencies", "result", "date") else "---:" for name in COLUMNS]]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *([str(row[name]) for name in COLUMNS] for row in rows)])


def store(rows: list[dict[str, Any]]) -> None:
    """Put the rows into ``benchmarks/versions.json`` and write ``.md`` from all that stand there."""
    file = ROOT / "benchmarks" / "versions.json"
    old = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    pairs = {row["pair"]: row for row in [*old, *rows] if "pair" in row}         # an interpreter that did not start has none
    ordered = sorted(pairs.values(), key=lambda row: [[int(n) for n in re.findall(r"\d+", row[name])] for name in ("Python", "torch")])
    record = {"run": "versions", "question": "Under which Pythons and torches do the unit tests pass?", "command": "make versions STORE=1",
              "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, shared, no GPU", "rows": ordered}
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(
        f"# Versions\n\n{record['question']}\n\n{markdown(ordered)}\n\n\"Oldest accepted\" is the lower bound of every dependency in "
        f"pyproject.toml.\n\n`{record['command']}` on {record['machine']}.\n", encoding="utf-8")


def main() -> None:
    pythons = os.environ.get("PYTHONS", "python3.10 python3.13").split()
    torches = os.environ.get("TORCHES", "oldest pinned newest").split()
    rows = []
    for interpreter in pythons:
        for torch in torches:
            print(f"== {interpreter}, torch {torch}", flush=True)
            rows.append(attempt(interpreter, torch))
            print(f"== {rows[-1]['result']}", flush=True)
    print(markdown(rows))
    if os.environ.get("STORE"):
        store(rows)
    if any(row["result"].startswith("failed") for row in rows) or not any(row["result"] == "passed" for row in rows):
        sys.exit("make versions: see the table; the whole output of a run is in pytest.log of its folder in _build/versions")


if __name__ == "__main__":
    main()
