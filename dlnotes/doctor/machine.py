"""The machine around the interpreter: memory, disk, what survives, clock, encoding, fonts, browser, internet."""

import locale
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from dlnotes import platforms

from .report import Finding

__all__ = ["browser", "clock", "disk", "encoding", "fonts", "internet", "memory", "shared_memory", "survival"]

GIB = 2**30
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome", "firefox")


def memory_available(root: Path = Path("/")) -> int | None:
    """Bytes that a process may still take: of the machine, or of the container if that allows less. None where it cannot be read."""
    info = root / "proc/meminfo"
    if not info.exists():
        return None
    lines = dict(line.split(":") for line in info.read_text().splitlines() if ":" in line)
    free = int(lines["MemAvailable"].split()[0]) * 1024
    for limit, used in (("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
                        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes")):
        if (root / limit).exists() and (root / used).exists():
            text = (root / limit).read_text().strip()
            if text.isdigit():
                free = min(free, int(text) - int((root / used).read_text()))
    return max(free, 0)


def memory() -> Iterator[Finding]:
    """Main memory that is left."""
    free = memory_available()
    if free is None:
        return
    if free < 2 * GIB:
        yield Finding("warning", "memory", f"{free / GIB:.1f} GiB are left; chapters need up to 2", "close other notebooks: each kernel keeps its memory")
    else:
        yield Finding("good", "memory", f"{free / GIB:.1f} GiB are left, for {os.cpu_count()} cores")


def disk() -> Iterator[Finding]:
    """Room on the disk, where this runs and where temporary files go."""
    import tempfile

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
    """A clock that is behind makes certificates invalid and caches stale."""
    now = time.time() if now is None else now
    newest = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
    if now < newest - 86400:
        yield Finding("error", "clock", f"it says {time.strftime('%Y-%m-%d', time.localtime(now))}, which is before these files were written",
                      "set the clock; in a virtual machine, start it again")
    else:
        yield Finding("good", "clock", time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(now)))


def encoding() -> Iterator[Finding]:
    """Text files without a named encoding are read in this one; GBK and UTF-8 do not mix."""
    name = locale.getpreferredencoding(False)
    if name.lower().replace("-", "") == "utf8":
        yield Finding("good", "encoding", name)
    else:
        yield Finding("warning", "encoding", f"text is read as {name}: files with Chinese in UTF-8 will not open", "set PYTHONUTF8=1, then start the kernel again")


def fonts() -> Iterator[Finding]:
    """Whether figures can show Chinese."""
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    found = sorted(name for name in known if any(part in name for part in ("CJK", "SimHei", "YaHei", "PingFang", "WenQuanYi", "Heiti", "Source Han")))
    if found:
        yield Finding("good", "fonts", f"Chinese in figures: {found[0]}")
    else:
        yield Finding("note", "fonts", "no Chinese font: figures show boxes instead; Debian has fonts-noto-cjk")


def browser() -> Iterator[Finding]:
    """A browser for the page tests."""
    found = os.environ.get("DLNOTES_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    yield Finding("good" if found else "note", "browser", found or "none on the PATH: the tests of pages are left out")


def internet(address: tuple[str, int] = ("1.1.1.1", 443), timeout: float = 2.0) -> Iterator[Finding]:
    """Whether another machine answers; which proxy variables are set (their values may hold a password and are not shown)."""
    proxies = [name for name in PROXIES if os.environ.get(name)]
    through = f"; set: {', '.join(proxies)}" if proxies else ""
    try:
        socket.create_connection(address, timeout=timeout).close()
        yield Finding("good", "internet", f"reachable{through}")
    except OSError:
        cure = {"kaggle": "switch it on in the notebook's settings (a verified account is needed)"}.get(platforms.detect().name, "")
        text = f"not reachable directly{through}: shipped data and weights work, downloads may not"
        yield Finding("note", "internet", text + (f"; {cure}" if cure else ""))


