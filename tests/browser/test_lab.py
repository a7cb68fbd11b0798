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


FULL = """import torch
from dlnotes.widgets import AttentionExplorer, attention
w = AttentionExplorer()
errors = [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), KeyError("no such layer")]
look = attention._look
def on_a_full_gpu(*arguments):
    if errors:
        raise errors.pop()      # the last comes first
    return look(*arguments)
attention._look = on_a_full_gpu
w"""


def test_an_update_that_runs_out_of_cuda_memory_goes_on_with_the_cpu_and_says_so(browser, lab):
    lab.write("full.ipynb", FULL)
    page = lab.open(browser, "full.ipynb")
    lab.run_all(page)
    widget = page.locator(".dln-widget")
    another, said = widget.locator(".dln-live button").first, widget.locator(".dln-notice[role=status]")
    another.wait_for(timeout=60_000)
    assert said.inner_text() == ""
    before = widget.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
    for sentence in ("Python could not do this. KeyError: 'no such layer'", "CUDA ran out of memory. This was computed on the CPU instead"):
        another.click()
        said.get_by_text(sentence).wait_for(timeout=30_000)
    page.wait_for_function("(old) => document.querySelector('.dln-widget canvas').toDataURL() !== old", arg=before, timeout=30_000)
    another.click()
    page.wait_for_function("document.querySelector('.dln-widget [role=status]').textContent === ''", timeout=30_000)
    page.context.close()


def test_the_projector_key_fills_the_screen_and_stays_in_the_widget(browser, lab):
    lab.write("projector.ipynb", CELLS["spectrum"], "1 + 1")
    page = lab.open(browser, "projector.ipynb")
    lab.run_all(page)
    picture = page.locator(".dln-picture [tabindex='0']").first
    picture.wait_for(timeout=60_000)
    cells = page.locator(".jp-Cell").count()
    picture.focus()
    page.keyboard.press("f")
    page.locator(".dln-shell[data-settled]").wait_for(state="attached")
    assert page.evaluate("document.fullscreenElement.className").startswith("dln dln-shell dln-projector")
    for key in ("ArrowDown", "f"):
        page.keyboard.press(key)
    page.locator(".dln-shell[data-settled]").wait_for(state="detached")
    assert page.evaluate("document.fullscreenElement") is None
    assert page.locator(".jp-Cell").count() == cells and page.locator(".jp-DocumentSearch-overlay, .jp-Dialog").count() == 0
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
