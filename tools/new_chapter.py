"""Begin a chapter that already passes every test: notebook, exercises, near misses, questions, and its places in the book.

    make chapter NAME=11_detection          (or: python tools/new_chapter.py 11_detection)

The template lies in tools/chapter_template/. Nothing that exists is overwritten.
"""

import re
import sys
from pathlib import Path

import nbformat
import outputs

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(__file__).resolve().parent / "chapter_template"
CELL = re.compile(r"(?m)^# %%(?P<markdown> \[markdown\])?(?: tags=(?P<tags>\[.*\]))?\n")


def stop(sentence: str) -> None:
    sys.exit(f"make chapter: {sentence}")


def names(stem: str) -> dict[str, str]:
    """What stands in the template for the chapter's own names."""
    found = re.fullmatch(r"(\d\d[a-z]?)_([a-z][a-z0-9_]*)", stem)
    if not found:
        stop(f"expected NAME=<number>_<word>, such as NAME=11_detection or NAME=03d_loss, got {stem!r}")
    number, word = found.groups()
    return {"STEM": stem, "MODULE": word, "TITLE": f"{number.lstrip('0')}. {word.replace('_', ' ').capitalize()}"}


def fill(file: str, words: dict[str, str]) -> str:
    return re.sub("|".join(rf"\b{word}\b" for word in words), lambda m: words[m[0]], (TEMPLATE / file).read_text(encoding="utf-8"))


def notebook(text: str) -> nbformat.NotebookNode:
    """Cells from the text: ``# %% [markdown]`` begins one of prose, ``# %%`` one of code."""
    starts, cells = list(CELL.finditer(text)), []
    for start, end in zip(starts, [*(s.start() for s in starts[1:]), len(text)], strict=True):
        body = text[start.end():end].strip("\n")
        if start["markdown"]:
            cells.append(nbformat.v4.new_markdown_cell(re.sub(r"(?m)^# ?", "", body)))
        else:
            cells.append(nbformat.v4.new_code_cell(body, metadata={"tags": re.findall(r'"(.*?)"', start["tags"])} if start["tags"] else {}))
    return nbformat.v4.new_notebook(cells=cells)


def insert(path: Path, before: str, line: str) -> None:
    """Put a line before the first one that begins with ``before``."""
    text = path.read_text(encoding="utf-8")
    if before not in text:
        stop(f"{path.relative_to(ROOT)} has no line {before!r}; put this where it belongs: {line.strip()}")
    path.write_text(text.replace(before, line + before, 1), encoding="utf-8")


def main(stem: str) -> None:
    words = names(stem)
    book, module = ROOT / "book", words["MODULE"]
    files = {"exercises.py": ROOT / f"dlnotes/exercises/{module}.py", "near_misses.py": ROOT / f"tests/exercises/near_misses_{module}.py",
             "questions.yml": ROOT / f"dlnotes/exercises/questions/{stem}.yml"}
    page = book / f"{stem}.ipynb"
    for path in (page, *files.values()):
        if path.exists():
            stop(f"{path.relative_to(ROOT)} is there already; choose another name, or remove it first")
    for name, path in files.items():
        path.write_text(fill(name, words), encoding="utf-8")
    nbformat.write(notebook(fill("chapter.py", words)), page)
    insert(book / "_toc.yml", "  - caption: Appendices\n", f"      - file: {stem}\n")
    insert(book / "map.yml", "- {page: appendix_a", f"- {{page: {stem}, short: {module.replace('_', ' ').capitalize()}, needs: [01_tensor_reshaping]}}\n")
    intro = nbformat.read(book / "intro.ipynb", as_version=4)
    table = next(cell for cell in intro.cells if "| [Appendix A]" in cell.source)
    table.source = table.source.replace("| [Appendix A]", f"| [{words['TITLE']}]({stem}.ipynb) | TODO: its question | TODO: what one can do afterwards |\n| [Appendix A]", 1)
    nbformat.write(intro, book / "intro.ipynb")
    outputs.refresh(page)
    print("Replace what is marked TODO in:", *(path.relative_to(ROOT) for path in (page, *files.values())), sep="\n  ")
    print("Its first test: .venv/bin/python -m pytest tests/test_book.py -k", stem)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        stop("expected NAME=<number>_<word>, such as NAME=11_detection")
    main(sys.argv[1])
