"""Both addresses of the course stand in one place; every other place agrees with it, and the links made of them are right."""

import re
import sys
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import addresses  # noqa: E402
import first_cell  # noqa: E402

TEXT = {".py", ".md", ".yml", ".yaml", ".toml", ".cff", ".ipynb", ".js", ".css", ".html", ".txt", ".cfg", ""}
OUTPUT = {".git", ".venv", "_build", "__pycache__", ".hypothesis", ".pytest_cache", ".ipynb_checkpoints"}
OURS = re.compile(r"https?://(?:www\.)?(?:github\.com|raw\.githubusercontent\.com)/[\w.-]+/dlnotes\b"
                  r"|https?://dlnotes\.[\w.]+(?:/dlnotes\b)?", re.I)


def tree():
    for path in ROOT.rglob("*"):
        if path.is_file() and path.suffix in TEXT and not OUTPUT & set(path.relative_to(ROOT).parts):
            yield path


def test_no_other_address_of_the_course_stands_anywhere_in_the_tree():
    wrong = {(path.relative_to(ROOT).as_posix(), found) for path in tree()
             for found in OURS.findall(path.read_text(encoding="utf-8", errors="ignore"))
             if found not in (addresses.BOOK, addresses.REPOSITORY)}
    assert not wrong


def test_the_search_for_addresses_would_find_another():
    other = ["https://github.com/some" "body/dlnotes", "https://raw.githubusercontent.com/x/" "dlnotes/main", "http://dlnotes" ".org/wheel"]
    assert all(OURS.search(text) for text in other) and OURS.fullmatch(addresses.BOOK) and OURS.fullmatch(addresses.REPOSITORY)


def test_the_addresses_end_without_a_slash_and_the_folder_is_there():
    assert not {addresses.BOOK[-1], addresses.REPOSITORY[-1], addresses.FOLDER[-1]} & {"/"}
    assert (ROOT / addresses.FOLDER / "intro.ipynb").exists() and addresses.BRANCH


def test_a_chapter_opens_on_each_platform():
    assert addresses.launch_links("02_cnn") == {
        "Colab": "https://colab.research.google.com/github/dlnotes/dlnotes/blob/main/book/02_cnn.ipynb",
        "Kaggle": "https://kaggle.com/kernels/welcome?src=https://github.com/dlnotes/dlnotes/blob/main/book/02_cnn.ipynb",
        "JupyterHub": "https://nbgitpuller.readthedocs.io/en/latest/link.html?repo=https://github.com/dlnotes/dlnotes&branch=main"
                      "&urlpath=lab/tree/dlnotes/book/02_cnn.ipynb",
        "Binder": "https://mybinder.org/v2/gh/dlnotes/dlnotes/main?urlpath=lab/tree/book/02_cnn.ipynb"}


def test_a_teachers_hub_is_one_click_away(monkeypatch):
    monkeypatch.setattr(addresses, "HUB", "https://hub.example.org/")
    assert addresses.launch_links("02_cnn")["JupyterHub"] == (
        "https://hub.example.org/hub/user-redirect/git-pull?repo=https://github.com/dlnotes/dlnotes&branch=main"
        "&urlpath=lab/tree/dlnotes/book/02_cnn.ipynb")


def test_every_notebook_holds_the_first_cell_of_this_version_and_address():
    late = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if first_cell.put(notebook):
            late.append(path.name)
    assert not late, "run: python tools/first_cell.py"


def test_a_notebook_without_the_cell_gets_it_after_its_opening_text_and_is_numbered_again():
    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_markdown_cell("# Title"), new.new_code_cell("1", execution_count=7, outputs=[
        new.new_output("execute_result", data={"text/plain": "1"}, execution_count=7)])])
    assert first_cell.put(notebook) and not first_cell.put(notebook)
    first, second = notebook.cells[1:]
    assert (first.source, first.execution_count, second.execution_count, second.outputs[0].execution_count) == (first_cell.text(), 1, 2, 2)


def test_binder_can_read_the_environment():
    """What repo2docker looks for: Python's version in the form that it parses, the local package as a line of pip's list."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python = next(entry for entry in dependencies if isinstance(entry, str) and entry.startswith("python"))
    assert re.fullmatch(r"python\s*=+\s*3\.1[0-3]", python)
    pip = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    assert "-e ." in pip and any(line.startswith("jupyterlab==") for line in pip)
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (ROOT / name).exists()], "would be read instead"
