"""Clean Pythons that imitate platforms: a virtual environment with stand-ins for the packages that the platform brings, and real pip.

A stand-in is what pip and Python see of a package: its metadata, and of torch the file that names its version and its CUDA.
"""

import functools
import http.server
import os
import socket
import subprocess
import threading
import venv
import zipfile
from pathlib import Path

import pip

TORCH = """raise SystemExit("torch was imported, which only a chapter may do")"""
TORCH_VERSION = """from typing import Optional
__version__ = '{version}'
cuda: Optional[str] = {cuda}
hip: Optional[str] = None
"""


def description(name: str, version: str, requires=()) -> str:
    return "\n".join([f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {need}" for need in requires), ""])


class CleanPython:
    """A Python of its own in ``folder``, that cannot see this one's packages."""

    def __init__(self, folder: Path, with_pip: bool = True):
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.site = next(folder.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"))
        if with_pip:
            tools = folder / "tools"
            tools.mkdir()
            (tools / "pip").symlink_to(Path(pip.__file__).parent, target_is_directory=True)
            (self.site / "tools.pth").write_text(str(tools))

    def bring(self, name: str, version: str, module: str = "") -> None:
        """Install a stand-in that pip could also remove."""
        files = {f"{name}.py": module}
        if name == "torch":
            cuda = "'12.4'" if "+cu" in version else None
            files = {"torch/__init__.py": TORCH, "torch/version.py": TORCH_VERSION.format(version=version, cuda=cuda)}
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        files |= {f"{info}/METADATA": description(name, version), f"{info}/INSTALLER": "platform\n"}
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
        for path, text in files.items():
            (self.site / path).parent.mkdir(exist_ok=True)
            (self.site / path).write_text(text)

    def give_gpus(self, *names: str) -> None:
        """Put an ``nvidia-smi`` beside this Python that lists them."""
        tool = self.python.with_name("nvidia-smi")
        lines = "".join(f"echo 'GPU {index}: {name} (UUID: GPU-0000000{index})'\n" for index, name in enumerate(names))
        tool.write_text(f"#!/bin/sh\n{lines}")
        tool.chmod(0o755)

    def version(self, name: str) -> str | None:
        """Of an installed package, read from the disk."""
        found = [path.stem.split("-")[1] for path in self.site.glob(f"{name.replace('-', '_')}-*.dist-info")]
        return found[0] if found else None

    def run(self, code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
        """Run code in ``folder`` as a kernel would, without the internet and with hardly a variable of this process."""
        kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TMPDIR", "TEMP") if name in os.environ}
        offline = {name: f"http://127.0.0.1:{closed_port()}" for name in ("http_proxy", "https_proxy")}
        settings = {"PATH": str(self.python.parent), "HOME": str(self.site), "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0",
                    "no_proxy": "127.0.0.1"}
        environment = {**kept, **settings, **offline, **variables}
        return subprocess.run([str(self.python), "-c", code], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)


@functools.cache
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_wheel(folder: Path, name: str, version: str, requires=()) -> Path:
    """A wheel with nothing in it but its description."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {f"{name}.py": f"__version__ = {version!r}\n", f"{info}/METADATA": description(name, version, requires),
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


class Server:
    """Answers on this machine with the files of a folder, or with ``refuse`` (a status) to everything, proxies' CONNECT included."""

    def __init__(self, folder: Path | None = None, refuse: int | None = None):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                self.send_error(refuse) if refuse else super().do_GET()

            def do_CONNECT(self):
                self.send_error(refuse or 405)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
