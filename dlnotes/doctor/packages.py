"""The interpreter and its packages: which one runs, whether ``python``, ``pip`` and the notebook's kernel mean the same, and
whether anything stands in front of the package that you think you import."""

import importlib.metadata
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from .report import Finding

__all__ = ["commands", "duplicated", "interpreter", "kernels", "records", "shadowed"]

NEEDED = ("torch", "numpy", "einops", "safetensors", "matplotlib", "skimage", "anywidget", "accelerate", "PIL", "yaml", "scipy")
SAFE_NAMES = ("random", "types", "typing", "copy", "io", "logging", "token", "queue", "statistics", "profile", "code", "string")


def interpreter() -> Iterator[Finding]:
    """Version and kind of the environment."""
    version = ".".join(map(str, sys.version_info[:3]))
    where = f"Python {version} at {sys.executable}"
    if sys.version_info < (3, 10):
        yield Finding("error", "interpreter", f"{where}: 3.10 or newer is needed", "python3.11 -m venv .venv && . .venv/bin/activate")
    elif sys.prefix != sys.base_prefix:
        yield Finding("good", "interpreter", f"{where}, virtual environment {sys.prefix}")
    elif os.environ.get("CONDA_PREFIX"):
        name = os.environ.get("CONDA_DEFAULT_ENV", "")
        if name == "base":
            yield Finding("warning", "interpreter", f"{where}, conda's base environment: what you install here touches conda itself",
                          "conda env create -f environment.yml && conda activate dlnotes")
        else:
            yield Finding("good", "interpreter", f"{where}, conda environment {name}")
    else:
        yield Finding("note", "interpreter", f"{where}, no virtual environment: packages are shared with everything else on this machine")


def pip_interpreter(pip: str) -> str | None:
    """The Python that a ``pip`` script starts, from its first line; None if that cannot be read (Windows, binary launchers)."""
    with open(pip, "rb") as file:
        first = file.readline(500)
        if first.strip() == b"#!/bin/sh":                                           # long paths: the second line carries it
            first = b"#!" + file.readline(500).split(b"'''exec' ")[-1]
    match = re.match(rb"#!\s*(?:/usr/bin/env\s+)?\"?([^\s\"]+)", first)
    return match.group(1).decode() if match else None


def _same_environment(python: str) -> bool:
    """Whether a Python lies in the environment that runs now; links are followed no further than the environment's folder."""
    found = shutil.which(python) or python
    return os.path.realpath(os.path.dirname(found)) == os.path.realpath(os.path.dirname(sys.executable))


def commands() -> Iterator[Finding]:
    """``python`` and ``pip`` on the PATH against the interpreter that runs."""
    for name in ("python", "pip"):
        found = shutil.which(name)
        if found is None:
            yield Finding("note", name, f"there is no `{name}` on the PATH; `{sys.executable} {'-m pip' if name == 'pip' else ''}` works")
            continue
        target = found if name == "python" else pip_interpreter(found)
        if target is None or "python" not in Path(target).name:
            yield Finding("note", name, f"`{name}` is {found}, a launcher that chooses an interpreter by itself; "
                          f"`{sys.executable} -m {name if name == 'pip' else '...'}` leaves no doubt")
        elif _same_environment(target):
            yield Finding("good", name, f"`{name}` is {found}, of the interpreter that runs")
        else:
            every = [str(Path(folder) / name) for folder in os.environ.get("PATH", "").split(os.pathsep)
                     if folder and os.access(Path(folder) / name, os.X_OK)]
            more = f" (in this order on the PATH: {', '.join(dict.fromkeys(every))})" if len(every) > 1 else ""
            yield Finding("warning", name, f"`{name}` is {found} and belongs to {target}, but {sys.executable} runs{more}: what you "
                          f"install with `{name}` is not seen here", f"{sys.executable} -m pip install ...")


def kernels() -> Iterator[Finding]:
    """The Jupyter kernels that are installed, against the interpreter that runs."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return
    for name, spec in KernelSpecManager().get_all_specs().items():
        argv = spec["spec"].get("argv") or [""]
        if spec["spec"].get("language") != "python":
            continue
        if re.fullmatch(r"python(3(\.\d+)?)?", argv[0]):                            # Jupyter takes its own interpreter then
            yield Finding("good", "kernel", f"kernel {name!r} starts the interpreter of the Jupyter server")
        elif not (shutil.which(argv[0]) or Path(argv[0]).exists()):
            yield Finding("error", "kernel", f"kernel {name!r} starts {argv[0]}, which is not there",
                          f"jupyter kernelspec remove {name}, or {sys.executable} -m ipykernel install --user --name {name}")
        elif not _same_environment(argv[0]):
            yield Finding("warning", "kernel", f"kernel {name!r} starts {argv[0]}, but {sys.executable} runs",
                          f"{sys.executable} -m ipykernel install --user --name dlnotes, then choose that kernel")
        else:
            yield Finding("good", "kernel", f"kernel {name!r} starts this interpreter")


def shadowed() -> Iterator[Finding]:
    """Files of yours that stand in front of a package of the same name; packages that are missing."""
    library = {os.path.realpath(sysconfig.get_paths()[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    outside = [entry for entry in dict.fromkeys(sys.path) if os.path.realpath(entry or os.getcwd()) not in library]
    for name in (*NEEDED, *SAFE_NAMES):
        first = PathFinder.find_spec(name, sys.path)
        if first is None or (first.origin is None and name in NEEDED):
            if name in NEEDED:
                yield Finding("error", "packages", f"{name} cannot be found", f"{sys.executable} -m pip install "
                              f"{ {'skimage': 'scikit-image', 'PIL': 'pillow', 'yaml': 'pyyaml'}.get(name, name)}")
            continue
        behind = PathFinder.find_spec(name, [entry for entry in sys.path if entry not in outside])
        mine = PathFinder.find_spec(name, outside) if outside else None
        if mine is not None and behind is not None and mine.origin and mine.origin != behind.origin and first.origin == mine.origin:
            yield Finding("error", "shadowed", f"`import {name}` finds {mine.origin} before {behind.origin}",
                          f"rename {mine.origin} (and delete the __pycache__ beside it)")


def _distributions() -> dict[str, list[importlib.metadata.Distribution]]:
    found: dict[str, list[importlib.metadata.Distribution]] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"] if distribution.metadata else None
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), []).append(distribution)
    return found


def duplicated() -> Iterator[Finding]:
    """Packages that are installed twice, in places that are both searched."""
    for name, copies in sorted(_distributions().items()):
        places = list(dict.fromkeys(os.path.realpath(str(copy.locate_file(""))) for copy in copies))
        versions = [copy.version for copy in copies]
        if len(places) > 1 and len(set(versions)) > 1:
            yield Finding("warning", "packages", f"{name} is installed twice: {', '.join(f'{v} in {p}' for v, p in zip(versions, places))}; "
                          f"the first one counts", f"{sys.executable} -m pip uninstall {name}  (once or twice), then install it again")
        elif len(places) == 1 and len(copies) > 1:
            yield Finding("warning", "packages", f"{name} has several records in {places[0]} ({', '.join(versions)}), left by an "
                          "installation that was cut off", f"{sys.executable} -m pip install --force-reinstall --no-deps {name}")


def records() -> Iterator[Finding]:
    """Packages that pip cannot remove or renew, because their list of files is gone."""
    for name, copies in sorted(_distributions().items()):
        for copy in copies:
            info = Path(str(getattr(copy, "_path", "")))
            if info.suffix == ".dist-info" and info.is_dir() and not (info / "RECORD").exists() and not (info / "direct_url.json").exists():
                if (info / "INSTALLER").exists() and (info / "INSTALLER").read_text().strip() not in ("pip", "uv"):
                    continue                                                        # a distribution's or conda's own package
                yield Finding("warning", "packages", f"{name} {copy.version} has no RECORD: pip can neither remove nor renew it",
                              f"{sys.executable} -m pip install --ignore-installed --no-deps {name}=={copy.version}")
