"""The zip for a place without the internet: whole, the same every time, checkable, installable."""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
build_wheel, make_bundle = (pytest.importorskip(name, reason="the tools run on Python 3.11 or newer") for name in ("build_wheel", "make_bundle"))

VERSION = make_bundle.version()
TOP = f"dlnotes-{VERSION}"
DAY = date(2024, 5, 6)


@pytest.fixture
def tree(tmp_path):
    """A small repository with a built site: (root, build)."""
    root, build = tmp_path / "repository", tmp_path / "repository" / "_build"
    for name, text in {"_build/html/index.html": "<p>hello", "_build/html/_static/字体 and more.css": "p {}", f"_build/{TOP}.pdf": "%PDF",
                       "book/01_one.ipynb": "{}", "book/glossary.md": "not a notebook",
                       "dlnotes/weights/net.json": "{}", "dlnotes/weights/net.safetensors": "0",
                       "LICENSE": "Free", "LICENSE-text": "Free too", "README.md": "for developers"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root, build


def packed(tree, target, compiled=("torch", "numpy")):
    files = make_bundle.collect(*tree, [], None if compiled is None else list(compiled))
    make_bundle.pack(files, TOP, target, DAY)
    return target


def unzipped(target, into):
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        archive.extractall(into)
    return into / TOP


def test_the_zip_holds_what_a_reader_needs_in_one_folder(tree, tmp_path):
    names = zipfile.ZipFile(packed(tree, tmp_path / "a.zip")).namelist()
    assert names == sorted(names)
    assert {name.removeprefix(f"{TOP}/") for name in names} == {
        "site/index.html", "site/_static/字体 and more.css", f"{TOP}.pdf", "notebooks/01_one.ipynb", "weights/net.json",
        "weights/net.safetensors", "LICENSE", "LICENSE-text", "README.txt", "SHA256SUMS"}


def test_sha256sum_confirms_every_file(tree, tmp_path):
    folder = unzipped(packed(tree, tmp_path / "a.zip"), tmp_path / "out")
    listed = dict(line.split("  ", 1)[::-1] for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(listed) == present - {"SHA256SUMS"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == known for name, known in listed.items())
    if shutil.which("sha256sum"):
        assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder).returncode == 0


def test_the_command_in_the_readme_names_a_changed_and_a_lost_file(tree, tmp_path):
    folder = unzipped(packed(tree, tmp_path / "a.zip"), tmp_path / "out")
    code = re.search(r'python -c "(.+)"', (folder / "README.txt").read_text(encoding="utf-8")).group(1)

    def said():
        run = subprocess.run([sys.executable, "-c", code], cwd=folder, text=True, capture_output=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    assert said() == []
    (folder / "weights" / "net.safetensors").write_text("1")
    (folder / "LICENSE").unlink()
    assert said() == ["differs: LICENSE", "differs: weights/net.safetensors"]


def test_the_same_sources_give_the_same_bytes(tree, tmp_path):
    first = packed(tree, tmp_path / "a.zip").read_bytes()
    for path in tree[0].rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert packed(tree, tmp_path / "b.zip").read_bytes() == first
    assert {entry.date_time for entry in zipfile.ZipFile(tmp_path / "a.zip").infolist()} == {(2024, 5, 6, 0, 0, 0)}


def test_an_interrupted_packing_leaves_the_old_zip_and_nothing_half_written(tree, tmp_path, monkeypatch):
    target = packed(tree, tmp_path / "a.zip")
    before = target.read_bytes()
    write, written = zipfile.ZipFile.writestr, []

    def full(self, *arguments):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(write(self, *arguments))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError):
        packed(tree, target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.zip"]


@pytest.mark.parametrize(("lost", "cure"), [("_build/html", "run make book first"), (f"_build/{TOP}.pdf", "run make pdf first")])
def test_what_is_missing_is_said_in_one_sentence(tree, tmp_path, lost, cure):
    path = tree[0] / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SystemExit) as stopped:
        packed(tree, tmp_path / "a.zip")
    assert str(stopped.value).startswith("make bundle: there is no ") and cure in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert not (tmp_path / "a.zip").exists()


def test_the_readme_names_the_compiled_packages_or_says_that_the_wheels_are_missing(tree, tmp_path):
    def readme(compiled):
        return make_bundle.collect(*tree, [], compiled)["README.txt"].decode()

    assert "torch numpy" in readme(["torch", "numpy"]) and "without the wheels" not in readme(["torch", "numpy"])
    assert "without the wheels of other packages" in readme(None)


# -- wheels -------------------------------------------------------------------------------------------------------------------------------

def test_the_lock_is_read_with_hashes_and_without_markers():
    lock = make_bundle.locked()
    needed = {re.match(r"[\w-]+", line).group(0) for line in make_bundle.project()["dependencies"]}
    assert needed - set(lock) == {"torch"}
    assert len(lock["numpy"]) == 2  # one for Python 3.11, one for newer
    for name, versions in lock.items():
        for number, entry in versions:
            assert entry.startswith(f"{name}=={number}") and "--hash=sha256:" in entry and ";" not in entry


def a_wheel(folder, name, *requires):
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
                         + "".join(f"Requires-Dist: {line}\n" for line in requires))
    return path


def test_needs_of_other_systems_count_and_needs_of_extras_do_not(tmp_path):
    wheel = a_wheel(tmp_path, "bar", "Colorama; sys_platform == 'win32'", "typing_extensions>=4; python_version < '3.12'",
                    "pytest; extra == 'dev'", "tomli; python_version < '3.11'", "idna")
    assert make_bundle.needs(wheel) == {"colorama", "typing-extensions", "idna"}


def test_a_kept_wheel_with_the_locked_hash_is_not_fetched_again(tmp_path, monkeypatch):
    wheel = a_wheel(tmp_path, "bar")
    entry = f"bar==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    monkeypatch.setattr(make_bundle.subprocess, "run", lambda *a, **k: pytest.fail("pip was asked"))
    assert make_bundle.fetch("bar", "1.0", entry, tmp_path) == wheel


@pytest.fixture
def no_registry(monkeypatch):
    """pip without its configuration, told to look where nothing answers."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")


def test_a_registry_that_does_not_answer_is_told_from_a_package_without_a_pure_wheel(tmp_path, no_registry, monkeypatch):
    entry = f"einops==0.8.2 \\\n    --hash=sha256:{'0' * 64}\n"
    with pytest.raises(make_bundle.Unreachable):
        make_bundle.fetch("einops", "0.8.2", entry, tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert make_bundle.fetch("einops", "0.8.2", entry, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_without_the_registry_the_bundle_stops_and_names_the_way_out(tmp_path, monkeypatch):
    def unreachable(store):
        raise make_bundle.Unreachable

    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").touch()
    monkeypatch.setattr(make_bundle, "BUILD", tmp_path)
    monkeypatch.setattr(make_bundle, "pure_wheels", unreachable)
    monkeypatch.setattr(sys, "argv", ["make_bundle.py"])
    with pytest.raises(SystemExit, match="does not answer.*connect.*--without-wheels"):
        make_bundle.main()
    assert [path.name for path in tmp_path.iterdir()] == ["html"]


# -- the walk: a machine that has torch and the other compiled packages, no internet, and the wheels -------------------------------------

CARRIED = ("einops", "pooch", "tqdm")


def wheel_of(name, into):
    """The wheel of an installed pure package, put together again from its files."""
    installed = importlib.metadata.distribution(name)
    info = f"{name}-{installed.version}.dist-info"
    files = [file for file in installed.files if ".." not in file.parts and "__pycache__" not in file.parts
             and file.name not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")]
    path = into / f"{name}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.writestr(file.as_posix(), file.locate().read_bytes())
        archive.writestr(f"{info}/RECORD", "".join(f"{file.as_posix()},,\n" for file in files) + f"{info}/RECORD,,\n")
    return path


def test_dlnotes_installs_from_the_wheels_alone_and_shows_a_widget(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir(exist_ok=True)
    shutil.copy(build_wheel.build(tmp_path / "built"), wheels)
    for name in CARRIED:
        wheel_of(name, wheels)
    machine, theirs = tmp_path / "a machine", tmp_path / "installed before"
    theirs.mkdir()
    for entry in Path(importlib.metadata.distribution("numpy").locate_file("")).iterdir():
        if not re.match(rf"(__editable__|dlnotes|{'|'.join(CARRIED)}|pip\b|pip-)", entry.name):
            (theirs / entry.name).symlink_to(entry)
    venv.create(machine, with_pip=False, symlinks=True)
    python = machine / "bin" / "python"
    (next((machine / "lib").iterdir()) / "site-packages" / "before.pth").write_text(str(theirs))
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("PIP_")}
    quiet |= {"PIP_CONFIG_FILE": os.devnull, "OMP_NUM_THREADS": "1"}
    assert subprocess.run([python, "-c", "import einops"], env=quiet, capture_output=True, cwd=tmp_path).returncode == 1
    install = subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-compile",
                              "--find-links", "wheels", "dlnotes"], cwd=tmp_path, env=quiet, text=True, capture_output=True)
    assert install.returncode == 0, install.stdout + install.stderr
    code = f"""
import socket
socket.socket.connect = None  # nothing may go out
import dlnotes, einops, torch
from pathlib import Path
assert all(Path(module.__file__).is_relative_to({str(machine)!r}) for module in (dlnotes, einops)), (dlnotes.__file__, einops.__file__)
assert torch.__file__.startswith({str(theirs)!r})
from dlnotes.widgets import AttentionExplorer
print(AttentionExplorer().to_html("widget.html"), dlnotes.__version__)
"""
    run = subprocess.run([python, "-c", code], cwd=tmp_path, env=quiet, text=True, capture_output=True)
    assert run.stdout.split() == ["widget.html", VERSION], run.stderr
    assert "AttentionExplorer" in (tmp_path / "widget.html").read_text(encoding="utf-8")
