"""Build the package's wheel in _build/wheel, without the internet; the same sources give the same bytes.

    python tools/build_wheel.py

The sources are copied first, so that nothing is written into the tree and no old build folder leaks into the wheel.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "_build" / "wheel"
BEGINNING = "315532800"  # 1980, where zip's calendar begins


def sources() -> list[Path]:
    """The package, and what its description is made of."""
    package = [path for path in sorted((ROOT / "dlnotes").rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return [ROOT / "pyproject.toml", ROOT / "README.md", *sorted(ROOT.glob("LICEN[CS]E*")), *sorted(ROOT.glob("NOTICE*")), *package]


def build(out: Path = OUT) -> Path:
    """The wheel, in the folder ``out`` (which is ours to empty); built only if a source changed. Beside it lies SHA256SUMS.

    Raises:
        RuntimeError: with setuptools' words if it could not be built.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sources():
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    stamp = out / "sources.sha256"
    found = list(out.glob("*.whl"))
    if len(found) == 1 and stamp.exists() and stamp.read_text() == digest.hexdigest():
        return found[0]
    shutil.rmtree(out, ignore_errors=True)
    copy = out / "copy"
    for path in sources():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)
    code = "import os, sys; os.umask(0o022); from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, str(out)], cwd=copy, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         env={**os.environ, "SOURCE_DATE_EPOCH": BEGINNING})
    shutil.rmtree(copy)
    if run.returncode:
        raise RuntimeError(f"setuptools did not build the wheel:\n{run.stdout[-3000:]}")
    (wheel,) = out.glob("*.whl")
    (out / "SHA256SUMS").write_text(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n", encoding="utf-8")
    stamp.write_text(digest.hexdigest())
    return wheel


if __name__ == "__main__":
    print(build().relative_to(ROOT))
