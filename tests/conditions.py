"""Bad conditions that tests make on purpose: a folder that even root cannot write, a proxy, a snapshot of a tree."""

import contextlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WITHOUT_POWER = ("import ctypes, os, sys\n"
                 "if sys.platform == 'linux' and os.geteuid() == 0:\n"
                 "    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)\n"       # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE: modes bind root as well
                 "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])")


@contextlib.contextmanager
def read_only(folder: Path):
    """Nothing below the folder can be written by a process of :func:`bound_by_modes`."""
    everything = [folder, *folder.rglob("*")]
    before = {path: path.stat().st_mode for path in everything if not path.is_symlink()}
    for path, mode in before.items():
        path.chmod(mode & ~0o222)
    try:
        yield folder
    finally:
        for path, mode in before.items():
            path.chmod(mode)


def bound_by_modes(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run Python as a user whom the modes of files bind, root included."""
    return subprocess.run([sys.executable, "-c", WITHOUT_POWER, *map(str, arguments)], capture_output=True, text=True, **options)


def snapshot(folder: Path) -> dict[str, tuple]:
    """Every file below a folder with size and time of change."""
    return {path.relative_to(folder).as_posix(): (path.is_dir(), path.lstat().st_size, path.lstat().st_mtime_ns)
            for path in sorted(folder.rglob("*"))}


def home(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a process whose home is that folder; nothing else points elsewhere."""
    bent = ("XDG_", "MPL", "JUPYTER", "IPYTHON", "SKIMAGE", "TORCH_HOME", "HF_", "TMPDIR", "HOME", "USERPROFILE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(bent)}
    return {**kept, "HOME": str(folder), "USERPROFILE": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **more}


class Proxy(BaseHTTPRequestHandler):
    """A proxy that notes what it is asked for; it answers itself and sends nothing on."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        content = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def proxy(content: bytes = b"", status: int = 200):
    """A proxy on this machine: ``.place`` is host:port, ``.asked`` what came, ``.status`` its answer to CONNECT."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.content, server.status, server.asked = content, status, []
        server.place = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
