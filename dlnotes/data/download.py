"""Files from the internet that arrive whole or not at all: checksums, resuming, mirrors, safe unpacking.

pooch looks after the cache: it checks the sum and moves a complete file into place in one step. It starts again from zero
when a connection breaks, so here it is given a downloader that keeps what has come in a ``.part`` file and asks for the rest
(HTTP ``Range``, RFC 9110, section 14). A file with a wrong sum is not kept, and an archive unpacks into a folder that
appears only when all of it is there; a member that would land outside of it is refused. Two processes that want the same
file take turns: the second one waits and finds it. Proxies are those of the variables at the time of the call.
"""

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO
from urllib.parse import urlparse

from dlnotes._lock import waiting

__all__ = ["NoAnswer", "download", "file_sum", "matches", "unpack"]

_CHUNK = 1 << 18
_TRIES = 3


# ---- checksums -----------------------------------------------------------------------------------------------------

def file_sum(path: str | os.PathLike, kind: str = "sha256") -> str:
    """The checksum of a file as ``"kind:hexadecimal"``.

    Args:
        path: the file.
        kind: a name that ``hashlib`` knows, or ``"git"`` for the name that git gives to the content: SHA-1 of the word blob,
            the length and the bytes. A repository publishes that for every file that it holds.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "empty").write_bytes(b"")
    ...     file_sum(Path(folder) / "empty", "git")
    'git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    digest = hashlib.new("sha1" if kind == "git" else kind)
    if kind == "git":
        digest.update(b"blob %d\0" % os.stat(path).st_size)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


def matches(path: str | os.PathLike, checksum: str) -> bool:
    """Whether a file has the checksum ``"kind:hexadecimal"``."""
    return file_sum(path, checksum.partition(":")[0]) == checksum.lower()


# ---- downloading ---------------------------------------------------------------------------------------------------

class NoAnswer(ConnectionError):
    """No address answered; ``reasons`` says why, server by server."""

    def __init__(self, name: str, reasons: str):
        super().__init__(f"download: expected an answer for {name}, got none ({reasons}); call again to go on where it "
                         "stopped")
        self.reasons = reasons


class _WrongSum(ValueError):
    pass


def download(urls: Sequence[str], path: str | os.PathLike, checksum: str, *, progress: bool = False) -> Path:
    """Bring a file here, from the first of several addresses that has it.

    Args:
        urls: addresses (http or https) of the same file, the best first.
        path: where it shall lie. If it is there with the right sum, nothing is downloaded.
        checksum: ``"kind:hexadecimal"``, see :func:`file_sum`.
        progress: show a bar.

    Returns:
        The path.

    Raises:
        ValueError: if a file lies at the path with another sum (it is left as it is), or what came has another sum (it is
            not kept).
        NoAnswer: (a ConnectionError) if no address answers. What has come so far waits in ``<path>.part`` for the next call.
    """
    path = Path(path)
    if _complete(path, checksum):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with waiting(path.with_name(f".{path.name}.lock"), f"{path.name} is downloaded"):
        return path if _complete(path, checksum) else _first_of(urls, path, checksum, progress)


def _complete(path: Path, checksum: str) -> bool:
    """Whether the file is there; an error if something else is there."""
    if not path.exists():
        return False
    if not path.is_file() or not matches(path, checksum):
        raise ValueError(f"download: expected {checksum} at {path}, got {_what(path, checksum)}; move it away, it is "
                         "not overwritten")
    return True


def _first_of(urls: Sequence[str], path: Path, checksum: str, progress: bool) -> Path:
    wrong, silent = [], []
    for url in urls:
        if urlparse(url).scheme not in ("http", "https"):
            raise ValueError(f"download: expected an http or https address, got {url}; copy local files into place by hand")
        try:
            return _retrieve(url, path, checksum, progress)
        except _WrongSum as error:
            wrong.append(f"{urlparse(url).netloc}: {error}")
        except OSError as error:                                # also URLError and every broken connection
            if not isinstance(error, (urllib.error.URLError, ConnectionError, TimeoutError)):
                raise                                           # a full disk is no reason to try another mirror
            silent.append(f"{urlparse(url).netloc}{_through(url)}: {getattr(error, 'reason', None) or error}")
    if wrong:
        raise ValueError(f"download: expected {checksum} for {path.name}, got {'; '.join(wrong)}; nothing was kept, the "
                         "file on the server has changed or somebody tampers with it")
    raise NoAnswer(path.name, "; ".join(silent))


def _through(url: str) -> str:
    """The proxy that a request takes, in words, without the password that it may carry."""
    address = urlparse(url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if not proxy or urllib.request.proxy_bypass(address.hostname or ""):
        return ""
    place = urlparse(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[2]
    return f" through the proxy {place} ({address.scheme}_proxy)"


def _retrieve(url: str, path: Path, checksum: str, progress: bool) -> Path:
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("download: expected pooch, found none; pip install pooch") from error
    part = path.with_name(path.name + ".part")

    def fetch(address: str, output: str, _: object) -> None:
        for first in (True, False):
            resumed = _resume(address, part, progress)
            if matches(part, checksum):
                os.replace(part, output)                        # pooch moves it into place
                return
            came = file_sum(part, checksum.partition(":")[0])
            part.unlink()
            if not resumed or not first:                        # the beginning may have come from another version: once more
                raise _WrongSum(came)

    known = None if checksum.startswith("git:") else checksum
    with _quiet(pooch):
        return Path(pooch.retrieve(url, known, path.name, path.parent, downloader=fetch))


@contextmanager
def _quiet(pooch) -> Iterator[None]:
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


def _resume(url: str, part: Path, progress: bool) -> bool:
    """Load what is missing of a file into ``part``; True if some of it was there before."""
    before = part.stat().st_size if part.exists() else 0
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"User-Agent": "dlnotes", "Accept-Encoding": "identity"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            opener = urllib.request.build_opener()              # anew each time: it reads the proxy variables
            with opener.open(request, timeout=30) as answer:
                goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
                if have and not goes_on:                        # the server sends everything again
                    have = before = 0
                length = int(answer.headers.get("Content-Length") or -1)
                with open(part, "ab" if goes_on else "wb") as file:
                    came = _copy(answer, file, have, have + length if length >= 0 else None, progress)
                if length >= 0 and came < length:
                    raise ConnectionError(f"the connection broke after {have + came} of {have + length} bytes")
            return before > 0
        except urllib.error.HTTPError as error:
            if error.code != 416 or not have:                   # 416: there is nothing after what we have
                raise
            if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                return before > 0                               # it is complete
            part.unlink()                                       # longer than the file: of another version
            before = 0
        except (HTTPException, ConnectionError, TimeoutError, urllib.error.URLError) as error:
            if attempt == _TRIES - 1:
                raise ConnectionError(str(getattr(error, "reason", None) or error or type(error).__name__)) from error
    raise ConnectionError(f"the server did not agree with itself about the length in {_TRIES} tries")


def _copy(source, target: BinaryIO, have: int, total: int | None, progress: bool) -> int:
    """Copy to the end; bytes copied. Every chunk is on its way to the disk before the next is asked for."""
    bar = None
    if progress:
        try:
            from tqdm.auto import tqdm
            bar = tqdm(initial=have, total=total, unit="B", unit_scale=True, desc=Path(target.name).stem)
        except ModuleNotFoundError:
            pass
    came = 0
    try:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            target.flush()
            came += len(chunk)
            if bar is not None:
                bar.update(len(chunk))
    finally:
        if bar is not None:
            bar.close()
    return came


def _what(path: Path, checksum: str) -> str:
    return file_sum(path, checksum.partition(":")[0]) if path.is_file() else "a folder"


# ---- unpacking -----------------------------------------------------------------------------------------------------

def unpack(archive: str | os.PathLike, target: str | os.PathLike, *, limit: int = 20_000_000_000) -> Path:
    """Unpack a zip or tar archive into a folder that appears when everything is there.

    One folder at the top of the archive is left out, so that ``data.zip`` with ``data/a.png`` gives ``target/a.png``. Extras
    of macOS (``__MACOSX``, ``._name``) are skipped.

    Args:
        archive: ``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``, ``.tar.bz2`` or ``.tar.xz``.
        target: the new folder.
        limit: most bytes that it may take.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the target exists.
        ValueError: if the archive is damaged, takes more than ``limit``, or holds links or names that lead out of the
            folder.
    """
    archive, target = Path(archive), Path(target)
    if target.exists():
        raise FileExistsError(f"unpack: expected {target} not to exist, found it; move it away, nothing is overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        spent = 0
        for name, size, source in _members(archive):
            spent += size
            if spent > limit:
                raise ValueError(f"unpack: expected {archive.name} to take at most {limit:,} bytes, got more; raise limit "
                                 "if you trust it")
            path = beside.joinpath(*_inside(name, archive).parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with source() as packed, open(path, "xb") as file:
                shutil.copyfileobj(packed, file, _CHUNK)
        tops = list(beside.iterdir())
        try:
            os.replace(tops[0] if len(tops) == 1 and tops[0].is_dir() else beside, target)
        except OSError:
            if target.exists():                                 # another process was faster
                raise FileExistsError(f"unpack: expected {target} not to exist, found it at the end; nothing is overwritten") from None
            raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise                                               # a full disk says so itself
        raise ValueError(f"unpack: expected a complete zip or tar archive in {archive}, got a damaged or different file "
                         f"({error or type(error).__name__}); download it again") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def _members(archive: Path) -> Iterator[tuple]:
    """Name, size and a function that opens it, for every file in the archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _link(entry.filename, archive)
                if not entry.is_dir() and not _of_macos(entry.filename):
                    yield entry.filename, entry.file_size, lambda entry=entry: packed.open(entry)
        return
    with tarfile.open(archive) as packed:
        for entry in packed:
            if not (entry.isreg() or entry.isdir()):
                raise _link(entry.name, archive)
            if entry.isreg() and not _of_macos(entry.name):
                yield entry.name, entry.size, lambda entry=entry: packed.extractfile(entry)


def _of_macos(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] == ".DS_Store"


def _link(name: str, archive: Path) -> ValueError:
    return ValueError(f"unpack: expected only files and folders in {archive.name}, got a link or device {name!r}; do not "
                      "trust this archive")


def _inside(name: str, archive: Path) -> PurePosixPath:
    """A member's path, refused if it is absolute, climbs, or would mean a drive or a stream on Windows."""
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or windows.drive or windows.root or ".." in (*path.parts, *windows.parts) or ":" in name:
        raise ValueError(f"unpack: expected names inside the folder in {archive.name}, got {name!r}; do not trust this "
                         "archive")
    return path
