"""The three lists of versions agree: pyproject.toml's dev extra, requirements.lock and environment.yml; chapters import no more."""

import ast
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 or newer reads TOML")

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEV = dict(line.split("==") for line in PROJECT["optional-dependencies"]["dev"])
canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()  # noqa: E731
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_holds_every_pin_of_pyproject_but_torch():
    locked = dict(re.findall(r"(?m)^([a-z0-9-]+)==([^\s;\\]+)", LOCK))
    assert {name: locked.get(name) for name in DEV if name != "torch"} == {n: v for n, v in DEV.items() if n != "torch"}
    assert "torch" not in locked


def test_every_locked_package_carries_hashes():
    entries = re.split(r"(?m)^(?=[a-z0-9])", LOCK)[1:]
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_environment_yml_pins_the_same_versions():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    assert dict(line.split("==") for line in pip if "==" in line) == DEV


def test_what_is_installed_is_what_is_pinned():
    assert {name: version(name).split("+")[0] for name in DEV} == DEV


def test_every_runtime_dependency_is_pinned_within_its_range():
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["course"]]:
        name, least = re.match(r"([\w-]+)>=([\d.]+)", line).groups()
        pinned = DEV.get(name) or re.search(rf"(?m)^{name}==([^\s;\\]+)", LOCK).group(1)
        numbers = [tuple(map(int, re.findall(r"\d+", v)[:3])) for v in (pinned, least)]
        assert numbers[0] >= numbers[1], line


def test_chapters_import_nothing_that_a_reader_would_have_to_install():
    """Python's own modules, dlnotes, what it requires and what these require, the notebook itself, and the course's extra."""
    def needs(name):
        try:
            return [re.match(r"[\w.-]+", line).group() for line in requires(name) or [] if "extra ==" not in line]
        except PackageNotFoundError:                                # of another system
            return []

    given, due = set(), {re.match(r"[\w-]+", line).group() for line in
                         [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["course"], "ipykernel"]}
    while due:
        given |= due
        due = {canonical(need) for name in due for need in needs(name)} - given
    modules = {module for module, names in packages_distributions().items() if given & set(map(canonical, names))}
    found, read = {}, 0
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        for node in ast.walk(ast.parse(re.sub(r"(?m)^([ \t]*)[%!].*", r"\1pass", code))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
            tops = {name.partition(".")[0] for name in names if isinstance(node, (ast.Import, ast.ImportFrom))} - {""}
            read += len(tops)
            if strange := tops - modules - sys.stdlib_module_names - {"dlnotes"}:
                found.setdefault(path.name, set()).update(strange)
    assert read > 200 and found == {}
