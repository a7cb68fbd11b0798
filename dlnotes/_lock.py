"""One process at a time: a lock file that a dead process cannot hold.

The operating system keeps the lock (``lockf``, on Windows ``locking``) and ends it with the process, however that ended. The
file itself says who has it, for the message to whoever comes second; it is deleted on release. Where a disk knows no locks,
as some network disks do not, that content decides: a process of this machine that lives still has it.

Another machine's lock can only be seen where the disk passes locks on (NFS does). So a file that another machine left and
that changed in the last minutes does not block, because its owner may be dead: :attr:`FileLock.elsewhere` names it.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Busy", "FileLock", "waiting"]

_FAR = 1 << 30                                                      # byte that Windows locks: the content stays readable
_FRESH = 600.0                                                      # seconds for which a sign of life counts
_held: set[tuple[int, str]] = set()                                 # locks of the system do not separate calls in one process
_guard = threading.Lock()


class Busy(RuntimeError):
    """Somebody else has the lock; the text says who."""


class FileLock:
    """A lock on a name.

    Args:
        path: of the lock file; its folder has to exist when :meth:`acquire` is called.

    Attributes:
        elsewhere: after :meth:`acquire`, a process of another machine that may still be at work, in words; or None.
    """

    def __init__(self, path: str | os.PathLike):
        self.path, self.elsewhere = Path(path), None
        self._handle, self._key = None, None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            Busy: if somebody else has it, in this process or in another one.
            OSError: if the file cannot be made.
        """
        key = (os.getpid(), os.path.realpath(self.path))
        with _guard:
            if key in _held:
                raise Busy(f"another call in this process ({os.getpid()})")
            _held.add(key)
        try:
            self._handle = self._take()
            self._key = key
        finally:
            if self._key is None:
                _held.discard(key)

    def _take(self) -> int:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                locked = _system_lock(handle)
                holder = _read(handle)
                if locked is False or (locked is None and _lives(holder)):
                    raise Busy(_describe(holder))
                if not _is(self.path, handle):                      # its last owner deleted it in between
                    os.close(handle)
                    continue
                if holder and holder.get("host") != socket.gethostname() and time.time() - os.fstat(handle).st_mtime < _FRESH:
                    self.elsewhere = _describe(holder)
                with suppress(OSError):                             # a full disk: the lock holds without words
                    os.ftruncate(handle, 0)
                    os.lseek(handle, 0, os.SEEK_SET)
                    os.write(handle, json.dumps(_me()).encode())
                return handle
            except BaseException:
                with suppress(OSError):
                    os.close(handle)
                raise

    def beat(self) -> None:
        """A sign of life, for other machines."""
        with suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Give the lock back; nothing happens if this process has not got it."""
        if self._handle is None or self._key[0] != os.getpid():     # a forked worker has a copy of this object
            return
        handle, self._handle = self._handle, None
        if os.name == "nt":                                         # an open file cannot be deleted there
            os.close(handle)
            with suppress(OSError):
                os.unlink(self.path)
        else:
            with suppress(OSError):
                os.unlink(self.path)
            os.close(handle)
        _held.discard(self._key)
        self._key = None


@contextmanager
def waiting(path: str | os.PathLike, task: str, pause: float = 0.1) -> Iterator[None]:
    """Hold the lock at ``path``; wait for whoever has it, and say once on stderr what is waited for."""
    lock, said = FileLock(path), False
    while True:
        try:
            lock.acquire()
            break
        except Busy as error:
            if not said:
                print(f"dlnotes: waiting, {task} by {error}", file=sys.stderr, flush=True)
                said = True
            time.sleep(pause)
    try:
        yield
    finally:
        lock.release()


def _system_lock(handle: int) -> bool | None:
    """True: it is ours. False: somebody has it. None: this disk knows no locks."""
    if os.name == "nt":
        import msvcrt

        try:
            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            return True
        except OSError:
            return False
    import errno
    import fcntl

    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None


def _is(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except OSError:
        return False


def _started(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None if there is none of that number (or nobody can tell)."""
    try:
        import psutil

        return psutil.Process(pid).create_time()
    except Exception:                                               # no such process, not ours to see, no psutil
        return None


def _me() -> dict:
    pid = os.getpid()
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    return {"pid": pid, "host": socket.gethostname(), "started": _started(pid), "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "program": "a notebook" if "kernel_launcher" in program else program}


def _read(handle: int) -> dict:
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        content = json.loads(os.read(handle, 4096))
        return content if isinstance(content, dict) else {}
    except (ValueError, OSError):
        return {}


def _lives(holder: dict) -> bool:
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int) or holder["pid"] == os.getpid():
        return False
    started = _started(holder["pid"])
    return started is not None and (holder.get("started") is None or abs(started - holder["started"]) < 2)


def _describe(holder: dict) -> str:
    if "pid" not in holder:
        return "another process"
    program = f" ({holder['program']})" if holder.get("program") else ""
    return f"process {holder['pid']}{program} on {holder.get('host')}, since {holder.get('since')}"
