"""Where a notebook runs, what survives there, and how a run copes: the facts of each platform in one table.

Colab, Kaggle, AutoDL and Binder differ in a few facts: which folder is read-only, which one outlives the session, how long a
session lasts. :func:`detect` reads them from variables and folders and changes nothing. The rest follows: :func:`stage` brings
data from a slow or read-only place to a fast one, :func:`run_folder` names a place for checkpoints, :meth:`Platform.time_left`
says when to stop, :func:`launch` trains on all GPUs from a notebook, and :func:`parse_arguments` reads a script's options in a
notebook, where the kernel's own are mixed in. Together they are a run that may lose its session at any moment::

    here = detect()
    result = fit(model, data, loss=loss, epochs=50, folder=run_folder("unet", here), time_limit=here.time_left())
"""

import argparse
import difflib
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._launch import launch
from ._lock import waiting

__all__ = ["PLATFORMS", "Platform", "detect", "launch", "parse_arguments", "run_folder", "stage"]

HOUR = 3600.0


@dataclass(frozen=True)
class Platform:
    """A place where notebooks run.

    Attributes:
        name: ``"colab"``, ``"kaggle"``, ``"autodl"``, ``"binder"``, ``"jupyterhub"`` or ``"local"``.
        work: fast folder to compute in.
        persistent: folder that outlives the session, or None where nothing does (or it is not mounted yet).
        read_only: folders that hold data and cannot be written.
        session_seconds: longest session, or None where there is no such limit.
        survives: what is left after the session, in a sentence.
        started: when the machine (the container) began, in seconds since 1970; None where that cannot be read. The session is
            as old, whichever kernel asks.
    """

    name: str
    work: Path
    persistent: Path | None
    read_only: tuple[Path, ...]
    session_seconds: float | None
    survives: str
    started: float | None = None

    def time_left(self, reserve: float = 600.0) -> float | None:
        """Seconds until the platform ends the session, less a reserve: what ``fit`` takes as ``time_limit``.

        Counted from the start of the machine, so that a training that begins in the tenth hour knows that two are left. A
        platform may end a session earlier, when nobody looks at it or a quota is used up: checkpoints help against that.

        Args:
            reserve: seconds for the last checkpoint and what comes after the training.

        Returns:
            None where there is no limit; else at least 1, with which ``fit`` makes one update and a checkpoint.

        Raises:
            ValueError: if ``reserve`` is not a number from 0 up.

        >>> detect(environ={}).time_left() is None
        True
        """
        if isinstance(reserve, bool) or not isinstance(reserve, (int, float)) or not reserve >= 0:
            raise ValueError(f"time_left: expected reserve as seconds from 0 up, got {reserve!r}; 600 is ten minutes")
        if self.session_seconds is None:
            return None
        spent = 0.0 if self.started is None else max(0.0, time.time() - self.started)
        return max(1.0, self.session_seconds - spent - reserve)

    def __str__(self) -> str:
        limit = "no limit" if self.session_seconds is None else f"{self.session_seconds / HOUR:g} hours"
        return f"{self.name}: work in {self.work}, keep in {self.persistent or 'nothing here outlives the session'}, sessions of {limit}"


# name: (variables that give it away, work, persistent, read-only, hours, what survives)
PLATFORMS: dict[str, tuple[tuple[str, ...], str, str | None, tuple[str, ...], float | None, str]] = {
    "colab": (("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION"), "/content", "/content/drive/MyDrive", (), 12,
              "Nothing but Google Drive, once it is mounted: from google.colab import drive; drive.mount('/content/drive')."),
    "kaggle": (("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_URL_BASE"), "/kaggle/working", "/kaggle/working", ("/kaggle/input",), 12,
               "Files in /kaggle/working, as the output of a version that was saved and run to its end; 20 GB at most. Between "
              "interactive sessions too, if Persistence in the notebook's settings is \"Files only\" or \"Variables and Files\"."),
    "autodl": (("AutoDLContainerUUID", "AutoDLRegion"), "/root/autodl-tmp", "/root/autodl-fs", ("/root/autodl-pub",), None,
               "The system disk and /root/autodl-tmp while the instance exists, /root/autodl-fs beyond it; an image keeps the "
               "system disk only."),
    "binder": (("BINDER_SERVICE_HOST", "BINDER_REPO_URL"), ".", None, (), None,
               "Nothing: download what you want to keep."),
    "jupyterhub": (("JUPYTERHUB_USER",), ".", "~", (), None, "The home folder, on most hubs."),
    "local": ((), ".", ".", (), None, "Everything."),
}
"""What is known of each platform. Session limits and quotas are the providers' and change; look them up before you rely on them."""


def detect(environ: Mapping[str, str] | None = None, root: str | Path = "/") -> Platform:
    """The platform that this process runs on, from its variables; nothing is changed.

    Args:
        environ: variables to read; default ``os.environ``.
        root: where absolute folders begin; for tests.

    >>> detect(environ={}).name
    'local'
    """
    environ = os.environ if environ is None else environ
    name = next(name for name, (signs, *_) in PLATFORMS.items() if not signs or any(sign in environ for sign in signs))
    _, work, persistent, read_only, hours, survives = PLATFORMS[name]

    def place(text: str) -> Path:
        if text.startswith("/"):
            return Path(root) / text.lstrip("/")
        return Path(text).expanduser().absolute()

    kept = None if persistent is None else place(persistent)
    if kept is not None and persistent.startswith("/") and not kept.is_dir():
        kept = None                                                                 # Drive is not mounted, no file storage rented
    return Platform(name, place(work), kept, tuple(map(place, read_only)), None if hours is None else hours * HOUR, survives,
                    _started(Path(root)))


def _started(root: Path) -> float | None:
    """When the first process of this machine or container began: its ticks since the boot, and the boot (both Linux)."""
    try:
        ticks = int((root / "proc/1/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(int(line.split()[1]) for line in (root / "proc/stat").read_text().splitlines() if line.startswith("btime"))
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration, AttributeError):
        return None


def run_folder(name: str, platform: Platform | None = None) -> Path:
    """A folder for the checkpoints of a run, at the place that survives best; made if it is not there.

    Args:
        name: of the run; letters, digits, ``-``, ``_`` and ``.``.
        platform: default :func:`detect`'s.

    Returns:
        ``<persistent>/runs/<name>``, or ``<work>/runs/<name>`` where nothing persists.

    Raises:
        ValueError: for another name.
        PermissionError: if the place cannot be written.
    """
    if not name or not all(c.isalnum() or c in "-_." for c in name) or set(name) == {"."}:
        raise ValueError(f"run_folder: expected a name of letters, digits, '-', '_' and '.', got {name!r}")
    platform = detect() if platform is None else platform
    folder = (platform.persistent or platform.work) / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"run_folder: expected a folder that can be written, got {folder}; pass a platform with another place")
    return folder


def stage(source: str | Path, target: str | Path) -> Path:
    """Copy a folder from a slow or read-only place to a fast one; files that are there already are not copied again.

    A file counts as there if its size and time of change agree. Each one is written beside its place and moved into it, so
    that a copy that was cut off goes on where it stopped; two kernels take turns. Nothing else in ``target`` is touched.

    Args:
        source: an existing folder (or one file).
        target: where it shall be; made if it is not there.

    Returns:
        ``target``.

    Raises:
        FileNotFoundError: if there is no such source.
        ValueError: if one of the two lies inside the other.
        OSError: if the disk has too little room: said before the first byte is copied.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        near = sorted(path.name for path in source.parent.glob("*"))[:8] if source.parent.is_dir() else []
        raise FileNotFoundError(f"stage: expected a folder to copy, got {source}, which is not there"
                                + (f"; beside it are {', '.join(near)}" if near else ""))
    a, b = source.resolve(), target.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise ValueError(f"stage: expected two separate folders, got {source} and {target}; copy to another place")
    files = {source: target} if source.is_file() else {path: target / path.relative_to(source)
                                                       for path in sorted(source.rglob("*")) if path.is_file()}
    due = {path: goal for path, goal in files.items() if not _there(path, goal)}
    needed = sum(path.stat().st_size for path in due)
    home = next(path for path in (b, *b.parents) if path.exists())
    free = shutil.disk_usage(home).free
    if needed > free:
        raise OSError(f"stage: expected {needed / 2**30:.2f} GiB of free space at {home}, got {free / 2**30:.2f}; "
                      "stage a part of the data, or read it where it is")
    if not due:
        return target
    place = target.parent if source.is_file() else target
    place.mkdir(parents=True, exist_ok=True)
    with waiting(place / ".stage.lock", f"{target.name} is copied"):
        for path, goal in due.items():
            if _there(path, goal):                                                  # another kernel was faster
                continue
            goal.parent.mkdir(parents=True, exist_ok=True)
            partial = goal.with_name(goal.name + ".part")
            shutil.copyfile(path, partial)
            shutil.copystat(path, partial)
            os.chmod(partial, 0o644)                                                # a read-only source leaves no mark
            os.replace(partial, goal)
    return target


def _there(path: Path, goal: Path) -> bool:
    if not goal.is_file():
        return False
    one, other = path.stat(), goal.stat()
    return one.st_size == other.st_size and abs(one.st_mtime - other.st_mtime) < 2  # some file systems count in two seconds


def parse_arguments(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Like ``parser.parse_args``, in a script and in a notebook alike.

    A notebook's ``sys.argv`` belongs to the kernel (``-f …/kernel-1.json``), so ``parse_args`` ends the session there.
    ``parse_known_args`` forgives that, and every misspelt option with it: ``--epohcs 50`` trains for the default number.
    Here the kernel's own arguments are dropped, and anything else that the parser does not know is an error.

    Args:
        parser: with the options of the script.
        argv: default ``sys.argv[1:]``, without the kernel's part in a notebook.

    Raises:
        ValueError: if an argument is not known; the nearest option is named. (In a script, too, so that a test can catch it.)
    """
    if argv is None:
        argv = sys.argv[1:]
        if "ipykernel" in sys.modules or Path(sys.argv[0]).name in ("ipykernel_launcher.py", "colab_kernel_launcher.py"):
            argv = _without_kernel(argv)
    known, unknown = parser.parse_known_args(list(argv))
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        wrong = unknown[0].split("=")[0]
        near = difflib.get_close_matches(wrong, options, n=1)
        raise ValueError(f"parse_arguments: expected only {', '.join(options)}, got {' '.join(unknown)}"
                         + (f"; did you mean {near[0]}" if near else ""))
    return known


def _without_kernel(argv: Sequence[str]) -> list[str]:
    """Drop what a Jupyter kernel was started with: ``-f file.json``, ``--f=file.json``, ``--HistoryManager.…``."""
    kept, words = [], iter(argv)
    for word in words:
        if word in ("-f", "--f"):
            next(words, None)
        elif not (word.startswith(("--f=", "-f=")) or (word.startswith("--") and "." in word.split("=")[0])):
            kept.append(word)
    return kept
