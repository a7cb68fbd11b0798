"""A lock belongs to one call in one process, ends with it however it ends, and says who has it; also on disks without locks."""

import os
import socket
import subprocess
import sys
import time

import pytest

from dlnotes import _lock
from dlnotes._lock import Busy, FileLock, waiting

HOLD = ("import sys; from dlnotes._lock import FileLock\n"
        "lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); sys.stdin.read()")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.lock"


@pytest.fixture
def other(path):
    """Another process that has the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_it_is_taken_once_and_its_file_goes_with_it(path):
    first, second = FileLock(path), FileLock(path)
    first.acquire()
    with pytest.raises(Busy, match=f"another call in this process .{os.getpid()}."):
        second.acquire()
    second.release()                                                        # has nothing to give back
    assert path.exists()
    first.release()
    first.release()
    assert not path.exists()
    second.acquire()
    second.release()


def test_another_process_is_named_and_when_it_is_killed_the_lock_is_free(path, other):
    with pytest.raises(Busy, match=rf"process {other.pid} .-c. on {socket.gethostname()}, since 20\d\d-"):
        FileLock(path).acquire()
    other.kill()
    other.wait()
    assert path.exists()                                                    # it could not tidy up
    lock = FileLock(path)
    lock.acquire()
    assert lock.elsewhere is None
    lock.release()


def test_waiting_says_once_for_whom_and_goes_on_when_it_ends(path, other, capsys):
    import threading

    threading.Timer(0.4, other.kill).start()
    with waiting(path, "the set is downloaded", pause=0.05):
        assert path.exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"dlnotes: waiting, the set is downloaded by process {other.pid}" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_a_process_that_is_split_off_neither_has_nor_gives_back_the_lock(path):
    lock = FileLock(path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        lock.release()
        try:
            FileLock(path).acquire()
        except Busy:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 and path.exists()
    lock.release()


def test_a_file_that_its_owner_deleted_in_between_is_made_anew(path, monkeypatch):
    real, calls = _lock._system_lock, []

    def late(handle):
        calls.append(handle)
        if len(calls) == 1:
            path.unlink()
        return real(handle)

    monkeypatch.setattr(_lock, "_system_lock", late)
    lock = FileLock(path)
    lock.acquire()
    assert len(calls) == 2 and path.exists()
    lock.release()


# ---------------------------------------------------------------- a disk without locks

@pytest.fixture
def no_locks(monkeypatch):
    monkeypatch.setattr(_lock, "_system_lock", lambda handle: None)


def test_without_locks_a_living_process_of_this_machine_still_has_it(path, other, no_locks):
    with pytest.raises(Busy, match=f"process {other.pid}"):
        FileLock(path).acquire()
    other.kill()
    other.wait()
    FileLock(path).acquire()


@pytest.mark.parametrize("change", [{"started": 1.0}, {"pid": 2**22 + 1}, {"pid": "x"}])
def test_without_locks_a_number_that_now_means_another_process_does_not_block(path, no_locks, change):
    path.write_text(__import__("json").dumps({**_lock._me(), "pid": os.getppid(), "started": _lock._started(os.getppid()), **change}))
    lock = FileLock(path)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\x01"])
def test_what_a_file_says_may_be_damaged(path, no_locks, content):
    path.write_text(content)
    lock = FileLock(path)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize(("minutes", "seen"), [(1, True), (30, False)])
def test_another_machine_that_was_there_just_now_is_named_and_does_not_block(path, minutes, seen):
    path.write_text('{"pid": 7, "host": "colab-7", "since": "2026-01-01 10:00:00", "program": "a notebook"}')
    os.utime(path, (time.time() - 60 * minutes,) * 2)
    lock = FileLock(path)
    lock.acquire()
    assert lock.elsewhere == ("process 7 (a notebook) on colab-7, since 2026-01-01 10:00:00" if seen else None)
    os.utime(path, (1, 1))
    lock.beat()
    assert time.time() - path.stat().st_mtime < 60
    lock.release()
