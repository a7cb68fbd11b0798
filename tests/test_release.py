"""What a release carries agrees with itself: version, licences, citation, workflows; and a new chapter passes from its first minute."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

import dlnotes
from dlnotes.data import SAMPLES

ROOT = Path(__file__).resolve().parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}


def test_the_version_stands_in_one_place_and_everything_agrees_with_it():
    assert 'dynamic = ["version"]' in PROJECT and 'attr = "dlnotes.__version__"' in PROJECT
    assert metadata("dlnotes")["Version"] == dlnotes.__version__
    releases = re.findall(r"(?m)^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", CHANGELOG)
    assert releases[0] == (dlnotes.__version__, CITATION["date-released"])
    assert CITATION["version"] == dlnotes.__version__
    assert releases == sorted(releases, key=lambda r: tuple(map(int, r[0].split("."))), reverse=True)
    assert CHANGELOG.index("## Unreleased") < CHANGELOG.index(f"## {releases[0][0]}")


def test_the_citation_names_the_addresses_of_the_project():
    for name, key in (("Documentation", "url"), ("Repository", "repository-code")):
        assert f'{name} = "{CITATION[key]}"' in PROJECT


def test_the_licence_of_every_picture_is_listed_as_the_package_knows_it():
    text = (ROOT / "LICENSES-data.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (\w+) \(`([^`]+)`\) \| (\S+) \| (.*?) \| (.*?) \|$", text)
    assert rows == [(s.name, s.file, s.package, s.licence, s.source) for s in SAMPLES.values()]


def test_every_weight_and_every_vendored_file_has_a_licence():
    text = (ROOT / "LICENSES-data.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "dlnotes/weights").glob("*.safetensors")):
        assert f"`{path.stem}" in text, path.name
    for path in sorted((ROOT / "static/vendor").iterdir()):
        assert f"static/vendor/{path.name}`" in text, path.name
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License") and "CC-BY-4.0" in (ROOT / "LICENSE-text.md").read_text(encoding="utf-8")


def test_continuous_integration_does_what_the_repository_says():
    course, package = (WORKFLOWS["ci"]["jobs"][name] for name in ("course", "package"))
    assert {"run": ".ci/run"} in course["steps"]
    tried = package["strategy"]["matrix"]["include"]
    least_python = re.search(r'requires-python = ">=([\d.]+)"', PROJECT).group(1)
    least_torch = re.search(r'"torch>=([\d.]+)"', PROJECT).group(1)
    assert tried[0] == {"python": least_python, "torch": least_torch} and tried[-1]["torch"] == "newest"
    assert "schedule" in WORKFLOWS["weekly"][True]                                  # YAML reads the word `on` as true


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")))
def test_an_issue_template_asks_for_something(name):
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    fields = form["body"]
    assert len({field["id"] for field in fields}) == len(fields) >= 2
    assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in fields)


# ---------------------------------------------------------------- make chapter

@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the course's sources, with a chapter begun in it."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("book", "dlnotes", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".hypothesis"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    run = make_chapter(folder, "11_detection")
    assert run.returncode == 0, run.stdout
    return folder


def make_chapter(folder, name):
    return subprocess.run([sys.executable, "tools/new_chapter.py", name], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_new_chapter_passes_its_tests(copy):
    run = subprocess.run([sys.executable, "-m", "pytest", "tests/test_book.py", "tests/test_widget_quiz.py", "--nbval", "book/11_detection.ipynb",
                          "-k", "detection", "-p", "no:cacheprovider"], cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, text=True,
                         capture_output=True)
    assert run.returncode == 0, run.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", run.stdout).group(1)) > 50


@pytest.mark.parametrize(("name", "sentence"), [("11_detection", "is there already"), ("detection", "expected NAME="), ("99_cnn", "is there already")])
def test_nothing_is_overwritten_and_a_bad_name_is_refused(copy, name, sentence):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    run = make_chapter(copy, name)
    assert run.returncode and sentence in run.stdout
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and "__pycache__" not in path.parts} == before
