"""The interpreter and its packages: which one runs, whether ``python``, ``pip`` and the notebook's kernel mean the same, and
whether anything stands in front of the package that you think you import."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from .report import Finding

__all__ = ["commands", "duplicated", "interpreter", "kernels", "paths", "records", "shadowed"]

NEEDED = ("torch", "numpy", "einops", "safetensors", "matplotlib", "skimage", "anywidget", "accelerate", "PIL", "yaml", "scipy")
SAFE_NAMES = ("random", "types", "typing", "copy", "io", "logging", "token", "queue", "statistics", "profile", "code", "string")
TWINS = {"cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
         "PIL": ("pillow", "pillow-simd"), "torch": ("torch", "torch-nightly", "pytorch")}


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


def _ask(*command: str) -> str:
    """What a command prints; nothing if it fails or takes longer than ten seconds. It writes no byte code."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _about(python: str) -> dict | None:
    """Where a Python's environment lies and whether it can run a kernel, said by itself; None if it does not answer.

    Only a program that is called python (or pypy) is started: a kernel may begin with docker, ssh or conda.
    """
    if not re.match("py(thon|py)", Path(python).name, re.I):
        return None
    said = _ask(python, "-I", "-c", "import importlib.util as u, json, sys; print(json.dumps({'prefix': sys.prefix, "
                                    "'ipykernel': bool(u.find_spec('ipykernel'))}))")
    try:
        return json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return None


def _same_environment(python: str) -> bool:
    """Whether a Python is of the environment that runs now: it is asked; if it is silent, the folder decides."""
    one, other = _about(python), _about(sys.executable)
    if one and other:
        return os.path.realpath(one["prefix"]) == os.path.realpath(other["prefix"])
    found = shutil.which(python) or python
    return os.path.realpath(os.path.dirname(found)) == os.path.realpath(os.path.dirname(sys.executable))


def _pip_folder(pip: str) -> str | None:
    """The folder of packages that a ``pip`` lies in, said by itself; None if it does not say."""
    match = re.search(r"from (.+) \(python [\d.]+\)", _ask(pip, "--version"))
    return str(Path(match.group(1)).parent) if match else None


def commands() -> Iterator[Finding]:
    """``python``, ``pip`` and ``jupyter`` on the PATH against the interpreter that runs."""
    for name in ("python", "pip", "jupyter"):
        found = shutil.which(name)
        if found is None:
            if name != "jupyter":
                works = f"{sys.executable} -m pip" if name == "pip" else sys.executable
                yield Finding("note", name, f"there is no `{name}` on the PATH; `{works}` works")
            continue
        owner = found if name == "python" else pip_interpreter(found)
        folder = _pip_folder(found) if name == "pip" else None
        if folder is not None:
            owner, mine = folder, {os.path.realpath(sysconfig.get_paths()[key]) for key in ("purelib", "platlib")}
            same = os.path.realpath(folder) in mine
        elif name != "python" and (owner is None or "python" not in Path(owner).name):
            yield Finding("note", name, f"`{name}` is {found}, a launcher that chooses an interpreter by itself; "
                          f"`{sys.executable} -m {name}` leaves no doubt")
            continue
        else:
            same = _same_environment(owner)
            owner = (_about(owner) or {"prefix": owner})["prefix"]
        if same:
            yield Finding("good", name, f"`{name}` is {found}, of the interpreter that runs")
            continue
        every = [str(Path(entry) / name) for entry in os.environ.get("PATH", "").split(os.pathsep)
                 if entry and os.access(Path(entry) / name, os.X_OK)]
        more = f" (in this order on the PATH: {', '.join(dict.fromkeys(every))})" if len(every) > 1 else ""
        text = f"`{name}` is {found} and belongs to {owner}, but {sys.executable} runs{more}"
        if name == "jupyter":
            yield Finding("note", name, f"{text}: its notebooks start the kernel that you choose there", f"{sys.executable} -m jupyterlab")
        else:
            yield Finding("warning", name, f"{text}: what you install with `{name}` is not seen here",
                          f"{sys.executable} -m pip install ...")


def kernels() -> Iterator[Finding]:
    """The Jupyter kernels that are installed, against the interpreter that runs."""
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return
    folders: dict[str, Path] = {}                                                   # jupyter_client would make ~/.ipython on the way
    for place in map(Path, jupyter_path("kernels")):
        for file in sorted(place.glob("*/kernel.json")):
            folders.setdefault(file.parent.name.lower(), file.parent)               # the first place counts
    for name, folder in folders.items():
        try:
            spec = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
            argv, language = [str(word) for word in spec.get("argv") or [""]], str(spec.get("language", "")).lower()
        except (OSError, ValueError, AttributeError, TypeError) as error:
            yield Finding("error", "kernel", f"kernel {name!r} in {folder} cannot be read: {error}", f"jupyter kernelspec remove {name}")
            continue
        if language != "python":
            continue
        again = f"jupyter kernelspec remove {name}, or {sys.executable} -m ipykernel install --user --name {name}"
        if re.fullmatch(r"python(3(\.\d+)?)?", argv[0]):                            # Jupyter takes its own interpreter then
            yield Finding("good", "kernel", f"kernel {name!r} starts the interpreter of the Jupyter server")
        elif not (shutil.which(argv[0]) or Path(argv[0]).exists()):
            yield Finding("error", "kernel", f"kernel {name!r} starts {argv[0]}, which is not there", again)
        elif "ipykernel_launcher" in argv and "-m" in argv and (about := _about(argv[0])) and not about["ipykernel"]:
            yield Finding("error", "kernel", f"kernel {name!r} starts {argv[0]}, which has no package ipykernel",
                          f"{argv[0]} -m pip install ipykernel")
        elif not _same_environment(argv[0]):
            yield Finding("warning", "kernel", f"kernel {name!r} starts {argv[0]}, but {sys.executable} runs",
                          f"{sys.executable} -m ipykernel install --user --name dlnotes, then choose that kernel")
        else:
            yield Finding("good", "kernel", f"kernel {name!r} starts this interpreter")


def paths() -> Iterator[Finding]:
    """Variables that bend the search for modules, and packages of another Python on the list of places."""
    if os.environ.get("PYTHONHOME"):
        yield Finding("warning", "sys.path", f"PYTHONHOME is set to {os.environ['PYTHONHOME']}: every Python takes its library from there",
                      "unset PYTHONHOME and start the kernel again")
    entered = os.environ.get("VIRTUAL_ENV")
    if entered and os.path.realpath(entered) != os.path.realpath(sys.prefix):
        yield Finding("note", "sys.path", f"the environment {entered} was activated, but the interpreter of {sys.prefix} "
                      "runs, and its packages count")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for entry in dict.fromkeys(sys.path):
        match = re.search(r"[/\\](python3\.\d+)[/\\](?:site|dist)-packages$", entry, re.I)
        if match and match.group(1).lower() != version:
            why = " (from PYTHONPATH)" if entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) else ""
            yield Finding("warning", "sys.path", f"{entry}{why} holds packages of {match.group(1)}, but {version} runs: what "
                          "is compiled there fails when it is imported", "unset PYTHONPATH and start the kernel again")


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
            yield Finding("warning", "packages", f"{name} is installed twice: "
                          f"{', '.join(f'{v} in {p}' for v, p in zip(versions, places))}; the first one counts",
                          f"{sys.executable} -m pip uninstall {name}  (once or twice), then install it again")
        elif len(places) == 1 and len(copies) > 1:
            yield Finding("warning", "packages", f"{name} has several records in {places[0]} ({', '.join(versions)}), left by an "
                          "installation that was cut off", f"{sys.executable} -m pip install --force-reinstall --no-deps {name}")


    for module, names in TWINS.items():
        there = [name for name in names if name in _distributions()]
        if len(there) > 1:
            yield Finding("warning", "packages", f"{' and '.join(there)} are both installed and bring the same module {module}: which "
                          "files you have depends on the order",
                          f"{sys.executable} -m pip uninstall {' '.join(there)}, then install one of them")


def records() -> Iterator[Finding]:
    """Packages that pip cannot remove or renew, because their list of files is gone; what broken installations left behind."""
    for place in dict.fromkeys(os.path.realpath(entry) for entry in sys.path if entry.endswith("-packages")):
        for left in sorted(Path(place).glob("~*")):
            yield Finding("note", "packages", f"{left} was left by an installation that was cut off; delete it when no pip runs")
    for name, copies in sorted(_distributions().items()):
        for copy in copies:
            info = Path(str(getattr(copy, "_path", "")))
            if info.suffix == ".dist-info" and info.is_dir() and not (info / "RECORD").exists() and not (info / "direct_url.json").exists():
                if (info / "INSTALLER").exists() and (info / "INSTALLER").read_text().strip() not in ("pip", "uv"):
                    continue                                                        # a distribution's or conda's own package
                yield Finding("warning", "packages", f"{name} {copy.version} has no RECORD: pip can neither remove nor renew it",
                              f"{sys.executable} -m pip install --ignore-installed --no-deps {name}=={copy.version}")
