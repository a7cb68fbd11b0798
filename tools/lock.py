"""Rewrite requirements.lock from the exact versions in pyproject.toml's `dev` extra.

    pip install uv && python tools/lock.py

Every package is pinned with the hashes of all its files, so the same lock serves Linux, macOS and Windows.
torch is the exception: which build is right (CPU or CUDA) depends on the machine, so the lock leaves out torch and the
CUDA packages that come with it, and `make` installs torch itself at the version that pyproject.toml names.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMES_WITH_TORCH = re.compile(r"^(torch|triton|nvidia-|cuda-)")


def main() -> None:
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    command = ["uv", "pip", "compile", "-", "--universal", "--python-version", "3.11", "--generate-hashes",
               "--no-annotate", "--no-header", "--index-strategy", "unsafe-best-match", "--no-emit-find-links", *sys.argv[1:]]
    compiled = subprocess.run(command, input="\n".join(dev), text=True, check=True, stdout=subprocess.PIPE).stdout
    entries = re.split(r"(?m)^(?=\S)", compiled)
    kept = [e for e in entries if e.strip() and not (COMES_WITH_TORCH.match(e) and not e.startswith("torchvision"))]
    header = "# Written by tools/lock.py from pyproject.toml. Do not edit.\n"
    (ROOT / "requirements.lock").write_text(header + "".join(kept))
    print(f"requirements.lock: {len(kept)} packages")


if __name__ == "__main__":
    main()
