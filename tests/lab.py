"""A JupyterLab server of our own for tests and benchmarks: on this machine only, with its own settings and trust."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat


@dataclass
class Lab:
    """A running server: where notebooks lie, the environment it runs in, and its port."""

    folder: Path
    environment: dict[str, str]
    port: int

    def write(self, name: str, *cells: str) -> None:
        """Write a notebook of code cells into the server's folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        nbformat.write(notebook, self.folder / name)

    def open(self, browser, name: str):
        """A new page that shows a notebook."""
        page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
        page.goto(f"http://127.0.0.1:{self.port}/lab/tree/{name}?token=t&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        return page

    def run_all(self, page) -> None:
        """Run every cell, once the kernel listens: until then JupyterLab puts cells aside, or asks in a dialog."""
        self.wait_for_kernel(page.url.split("/tree/")[1].split("?")[0])
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_function("""() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
            .every(prompt => /\\d/.test(prompt.textContent))""", timeout=90_000)

    def wait_for_kernel(self, name: str) -> None:
        """Until the notebook's kernel is idle and the page is connected to it."""
        for _ in range(300):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/sessions?token=t") as answer:
                kernel = next((session["kernel"] for session in json.load(answer) if session["path"] == name), None)
            if kernel and kernel["execution_state"] == "idle" and kernel["connections"]:
                return
            time.sleep(0.2)
        raise RuntimeError(f"the kernel of {name} was not ready within 60 s")


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[Lab]:
    """Start JupyterLab under ``folder``; stop it afterwards."""
    notebooks, config, data = (folder / name for name in ("notebooks", "config", "data"))
    for path in (notebooks, config / "labconfig", data):
        path.mkdir(parents=True)
    (config / "labconfig" / "page_config.json").write_text(json.dumps(
        {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(config), "JUPYTER_DATA_DIR": str(data)}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
         "--IdentityProvider.token=t", f"--ServerApp.root_dir={notebooks}"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token=t").read()
                break
            except OSError:
                time.sleep(0.2)
        else:
            raise RuntimeError("JupyterLab did not start within 60 s")
        yield Lab(notebooks, environment, port)
    finally:
        server.terminate()
        server.wait()
