"""The first code cell of every notebook, and the tool that writes it there.

    python tools/first_cell.py          (all of book/)

The cell stands after the opening text. Only the version and the book's address are filled in; the rest of the work is done by
``dlnotes.launch``, which the cell imports from the wheel that it found.
"""

import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))
from addresses import BOOK, FOLDER, ROOT, VERSION  # noqa: E402

TAGS = ["first-cell", "remove-cell", "nbval-ignore-output"]
ID = "first-cell"
CELL = '''\
# Run this first. It takes the dlnotes that is here or installs the book's own, leaves this platform's torch alone, says what it found.
def begin(version, book):
    import os, sys, tempfile, urllib.request, zipfile
    from pathlib import Path
    folders, name, wheel, address = [Path.cwd(), *Path.cwd().parents], f"dlnotes-{version}-py3-none-any.whl", None, None
    sys.path[:0] = [str(folder) for folder in folders if (folder / "dlnotes" / "launch.py").is_file()][:1]      # a checkout
    try:
        from dlnotes import __version__ as found
    except ImportError:
        found = ", ".join(map(str, Path().glob("dlnotes-*.whl"))) or "none"
    if found != version:
        places = [folder / part for folder in folders for part in (name, f"wheel/{name}", f"wheels/{name}")]
        places += [path for depth in range(1, 5) for path in Path("/kaggle/input").glob("*/" * depth + name)]
        try:
            if not (wheel := next(filter(Path.is_file, places), None)):
                wheel, address = Path(tempfile.mkdtemp(), name), f"{os.environ.get('DLNOTES_BOOK', book)}/wheel/{name}"
                wheel.write_bytes(urllib.request.urlopen(address, timeout=60).read())
            zipfile.ZipFile(wheel).close()
        except Exception as error:
            sys.exit(f"This chapter wants dlnotes {version}, here is {found}, and {address or wheel} gave: {error}. Switch the internet on "
                     f"(Kaggle: Settings; a proxy: set https_proxy) or put {name} beside this notebook (Kaggle: attach it as data); rerun.")
        sys.modules.pop("dlnotes", None), sys.modules.pop("dlnotes.launch", None), sys.path.insert(0, str(wheel))
    from dlnotes import launch
    launch.ready(version, wheel, address)
begin("VERSION", "BOOK")'''


def text() -> str:
    return CELL.replace('"VERSION"', f'"{VERSION}"').replace('"BOOK"', f'"{BOOK}"')


def is_first(cell) -> bool:
    return "first-cell" in cell.metadata.get("tags", [])


def put(notebook) -> bool:
    """Put the cell after the opening text, or bring it up to date, and number the code cells; whether anything changed."""
    before = nbformat.writes(notebook)
    cells = [cell for cell in notebook.cells if not is_first(cell)]
    cell = nbformat.v4.new_code_cell(text(), id=ID, metadata={"tags": list(TAGS)})
    opening = next((index for index, other in enumerate(cells) if other.cell_type == "markdown"), -1)
    notebook.cells = [*cells[:opening + 1], cell, *cells[opening + 1:]]
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    return nbformat.writes(notebook) != before


def main() -> None:
    for path in sorted((ROOT / FOLDER).glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if put(notebook):
            nbformat.write(notebook, path)
            print(f"{path.name}: first cell written")


if __name__ == "__main__":
    main()
