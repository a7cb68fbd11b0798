"""The three lists of versions agree: pyproject.toml's dev extra, requirements.lock and environment.yml."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 or newer reads TOML")

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEV = dict(line.split("==") for line in PROJECT["optional-dependencies"]["dev"])
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
    for line in PROJECT["dependencies"]:
        name, least = re.match(r"([\w-]+)>=([\d.]+)", line).groups()
        pinned = DEV.get(name) or re.search(rf"(?m)^{name}==([^\s;\\]+)", LOCK).group(1)
        numbers = [tuple(map(int, re.findall(r"\d+", v)[:3])) for v in (pinned, least)]
        assert numbers[0] >= numbers[1], line
