"""Everything for a place without the internet, in one zip: the site, the book as PDF, the notebooks, the wheels, the weights, checksums.

    make bundle

The zip is the same for the same sources: names in order, the date of the sources as every file's time. It appears when it is whole.
Wheels of pure Python packages are fetched once, checked against the hashes of requirements.lock, and kept in _build/wheels.
"""

import argparse
import datetime
import email
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

import build_wheel
from make_pdf import date_of_sources, project, version

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
TARGETS = [{"sys_platform": system, "platform_system": name, "os_name": os_name, "python_version": python,
            "python_full_version": f"{python}.0"}
           for system, name, os_name in (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt"))
           for python in ("3.11", "3.12", "3.13")]
PURE = ["--only-binary=:all:", "--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", "3.13"]

README = """dlnotes {version}: the whole course for a place without the internet
{rule}

Read     Open site/index.html in any browser: chapters, live widgets, search. Nothing is fetched from elsewhere.
         {pdf} is the same book on paper, with still pictures of the widgets.

Install  {install}

Run      jupyter lab notebooks              (with the JupyterLab of your machine)
         dlnotes doctor                     (says what is wrong with an environment)

Verify   sha256sum -c SHA256SUMS            (Linux; on macOS: shasum -a 256 -c SHA256SUMS)
         python -c "{verify}"
         The second needs only Python. It names each file that differs and is silent when all is well.

site/       the book as web pages
notebooks/  the chapters, to run
wheels/     dlnotes{and_pure}
weights/    the small trained networks, each with a card that says how it was trained (the dlnotes wheel holds them too)
LICENSE*    what you may do with code, text and data
"""
INSTALL = """In this folder, with Python 3.11 or newer:
             python -m pip install --no-index --find-links wheels "dlnotes[course]"
         These are compiled for each machine and must be there already:
             {compiled}
         Where one is missing, this installs dlnotes alone, and what does not need the missing one works:
             python -m pip install --no-index --no-deps --find-links wheels dlnotes"""
ALONE = """This bundle was made without the wheels of other packages. Where torch and the packages of the course are there:
             python -m pip install --no-index --no-deps --find-links wheels dlnotes"""
VERIFY = ("import hashlib,pathlib as p;[print('differs:',f) for h,f in (l.split('  ',1) for l in p.Path('SHA256SUMS').read_text('utf-8')"
          ".splitlines()) if not p.Path(f).is_file() or hashlib.sha256(p.Path(f).read_bytes()).hexdigest()!=h]")


class Unreachable(Exception):
    """The package registry does not answer."""


def stop(sentence: str) -> None:
    sys.exit(f"make bundle: {sentence}")


# -- wheels -------------------------------------------------------------------------------------------------------------------------------

def locked() -> dict[str, list[tuple[str, str]]]:
    """requirements.lock as name -> [(version, entry with its hashes, without its marker)]."""
    entries: dict[str, list[tuple[str, str]]] = {}
    for entry in re.split(r"(?m)^(?=[a-z0-9])", (ROOT / "requirements.lock").read_text(encoding="utf-8"))[1:]:
        name, number = re.match(r"([a-z0-9-]+)==([^\s;\\]+)", entry).groups()
        entries.setdefault(name, []).append((number, re.sub(r" ;[^\\\n]*", " ", entry, count=1)))
    return entries


def needs(wheel: Path) -> set[str]:
    """Names of what a wheel requires on any of the supported systems."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    found = set()
    for line in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        environments = ({**default_environment(), **target, "extra": ""} for target in TARGETS)
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            found.add(re.sub(r"[-_.]+", "-", requirement.name).lower())
    return found


def fetch(name: str, number: str, entry: str, store: Path) -> Path | None:
    """The pure wheel of one locked package, from the store or the registry; None if it has only compiled ones."""
    hashes = set(re.findall(r"sha256:([0-9a-f]{64})", entry))
    for path in store.glob(f"{name.replace('-', '_')}-*.whl"):
        if hashlib.sha256(path.read_bytes()).hexdigest() in hashes:
            return path
    with tempfile.TemporaryDirectory(dir=store) as folder:
        (Path(folder) / "one.txt").write_text(entry)
        run = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--require-hashes",
                              *PURE, "-q", "--retries", "1", "-d", folder, "-r", f"{folder}/one.txt"],
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        got = list(Path(folder).glob("*.whl"))
        if got:
            return Path(shutil.move(got[0], store / f"{name.replace('-', '_')}-{got[0].name.split('-', 1)[1]}"))
    if re.search(r"retrying|connection|resolve host|timed out|max retries|proxy", run.stdout.lower()):
        raise Unreachable
    if "do not match the hashes" in run.stdout.lower():
        stop(f"the downloaded {name} {number} is not the one that was pinned; clear pip's cache (pip cache purge), then run it again.")
    if "no matching distribution" not in run.stdout.lower():
        stop(f"pip could not fetch {name} {number} ({run.stdout.strip()[-500:]}); mend that, then run it again.")
    return None


def pure_wheels(store: Path) -> tuple[list[Path], list[str]]:
    """Wheels of all pure Python packages below dlnotes and its course extra, and the names of the compiled ones where the search ended."""
    store.mkdir(parents=True, exist_ok=True)
    lock, known = locked(), store / "compiled.json"
    compiled = set(json.loads(known.read_text())) if known.exists() else set()
    wheels, stopped, seen = [], set(), set()
    wanted = [*project()["dependencies"], *project()["optional-dependencies"]["course"]]
    due = {re.match(r"[\w-]+", line).group(0) for line in wanted}
    while due:
        seen |= due
        work = [(name, number, entry) for name in sorted(due) for number, entry in lock.get(name, [])]
        stopped |= {name for name in due if name not in lock}
        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda one: None if f"{one[0]}=={one[1]}" in compiled else fetch(*one, store), work))
        due = set()
        for (name, number, _), wheel in zip(work, got):
            if wheel is None:
                compiled.add(f"{name}=={number}")
                stopped.add(name)
            else:
                wheels.append(wheel)
                due |= needs(wheel)
        due -= seen
    if not any(wheel.name.startswith("einops-") for wheel in wheels):  # pure on every registry: not one answered
        raise Unreachable
    known.write_text(json.dumps(sorted(compiled), indent=1))
    return sorted(wheels), sorted(stopped)


# -- the zip ------------------------------------------------------------------------------------------------------------------------------

def collect(root: Path, build: Path, wheels: list[Path], compiled: list[str] | None) -> dict[str, Path | bytes]:
    """What goes where in the zip. ``compiled`` names what must be installed already, or is None where the wheels were left out."""
    site, pdf = build / "html", build / f"dlnotes-{version()}.pdf"
    if not (site / "index.html").exists():
        stop("there is no site in _build/html; run make book first.")
    if not pdf.exists():
        stop(f"there is no {pdf.name} in _build; run make pdf first.")
    files: dict[str, Path | bytes] = {pdf.name: pdf}
    for folder, source in (("site", site), ("weights", root / "dlnotes" / "weights")):
        files |= {f"{folder}/{path.relative_to(source).as_posix()}": path for path in source.rglob("*")
                  if path.is_file() and "__pycache__" not in path.parts}
    files |= {f"notebooks/{path.name}": path for path in (root / "book").glob("*.ipynb")}
    files |= {f"wheels/{path.name}": path for path in wheels}
    files |= {path.name: path for path in root.glob("LICENSE*") if path.is_file()}
    install = ALONE if compiled is None else INSTALL.format(compiled=wrapped(compiled))
    and_pure = "" if compiled is None else " and the packages in pure Python that it needs, at the versions it was tested with"
    text = README.format(version=version(), rule="=" * 70, pdf=pdf.name, install=install, verify=VERIFY, and_pure=and_pure)
    return {**files, "README.txt": text.encode()}


def wrapped(names: list[str]) -> str:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > 100:
            lines.append("")
        lines[-1] += f"{name} "
    return "\n             ".join(line.strip() for line in lines)


def pack(files: dict[str, Path | bytes], top: str, target: Path, day: datetime.date) -> None:
    """Write the zip with SHA256SUMS of all its files, in order and with one date, beside ``target``; then move it into place."""
    def content(source: Path | bytes) -> bytes:
        return source if isinstance(source, bytes) else source.read_bytes()

    sums = "".join(f"{hashlib.sha256(content(source)).hexdigest()}  {name}\n" for name, source in sorted(files.items()))
    partial = target.with_suffix(".zip.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, source in sorted({**files, "SHA256SUMS": sums.encode()}.items()):
                entry = zipfile.ZipInfo(f"{top}/{name}", (day.year, day.month, day.day, 0, 0, 0))
                entry.create_system, entry.external_attr, entry.compress_type = 3, 0o100644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(entry, content(source))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the course for a place without the internet.")
    parser.add_argument("--without-wheels", action="store_true",
                        help="leave out the packages that dlnotes needs (when the registry does not answer)")
    chosen = parser.parse_args()
    begin, target = time.perf_counter(), BUILD / f"dlnotes-{version()}.zip"
    site = BUILD / "html"
    if not (site / "index.html").exists():
        stop("there is no site in _build/html; run make book first.")
    wheels, compiled = [], None
    if not chosen.without_wheels:
        try:
            wheels, compiled = pure_wheels(BUILD / "wheels")
        except Unreachable:
            stop("the package registry does not answer, and the wheels for a place without the internet come from there; "
                 "connect, then run it again, or go without them: .venv/bin/python tools/make_bundle.py --without-wheels")
        print(f"[1/2] wheels: {len(wheels)} in pure Python; expected on the machine: {', '.join(compiled)}", flush=True)
    files = collect(ROOT, BUILD, [build_wheel.build(), *wheels], compiled)
    pack(files, f"dlnotes-{version()}", target, date_of_sources())
    missing = "; WITHOUT the wheels of other packages" if compiled is None else ""
    print(f"[2/2] {target.relative_to(ROOT)}: {len(files) + 1} files, {target.stat().st_size / 2**20:.1f} MiB, "
          f"{time.perf_counter() - begin:.0f} s{missing}")


if __name__ == "__main__":
    main()
