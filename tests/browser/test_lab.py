"""The widgets in JupyterLab, with a kernel: they mount, Python answers, arrow keys stay inside, a trusted notebook shows them unrun."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.browser

CELLS = {
    "tensors": "from dlnotes.widgets import TensorShapes\nw = TensorShapes(shape=(2, 3, 4), names='b h w', steps=['permute(0, 2, 1)'])\nw",
    "spectrum": "from dlnotes.widgets import SpectrumExplorer\nw = SpectrumExplorer(radius=12)\nw",
    "attention": "from dlnotes.widgets import AttentionExplorer\nw = AttentionExplorer()\nw",
}


def notebook_of(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on this machine only; returns (address with token, folder)."""
    root, config = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("config")
    (config / "labconfig").mkdir()
    (config / "labconfig" / "page_config.json").write_text(json.dumps(
        {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # its own data folder too: JupyterLab keeps there which notebooks are trusted
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(config), "JUPYTER_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
         "--IdentityProvider.token=t", f"--ServerApp.root_dir={root}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(150):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token=t").read()
            break
        except OSError:
            time.sleep(0.2)
    else:
        server.kill()
        pytest.fail("JupyterLab did not start within 30 s")
    yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token=t&reset", root, environment
    server.terminate()
    server.wait()


def open_notebook(browser, lab, name):
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.goto(lab[0].format(name))
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    return page


def run_all(page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()


def kernel_ready(page):
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)


def test_a_widget_mounts_and_python_reaches_the_page(browser, lab):
    nbformat.write(notebook_of(CELLS["tensors"], "w.steps = ['permute(2, 0, 1)', 'reshape(4, -1)']"), lab[1] / "tensors.ipynb")
    page = open_notebook(browser, lab, "tensors.ipynb")
    kernel_ready(page)
    run_all(page)
    page.wait_for_selector(".dln-widget", timeout=60_000)
    page.wait_for_function("() => document.querySelector('.dln-code-text').textContent.includes('permute(2, 0, 1)')", timeout=30_000)
    page.context.close()


def test_python_answers_the_page_and_arrow_keys_stay_inside(browser, lab):
    nbformat.write(notebook_of(CELLS["spectrum"], "1 + 1"), lab[1] / "spectrum.ipynb")
    page = open_notebook(browser, lab, "spectrum.ipynb")
    kernel_ready(page)
    run_all(page)
    widget = page.locator(".dln-widget")
    widget.wait_for(timeout=60_000)
    live = widget.locator(".dln-live select")
    live.wait_for(timeout=30_000)
    before = widget.locator(".dln-readout").inner_text()
    live.select_option(index=live.locator("option").count() - 1)
    page.wait_for_function("(old) => document.querySelector('.dln-readout').innerText !== old", arg=before, timeout=30_000)

    active = "() => [...document.querySelectorAll('.jp-Cell')].findIndex(n => n.classList.contains('jp-mod-active'))"
    target = widget.locator(".dln-picture [tabindex='0']").first
    target.focus()
    index, before = page.evaluate(active), widget.locator(".dln-readout").inner_text()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert page.evaluate(active) == index
    assert target.evaluate("node => node.contains(document.activeElement) || document.activeElement.closest('.dln-widget') !== null")
    assert widget.locator(".dln-readout").inner_text() != before
    page.context.close()


def test_a_trusted_executed_notebook_shows_its_widgets_unrun(browser, lab):
    notebook = notebook_of(*CELLS.values())
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(stderr=subprocess.DEVNULL)
    path = lab[1] / "executed.ipynb"
    nbformat.write(notebook, path)
    subprocess.run([sys.executable, "-m", "jupyter", "trust", str(path)], check=True, env=lab[2], stdout=subprocess.DEVNULL)
    page = open_notebook(browser, lab, "executed.ipynb")
    page.wait_for_function("() => document.querySelectorAll('.dln-widget').length === 3", timeout=60_000)
    page.context.close()
