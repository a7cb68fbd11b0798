"""The commands end clearly when something is wrong, and leave what was there untouched."""

import importlib.util
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
Finished = namedtuple("Finished", "returncode stdout")
Usage = namedtuple("Usage", "total used free")


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """tools/setup_env.py, pointed at an empty folder; `pip` decides what each command prints and returns."""
    module = tool("setup_env")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "python")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "stamp")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage(2**40, 0, 2**40))
    monkeypatch.setattr(module.sys, "version_info", max(sys.version_info, (3, 11, 0)))      # the package's tests run on 3.10 too
    module.commands = []

    def run(command, **_):
        module.commands.append(command)
        if "venv" in command:
            (tmp_path / ".venv").mkdir()
            (tmp_path / ".venv" / "python").touch()
            return Finished(0, "")
        return module.pip_says
    module.pip_says = Finished(0, "")
    monkeypatch.setattr(module.subprocess, "run", run)
    return module


@pytest.mark.parametrize(("pip_prints", "sentence"), [
    ("Max retries exceeded with url: /simple/torch (Temporary failure in name resolution)", "check the internet connection"),
    ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "not the one that was pinned"),
    ("error: something else", "its message is above"),
])
def test_a_failed_installation_ends_with_one_sentence_and_is_not_taken_for_done(setup, pip_prints, sentence):
    setup.pip_says = Finished(1, pip_prints)
    with pytest.raises(SystemExit, match=sentence):
        setup.main()
    assert not setup.STAMP.exists()


def test_a_second_setup_with_nothing_changed_runs_nothing(setup):
    setup.main()
    assert len(setup.commands) == 4
    setup.commands.clear()
    setup.main()
    assert setup.commands == []


def test_changed_pins_are_installed_again(setup):
    setup.main()
    setup.commands.clear()
    with (setup.ROOT / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    setup.main()
    assert len(setup.commands) == 3


def test_an_old_python_and_a_full_disk_are_named_before_anything_is_installed(setup, monkeypatch):
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**28))
    with pytest.raises(SystemExit, match="4 GiB of free disk space"):
        setup.main()
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match="Python 3.11 or newer"):
        setup.main()
    assert setup.commands == []


@pytest.fixture
def build(tmp_path, monkeypatch):
    """tools/build_book.py, pointed at a book of one notebook, with an older site already built."""
    module = tool("build_book")
    for name, folder in (("BOOK", "book"), ("STAGE", "_build/stage"), ("CACHE", "_build/executed"), ("SITE", "_build/html")):
        (tmp_path / folder).mkdir(parents=True)
        monkeypatch.setattr(module, name, tmp_path / folder)
    monkeypatch.setattr(module, "package_hash", lambda: "same")
    (module.SITE / "index.html").write_text("the last good site")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_a_failing_cell_stops_the_build_and_keeps_the_last_site(build):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, build.BOOK / "broken.ipynb")
    with pytest.raises(SystemExit, match=r"a cell of book/broken.ipynb failed"):
        build.main()
    assert (build.SITE / "index.html").read_text() == "the last good site"
    assert list(build.CACHE.iterdir()) == []


def test_an_unreadable_notebook_is_named(build):
    (build.BOOK / "torn.ipynb").write_text('{"cells": [')
    with pytest.raises(SystemExit, match=r"book/torn.ipynb is not a readable notebook"):
        build.main()
    assert (build.SITE / "index.html").read_text() == "the last good site"


def test_a_full_disk_is_named_before_the_build(build, monkeypatch):
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**20))
    with pytest.raises(SystemExit, match="make room"):
        build.main()


@pytest.mark.parametrize(("required", "code", "word"), [("1", 1, "install one, or set DLNOTES_BROWSER"), ("", 0, "skipped")])
def test_without_a_browser_the_page_tests_say_so(required, code, word):
    environment = {**os.environ, "PATH": "", "DLNOTES_REQUIRE_BROWSER": required, "DLNOTES_BROWSER": ""}
    run = subprocess.run([sys.executable, "-m", "pytest", "tests/browser/test_site.py", "-k", "test_search", "-p", "no:cacheprovider"],
                         cwd=ROOT, env=environment, text=True, capture_output=True)
    assert run.returncode == code
    assert word in run.stdout


def test_the_served_site_is_asked_for_when_there_is_none(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    run = subprocess.run(["make", "serve"], cwd=tmp_path, text=True, capture_output=True)
    assert run.returncode
    assert "run make book first" in run.stdout
