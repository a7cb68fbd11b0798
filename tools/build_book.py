"""From notebooks to the finished site in _build/html: execute what changed (in parallel), then build with warnings as errors.

    make book

A notebook is executed again only when its code, the package, the weights or the lock changed. The site is built beside
the old one and moves into place when it is whole.
"""

import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import build_wheel
import first_cell
import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
BOOK, STAGE, CACHE, SITE = ROOT / "book", BUILD / "stage", BUILD / "executed", BUILD / "html"


def stop(sentence: str) -> None:
    sys.exit(f"make book: {sentence}")


def code_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and not first_cell.is_first(cell)]


def package_hash() -> str:
    """Changes when anything that a cell computes with changes; drawing code in the page does not count."""
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
    for path in sorted((ROOT / "dlnotes").rglob("*")):
        if path.is_file() and path.suffix in (".py", ".json", ".safetensors"):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def execute(path: str, into: str) -> float:
    """Execute one notebook (in its own process) and write it, with all outputs and widget state, to ``into``."""
    from nbclient import NotebookClient

    begin = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(BOOK)}}).execute(
        stderr=subprocess.DEVNULL)
    partial = Path(f"{into}.part")
    nbformat.write(notebook, partial)
    partial.replace(into)
    return time.perf_counter() - begin


def with_outputs(notebook, run):
    """The notebook, with the outputs and the widget state of its execution."""
    fresh = iter(cell for cell in run.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = next(fresh).outputs
        if first_cell.is_first(cell):
            cell.outputs = []  # it spoke of this machine
    notebook.metadata["widgets"] = run.metadata.get("widgets", {})
    return notebook


def stage(executed: dict[Path, Path]) -> None:
    """Copy book/ to the staging folder, with each notebook's fresh outputs; untouched files keep their times."""
    wanted = set()
    for source in BOOK.rglob("*"):
        if source.is_dir() or ".ipynb_checkpoints" in source.parts:
            continue
        target = STAGE / source.relative_to(BOOK)
        wanted.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source in executed:
            notebook = with_outputs(nbformat.read(source, as_version=4), nbformat.read(executed[source], as_version=4))
            notebook.cells = [cell for cell in notebook.cells if "notes" not in cell.metadata.get("tags", [])]  # the lecturer's
            content = nbformat.writes(notebook).encode()
        else:
            content = source.read_bytes()
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)
    for path in list(STAGE.rglob("*")):
        if path.is_file() and path not in wanted:
            path.unlink()


def forget_pages_if_their_rules_changed() -> None:
    """Sphinx rebuilds a page when its source changed, not when our extension, the configuration or the package's docstrings did."""
    sources = [ROOT / "tools" / "bookext.py", ROOT / "tools" / "booktables.py", ROOT / "tools" / "addresses.py",
               ROOT / "pyproject.toml", ROOT / "_config.yml", BOOK / "_toc.yml",
               *sorted((ROOT / "static").glob("book.*")), *sorted((ROOT / "dlnotes" / "widgets").glob("*.[jc]s*"))]
    rules = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    rules.update(package_hash().encode())
    known = BUILD / "rules.txt"
    if not known.exists() or known.read_text() != rules.hexdigest():
        shutil.rmtree(BUILD / "work", ignore_errors=True)
        known.write_text(rules.hexdigest())


def put_wheel(folder: Path) -> None:
    """The package itself, for first cells and for offline readers."""
    try:
        wheel = build_wheel.build()
    except RuntimeError as error:
        stop(f"the wheel was not built ({error}); mend that, then run it again. The last good site is untouched.")
    folder.mkdir()
    for path in (wheel, wheel.with_name("SHA256SUMS")):
        shutil.copy2(path, folder)


def execute_changed() -> dict[Path, Path]:
    """Execute each notebook whose code, package, weights or lock changed; return where the executed form of each one is."""
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < 0.5:
        stop(f"0.5 GiB of free disk space is needed here and there are {free:.2f} GiB; make room, then run it again.")
    for folder in (STAGE, CACHE):
        folder.mkdir(parents=True, exist_ok=True)
    package = package_hash()
    notebooks = sorted(BOOK.glob("*.ipynb"))
    executed = {}
    for path in notebooks:
        try:
            code = code_of(nbformat.read(path, as_version=4))
        except Exception as error:
            stop(f"{path.relative_to(ROOT)} is not a readable notebook ({error}); restore it with git, then run it again.")
        key = hashlib.sha256((package + json.dumps(code)).encode()).hexdigest()[:16]
        executed[path] = CACHE / f"{path.stem}-{key}.ipynb"
    due = [path for path in notebooks if not executed[path].exists()]
    print(f"[1/2] notebooks: {len(due)} to execute, {len(notebooks) - len(due)} unchanged", flush=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    os.environ.setdefault("DLNOTES_PROGRESS", "0")  # no progress bars in stored pages
    with concurrent.futures.ProcessPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        running = {pool.submit(execute, str(path), str(executed[path])): path for path in due}
        for done in concurrent.futures.as_completed(running):
            path = running[done]
            if done.exception():
                pool.shutdown(wait=False, cancel_futures=True)
                print(str(done.exception())[-4000:])
                stop(f"a cell of {path.relative_to(ROOT)} failed (above); mend it, then run it again.")
            print(f"      {path.name}: {done.result():.0f} s", flush=True)
    for old in CACHE.glob("*.ipynb"):
        if old not in executed.values():
            old.unlink()
    return executed


def main() -> None:
    begin = time.perf_counter()
    stage(execute_changed())
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["execute_notebooks"] = "off"
    config["sphinx"]["local_extensions"] = {"bookext": str(ROOT / "tools")}
    (BUILD / "config.yml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    forget_pages_if_their_rules_changed()
    print("[2/2] pages", flush=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(STAGE), "--config", str(BUILD / "config.yml"), "--toc",
               str(STAGE / "_toc.yml"), "--path-output", str(BUILD / "work"), "-W", "--keep-going", "-q"]
    sphinx = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    built = BUILD / "work" / "_build" / "html"
    if sphinx.returncode or not (built / "index.html").exists():
        warnings = [line for line in sphinx.stdout.splitlines() if "WARNING" in line or "ERROR" in line]
        print("\n".join(warnings[:40]) or sphinx.stdout[-4000:])
        stop("the pages did not build without warnings (above); mend them, then run it again. The last good site is untouched.")
    fresh, old = BUILD / "html.new", BUILD / "html.old"
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(built, fresh, ignore=shutil.ignore_patterns(".buildinfo", "objects.inv.bak"))
    put_wheel(fresh / "wheel")
    if SITE.exists():
        SITE.rename(old)
    fresh.rename(SITE)
    shutil.rmtree(old, ignore_errors=True)
    print(f"Done in {time.perf_counter() - begin:.0f} s. Open {SITE / 'index.html'} in a browser, or serve it: make serve")


if __name__ == "__main__":
    main()
