"""What the first cell of every notebook ends in: install the right dlnotes where it is missing, then say in one line what is here.

The cell itself only finds a wheel (beside the notebook, in a Kaggle data set, at the book's address) and imports this module from
it; Python reads a wheel as it is. Packages that are missing are then installed by pip into the interpreter that runs the notebook.
A constraints file freezes what the platform chose together with its driver (:data:`KEPT`), so pip fails rather than replaces it.
"""

from __future__ import annotations  # an older Python shall read this file and be told so

import importlib
import json
import os
import re
import site
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from urllib.parse import unquote, urlparse

__all__ = ["KEPT", "LaunchError", "greeting", "ready"]

KEPT = ("torch", "torchvision", "torchaudio", "numpy")
"""Packages that a platform brings in versions that fit each other; pip is forbidden to change them."""

_MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage"}     # where a package is imported by another name


class LaunchError(ImportError):
    """The notebook cannot run here; the message is a sentence that says why, and the remedy. Notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def ready(version: str, wheel: str | Path | None = None, origin: str | None = None) -> None:
    """Make ``import dlnotes`` give the wanted version with all that it needs, and print :func:`greeting`'s line.

    Args:
        version: that the chapter wants, such as ``"0.1.0"``.
        wheel: to install; None where the dlnotes that was imported is the right one (then only its missing packages are installed).
        origin: where the wheel came from, for the line; default its path.

    Raises:
        LaunchError: if Python or a kept package is too old, if pip cannot install (no internet, a proxy, no right to write,
            no pip), if a checkout of another version is in the way, or if another ``dlnotes`` is imported in the end.
    """
    wheel = None if wheel is None else Path(wheel)
    if sys.version_info < (3, 10):
        raise LaunchError(f"dlnotes {version} needs Python 3.10 or newer, and this kernel runs {sys.version.split()[0]}; "
                          "choose a newer kernel")
    if wheel is not None:
        sys.path[:] = [entry for entry in sys.path if entry != str(wheel)]      # read once; there it would pass for installed
        _refuse_to_replace_a_checkout(version)
    missing = [need for need in _requirements(wheel) if not _is_met(need)]
    for need in missing:
        name = _name(need)
        if name in KEPT and _version_of(name):
            raise LaunchError(f"dlnotes {version} needs {need}, and here is {name} {_version_of(name)}, which belongs to this platform and "
                              "stays as it is; choose a newer runtime, or an environment of your own (python -m venv)")
        if name == "torch":
            print("There is no torch here: pip fetches it, which takes gigabytes and minutes.", flush=True)
    renewed = [_name(need) for need in missing if _version_of(_name(need))]
    note = None
    if wheel is not None or missing:
        wished = [need for need in _requirements(wheel, extra="course") if _version_of(_name(need)) is None]
        _install(version, wheel, missing, wished, downloaded=origin is not None)
        note = f"installed {', '.join(map(_name, missing))}" if wheel is None else f"installed from {origin or wheel}"
        if without := [_name(need) for need in wished if _version_of(_name(need)) is None]:
            note += f" · without {' and '.join(without)}, which some chapters compare with"
    _import_afresh(version, forget=wheel is not None)
    print(greeting(note))
    if any(_MODULES.get(name, name) in sys.modules for name in renewed):
        print(f"Restart the kernel once, then run this cell again: {', '.join(renewed)} was renewed while in use.")


def greeting(note: str | None = None) -> str:
    """One line: version, platform, Python, torch and its device.

    >>> greeting().split(" · ")[0].startswith("dlnotes ")
    True
    """
    import dlnotes
    from dlnotes import platforms

    parts = [f"dlnotes {dlnotes.__version__}", platforms.detect().name, f"Python {sys.version.split()[0]}", _torch_line()]
    return " · ".join([*parts, note] if note else parts)


def _torch_line() -> str:
    """torch and its device, without importing it: a chapter may still set variables that torch reads when it is imported, and
    Accelerate starts one process for each GPU only while this one has not touched CUDA."""
    spec = PathFinder.find_spec("torch")
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except (AttributeError, TypeError, OSError):
        return "torch is not here" if _version_of("torch") is None else f"torch {_version_of('torch')} is damaged; run: dlnotes doctor"
    version = re.search(r"""__version__ = ['"]([^'"]+)""", text).group(1)
    built_for = re.findall(r"""(?m)^(cuda|hip|xpu)\b[^=\n]*= ['"]""", text)
    names = _gpus()
    if built_for and "cuda" not in built_for:
        return f"torch {version} for {built_for[0]}"
    if names and not built_for:
        return f"torch {version} on the CPU, for which it was built, though a {names[0]} is here"
    device = names[0] if len(names) == 1 else f"{len(names)} GPUs, the first {names[0]}" if names else "the CPU"
    return f"torch {version} on {device}"


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use, from NVIDIA's own tool."""
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    names = re.findall(r"(?m)^GPU \d+: (.+?)(?: \(UUID.*)?$", said)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or "GPU-" in visible or "MIG-" in visible:
        return names
    return [names[int(index)] for index in visible.split(",") if index.strip().isdigit() and int(index) < len(names)]


# ---------------------------------------------------------------- what is needed, what is there

def _requirements(wheel: Path | None, extra: str = "") -> list[str]:
    """Such as ``["torch>=2.4", ...]``: of the wheel, of the checkout that was imported, or of the installed package.

    With ``extra`` what that extra adds: "course" is what some chapters compare with.
    """
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            found = re.findall(r"(?m)^Requires-Dist: (.+)$", archive.read(name).decode())
    elif (project := _checkout()) is not None:
        text = (project / "pyproject.toml").read_text(encoding="utf-8")
        return re.findall(r'"([^"]+)"', re.search(rf"(?ms)^{extra or 'dependencies'} = \[(.*?)^\]", text).group(1))
    else:
        try:
            found = metadata.requires("dlnotes") or []
        except metadata.PackageNotFoundError:
            found = []
    pairs = [need.replace(" ", "").replace("'", '"').partition(";")[::2] for need in found]
    return [need for need, marker in pairs if marker == (f'extra=="{extra}"' if extra else "")]


def _checkout() -> Path | None:
    """The folder of the checkout that ``dlnotes`` is imported from, or None if it is installed."""
    import dlnotes

    folder = Path(dlnotes.__file__).resolve().parent.parent
    return folder if (folder / "pyproject.toml").is_file() else None


def _name(need: str) -> str:
    return re.match(r"[\w.-]+", need).group()


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_met(need: str) -> bool:
    """Whether the installed version reaches the lower bound; we state no other kind."""
    here, least = _version_of(_name(need)), need.partition(">=")[2]
    return here is not None and _numbers(here) >= _numbers(least)


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version.split("+")[0])[:3]]


def _refuse_to_replace_a_checkout(version: str) -> None:
    """A checkout is somebody's work: pip would replace an editable one, and one on the path would hide what pip installs."""
    place = None
    spec = PathFinder.find_spec("dlnotes")
    if spec is not None and spec.origin and (Path(spec.origin).parents[1] / "pyproject.toml").is_file():
        place = Path(spec.origin).parents[1]
    try:
        direct = metadata.distribution("dlnotes").read_text("direct_url.json") or "{}"
        if json.loads(direct).get("dir_info", {}).get("editable"):
            place = Path(unquote(urlparse(json.loads(direct)["url"]).path))
    except metadata.PackageNotFoundError:
        pass
    if place is not None:
        raise LaunchError(f"This chapter wants dlnotes {version}, and {place} is a checkout of another version, which stays as it is; open "
                          f"the chapter in that checkout's book folder, or bring it to this version (git checkout v{version})")


# ---------------------------------------------------------------- pip

def _install(version: str, wheel: Path | None, missing: list[str], wished: list[str], downloaded: bool) -> None:
    """What is wished for may stay away; what is missing may not."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={_version_of(name)}\n" for name in KEPT if _version_of(name)), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
                   "--no-warn-script-location", "--constraint", str(constraints)]
        needed = [str(wheel)] if wheel is not None else missing
        places = [["--retries", "2"]]
        if wheel is not None and not downloaded:
            places.insert(0, ["--no-index"])                    # an offline bundle may hold the other wheels, too
        beside = [] if wheel is None else ["--find-links", str(wheel.parent)]
        tries = [[*needed, *wished, *beside, *place] for place in places] if wished else []
        tries += [[*needed, *beside, *place] for place in places] if missing else [[*needed, "--no-index", "--no-deps"]]
        for words in tries:
            run = subprocess.run([*command, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if run.returncode == 0:
                return
    raise LaunchError(_reason(version, missing, run.stdout))


def _reason(version: str, missing: list[str], output: str) -> str:
    """pip's many lines as one sentence with the remedy."""
    low = output.lower()
    needs = f"dlnotes {version} still needs {', '.join(missing)}" if missing else f"dlnotes {version} could not be installed"
    kept = ", ".join(f"{name} {_version_of(name)}" for name in KEPT if _version_of(name))
    if "no module named pip" in low:
        return f"{needs}, and this kernel's Python has no pip; run: {sys.executable} -m ensurepip, then this cell again"
    if "externally-managed-environment" in low:
        return (f"{needs}, and this Python belongs to the operating system; make one of your own (python3 -m venv ~/dl, then "
                "~/dl/bin/pip install jupyterlab, then ~/dl/bin/jupyter lab) and run this cell there")
    if "resolutionimpossible" in low or "conflicting dependencies" in low:
        return (f"{needs}, and no version of it fits what this platform brings and keeps ({kept}); choose a newer runtime, or an "
                "environment of your own (python -m venv)")
    if "no space left" in low:
        return f"{needs}, and the disk is full; make room, then run this cell again"
    if re.search(r"permission denied|read-only file system|not writ[e]?able", low):
        return (f"{needs}, and pip may not write here; use an environment of your own (python -m venv), or ask for dlnotes on this hub")
    if re.search(r"proxy|connection|resolve|timed out|max retries|network|no matching distribution", low):
        return (f"{needs}, and pip could not fetch it; switch the internet on (Kaggle: Settings, Internet; behind a proxy: set "
                "https_proxy), or put the wheels that are missing beside that of dlnotes (pip download on another machine; on Kaggle "
                "attach them as a data set), then run this cell again")
    said = [line.strip() for line in output.splitlines() if line.strip()]
    error = next((line for line in said if line.lower().startswith("error")), said[-1] if said else "nothing")
    return f"{needs}, and pip could not install it: {error}"


def _import_afresh(version: str, forget: bool) -> None:
    """Forget the copy that was read from the wheel, or an older one, and import what is installed now."""
    user = site.getusersitepackages()
    if Path(user).is_dir() and user not in sys.path and site.ENABLE_USER_SITE:
        site.addsitedir(user)                                   # pip may just have made it
    if forget:
        for name in [name for name in sys.modules if name.partition(".")[0] == "dlnotes"]:
            del sys.modules[name]
    importlib.invalidate_caches()
    import dlnotes

    if dlnotes.__version__ != version:
        raise LaunchError(f"This chapter wants dlnotes {version}, and Python imports {dlnotes.__version__} from "
                          f"{Path(dlnotes.__file__).parent}; remove or rename that folder, restart the kernel, then run this cell again")
