"""The widgets in JupyterLab, with a kernel: they mount, Python answers, arrow keys stay inside, a trusted notebook shows them unrun."""

import subprocess
import sys

import nbformat
import pytest
from lab import jupyterlab
from nbclient import NotebookClient

pytestmark = pytest.mark.browser

CELLS = {
    "tensors": "from dlnotes.widgets import TensorShapes\nw = TensorShapes(shape=(2, 3, 4), names='b h w', steps=['permute(0, 2, 1)'])\nw",
    "spectrum": "from dlnotes.widgets import SpectrumExplorer\nw = SpectrumExplorer(radius=12)\nw",
    "rank": "from dlnotes.widgets import RankExplorer\nw = RankExplorer(['disc'])\nw",
    "edges": "from dlnotes.widgets import EdgeExplorer\nw = EdgeExplorer(['disc'])\nw",
    "attention": "from dlnotes.widgets import AttentionExplorer\nw = AttentionExplorer()\nw",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running


def test_a_widget_mounts_and_python_reaches_the_page(browser, lab):
    lab.write("tensors.ipynb", CELLS["tensors"], "w.steps = ['permute(2, 0, 1)', 'reshape(4, -1)']")
    page = lab.open(browser, "tensors.ipynb")
    lab.run_all(page)
    page.wait_for_selector(".dln-widget", timeout=60_000)
    page.wait_for_function("() => document.querySelector('.dln-code-text').textContent.includes('permute(2, 0, 1)')", timeout=30_000)
    page.context.close()


@pytest.mark.parametrize("name", ["spectrum", "attention", "rank", "edges"])
def test_python_answers_the_page(browser, lab, name):
    lab.write(f"{name}.ipynb", CELLS[name])
    page = lab.open(browser, f"{name}.ipynb")
    lab.run_all(page)
    widget = page.locator(".dln-widget")
    live = widget.locator(".dln-live").locator("select, button").first
    live.wait_for(timeout=60_000)
    before = widget.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
    if live.evaluate("node => node.tagName") == "SELECT":
        live.select_option(index=live.locator("option").count() - 1)
    else:
        live.click()
    page.wait_for_function("(old) => document.querySelector('.dln-widget canvas').toDataURL() !== old", arg=before, timeout=30_000)
    page.context.close()


def test_arrow_keys_stay_in_the_widget(browser, lab):
    lab.write("keys.ipynb", CELLS["spectrum"], "1 + 1", "2 + 2")
    page = lab.open(browser, "keys.ipynb")
    lab.run_all(page)
    widget = page.locator(".dln-widget")
    widget.wait_for(timeout=60_000)
    active = "() => [...document.querySelectorAll('.jp-Cell')].findIndex(n => n.classList.contains('jp-mod-active'))"
    widget.locator(".dln-picture [tabindex='0']").first.focus()
    cell, before = page.evaluate(active), widget.locator(".dln-readout").inner_text()
    for key in ("ArrowRight", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    assert page.evaluate(active) == cell
    assert page.evaluate("document.activeElement.closest('.dln-widget') !== null")
    assert widget.locator(".dln-readout").inner_text() != before
    page.context.close()


def test_a_trusted_executed_notebook_shows_its_widgets_unrun(browser, lab):
    lab.write("executed.ipynb", *CELLS.values())
    path = lab.folder / "executed.ipynb"
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(stderr=subprocess.DEVNULL)
    nbformat.write(notebook, path)
    subprocess.run([sys.executable, "-m", "jupyter", "trust", str(path)], check=True, env=lab.environment, stdout=subprocess.DEVNULL)
    page = lab.open(browser, "executed.ipynb")
    page.wait_for_function("() => document.querySelectorAll('.dln-widget').length === 5", timeout=60_000)
    page.context.close()
