"""The machine around the interpreter: memory, disk, what survives, clock, encoding, fonts, browser."""

import locale
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from dlnotes import platforms

from .report import Finding

__all__ = ["browser", "clock", "disk", "encoding", "fonts", "memory", "mounts", "shared_memory", "survival"]

GIB = 2**30
IN_MEMORY = ("tmpfs", "ramfs")
LAYERS = ("overlay", "aufs")
NETWORK = re.compile(r"nfs|cifs|smb|9p|lustre|beegfs|ceph|gluster|gpfs|fuse(?!blk|ctl)|drvfs|afs")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome", "firefox")


def memory_available(root: Path = Path("/")) -> int | None:
    """Bytes that a process may still take: of the machine, or of the container if that allows less. None where it cannot be read."""
    info = root / "proc/meminfo"
    if not info.exists():
        return _memory_elsewhere()
    lines = dict(line.split(":") for line in info.read_text().splitlines() if ":" in line)
    free = int(lines["MemAvailable"].split()[0]) * 1024
    for folder, limit, used in _groups(root):
        if (folder / limit).exists() and (folder / used).exists():
            text = (folder / limit).read_text().strip()
            if text.isdigit():
                free = min(free, int(text) - int((folder / used).read_text()))
    return max(free, 0)


def _groups(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Folders of the control groups that this process is in, with the names of the files for limit and use."""
    group = root / "proc/self/cgroup"
    own = {line.split(":", 2)[1]: line.split(":", 2)[2].strip("/") for line in group.read_text().splitlines()} if group.exists() else {}
    here = Path(own.get("", ""))
    for part in (here, *here.parents):
        yield root / "sys/fs/cgroup" / part, "memory.max", "memory.current"
    for part in {Path(own.get("memory", "")), Path()}:
        yield root / "sys/fs/cgroup/memory" / part, "memory.limit_in_bytes", "memory.usage_in_bytes"


def _memory_elsewhere() -> int | None:
    """The same on macOS and Windows."""
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        return None


def memory() -> Iterator[Finding]:
    """Main memory that is left."""
    free = memory_available()
    if free is None:
        return
    if free < 2 * GIB:
        yield Finding("warning", "memory", f"{free / GIB:.1f} GiB are left; chapters need up to 2",
                      "close other notebooks: each kernel keeps its memory")
    else:
        yield Finding("good", "memory", f"{free / GIB:.1f} GiB are left, for {_cores()} cores")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def disk() -> Iterator[Finding]:
    """Room on the disk, where this runs and where temporary files go."""
    for place in dict.fromkeys((os.getcwd(), tempfile.gettempdir(), str(Path.home()))):
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            yield Finding("warning", "disk", f"{place} cannot be read: {error.strerror}", "choose another folder, or mend its permissions")
            continue
        if free < GIB:
            yield Finding("error" if free < GIB / 10 else "warning", "disk", f"{free / GIB:.2f} GiB are left in {place}",
                          f"du -xh -d 2 {place} | sort -h | tail, then delete what you do not need")
        elif not os.access(place, os.W_OK):
            yield Finding("warning" if place != str(Path.home()) else "note", "disk", f"{place} cannot be written",
                          "work in another folder, for example the one that `dlnotes.platforms.detect().work` names")
        else:
            yield Finding("good", "disk", f"{free / GIB:.1f} GiB are left in {place}")


def mounts(table: str = "/proc/mounts") -> Iterator[Finding]:
    """On what kind of disk the places lie that matter here, and whether that outlives a restart of the machine."""
    if not Path(table).is_file():
        return
    lines = [line.split() for line in Path(table).read_text(encoding="utf-8", errors="replace").splitlines()]
    known = [(_unescape(point), kind, options.split(",")) for _, point, kind, options, *_ in (line for line in lines if len(line) >= 4)]
    here = platforms.detect()
    places = {os.getcwd(): "this folder", str(Path.home()): "home", str(here.work): "the working folder",
              str(here.persistent or here.work): "the folder for results", **{str(p): "the input" for p in here.read_only},
              tempfile.gettempdir(): "temporary files", os.getcwd(): "this folder"}
    ordinary = []
    for place, what in places.items():
        real = os.path.realpath(place)
        fitting = [mount for mount in known if real == mount[0] or real.startswith(mount[0].rstrip("/") + "/")]
        if not fitting or not os.path.isdir(place):
            continue
        longest = max(len(mount[0]) for mount in fitting)
        point, kind, options = [mount for mount in fitting if len(mount[0]) == longest][-1]       # a later one covers an earlier one
        text = f"{what}, {place}, lies on {point} ({kind})"
        if kind in IN_MEMORY and what != "temporary files":
            yield Finding("warning" if what == "this folder" else "note", "mounts", f"{text}: in memory, gone when the machine stops",
                          f"cp -r {place} to a folder on a disk; df -h lists them")
        elif "ro" in options:
            yield Finding("note", "mounts", f"{text}: it can only be read; dlnotes.platforms.stage copies from it")
        elif NETWORK.search(kind):
            yield Finding("note", "mounts", f"{text}: a network disk; it outlives this machine, and is slow for many small files "
                          "(dlnotes.platforms.stage copies them once)")
        elif kind in LAYERS:
            yield Finding("note", "mounts", f"{text}: the container's own layer, gone when the container is made anew")
        else:
            ordinary.append(f"{what} on {point} ({kind})")
    if ordinary:
        yield Finding("good", "mounts", f"disks of this machine: {', '.join(ordinary)}")


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def shared_memory(place: str = "/dev/shm") -> Iterator[Finding]:
    """Where the workers of a ``DataLoader`` hand over their batches."""
    if not Path(place).is_dir():
        return
    size = shutil.disk_usage(place).total
    if size < GIB:
        yield Finding("warning", "shared memory", f"{place} holds {size / 2**20:.0f} MiB: workers of a DataLoader may die with a bus error",
                      "num_workers=0, or start the container with --shm-size=8g")
    else:
        yield Finding("good", "shared memory", f"{place} holds {size / GIB:.1f} GiB")


def survival() -> Iterator[Finding]:
    """Which platform this is, and what outlives the session."""
    platform = platforms.detect()
    if platform.name == "local":
        yield Finding("good", "platform", "local machine")
    elif platform.persistent is None:
        yield Finding("warning", "platform", f"{platform}", platform.survives)
    else:
        yield Finding("note", "platform", f"{platform}. {platform.survives}")


def clock(now: float | None = None) -> Iterator[Finding]:
    """A clock that is behind makes certificates invalid and caches stale. Files of the package and of this folder are witnesses."""
    now = time.time() if now is None else now
    package = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
    ahead = sorted(path.name for path in Path.cwd().iterdir() if path.lstat().st_mtime > now + 86400)
    cure, says = "set the clock; in a virtual machine, start it again", f"it says {time.strftime('%Y-%m-%d', time.localtime(now))}"
    if now < package - 86400:
        yield Finding("error", "clock", f"{says}, which is before these files were written", cure)
    elif ahead:
        yield Finding("warning", "clock", f"{says}, and {ahead[0]} in this folder is of a later day: "
                      " the clock here is behind, or that of the machine where it was written is ahead", cure)
    else:
        yield Finding("good", "clock", time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(now)))


def encoding() -> Iterator[Finding]:
    """Text files without a named encoding are read in this one; GBK and UTF-8 do not mix."""
    name = locale.getpreferredencoding(False)
    if name.lower().replace("-", "") == "utf8":
        yield Finding("good", "encoding", name)
    else:
        yield Finding("warning", "encoding", f"text is read as {name}: files with Chinese in UTF-8 will not open",
                      "set PYTHONUTF8=1, then start the kernel again")


CHINESE = re.compile("cjk|simhei|simsun|yahei|msyh|pingfang|wqy|wenquanyi|heiti|source ?han|droidsansfallback|uming|ukai|lxgw|hiragino",
                     re.I)


def fonts() -> Iterator[Finding]:
    """Whether figures can show Chinese: the files of fonts, and matplotlib's own list of them. Where there is no list yet, none
    is made, because it would be written to the home folder."""
    files, listed = _font_files(), _listed_fonts()
    if listed or (files and listed is None):
        yield Finding("good", "fonts", f"Chinese in figures: {(listed or files)[0]}")
    elif files:
        yield Finding("warning", "fonts", f"{files[0]} is installed, but matplotlib's list of fonts is older and leaves it out",
                      f"{sys.executable} -c \"import matplotlib.font_manager as f; f._load_fontmanager(try_read_cache=False)\"")
    else:
        yield Finding("note", "fonts", "no Chinese font: figures show boxes instead; Debian has fonts-noto-cjk")


def _listed_fonts() -> list[str] | None:
    """Chinese fonts in matplotlib's list, in memory or in its newest file; None if there is none."""
    manager = sys.modules.get("matplotlib.font_manager")
    if manager is not None:
        return sorted({font.name for font in manager.fontManager.ttflist if CHINESE.search(font.name)})
    home = Path.home()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    places = [os.environ.get("MPLCONFIGDIR"), cache / "matplotlib", home / ".matplotlib"]
    spec = PathFinder.find_spec("matplotlib", sys.path)
    source = Path(spec.origin).with_name("font_manager.py") if spec and spec.origin else None
    version = re.search(r"__version__ = ['\"]?([\w.]+)", source.read_text(encoding="utf-8")) if source and source.exists() else None
    lists = [Path(place) / f"fontlist-v{version.group(1)}.json" for place in places if place and version]
    text = next((path.read_text(encoding="utf-8", errors="replace") for path in lists if path.is_file()), None)
    if text is None:
        return None
    return sorted({name for name in re.findall(r'"name": "([^"]+)"', text) if CHINESE.search(name)})


def _font_files() -> list[str]:
    """Names of the files of Chinese fonts, where each system keeps its fonts."""
    home = Path.home()
    places = [home / ".fonts", home / ".local/share/fonts", home / "Library/Fonts", Path("/usr/share/fonts"),
              Path("/usr/local/share/fonts"), Path("/System/Library/Fonts"), Path("/Library/Fonts"),
              Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    found = {file for place in places for _, _, files in os.walk(place) for file in files
             if file.lower().endswith((".ttf", ".ttc", ".otf")) and CHINESE.search(file)}
    return sorted(found)


def browser() -> Iterator[Finding]:
    """A browser for the page tests."""
    wanted = os.environ.get("DLNOTES_BROWSER")
    found = wanted or next(filter(None, map(shutil.which, BROWSERS)), None)
    if wanted and not shutil.which(wanted):
        yield Finding("warning", "browser", f"DLNOTES_BROWSER names {wanted}, which is no program", "unset DLNOTES_BROWSER, or correct it")
    else:
        yield Finding("good" if found else "note", "browser", found or "none on the PATH: the tests of pages are left out")
