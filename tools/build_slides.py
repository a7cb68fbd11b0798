"""Lecture decks from the chapters: one page per chapter in _build/slides, opened from a folder, without the internet.

    make slides                 45 minutes each
    make slides MINUTES=90      twice as long: more of each chapter

The decks show the outputs that ``make book`` stores; what became a slide, and how to overrule it, stands in ``deck.py``.
"""

import argparse
import base64
import gzip
import html
import re
import shutil
import sys
import time
from pathlib import Path

import build_book
import deck
import nbformat
import yaml
from pybtex.database import parse_file
from pygments.formatters import HtmlFormatter

from dlnotes.widgets import _bundle

ROOT = Path(__file__).resolve().parent.parent
BOOK, STATIC, SLIDES = ROOT / "book", ROOT / "static", ROOT / "_build" / "slides"
STATE, VIEW = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("state", "view"))
WAYS = r"(?m)^\| \[[\w]+\]\((\w+)\.ipynb\) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$"


def chapters() -> list[str]:
    """Stems of the chapters, in the order of the table of contents."""
    parts = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    entries = next(part["chapters"] for part in parts if part["caption"] == "Chapters")
    return [name["file"] for entry in entries for name in (entry, *entry.get("sections", ()))]


def plans() -> dict[str, tuple[str, str, str, str]]:
    """What the table of lectures in paths.md says of each chapter: open with, let them predict, settle, leave."""
    return {stem: rest for stem, *rest in re.findall(WAYS, (BOOK / "paths.md").read_text(encoding="utf-8"))}


def cited() -> dict[str, str]:
    """Each source as author and year."""
    found = {}
    for key, entry in parse_file(str(BOOK / "references.bib")).entries.items():
        people = [" ".join(person.prelast_names + person.last_names).strip("{}") for person in entry.persons.get("author", [])]
        who = people[0] if people else entry.fields.get("key", key)
        who += f" & {people[1]}" if len(people) == 2 else " et al." if len(people) > 2 else ""
        found[key] = f"{re.sub(r'[{}]', '', who)} {entry.fields.get('year', '')}".strip()
    return found


def targets() -> dict[str, str]:
    """The page of each label that the book's sources set."""
    found = {}
    for path in sorted([*BOOK.rglob("*.md"), *BOOK.glob("*.ipynb")]):
        page = path.relative_to(BOOK).with_suffix("").as_posix()
        found |= dict.fromkeys(map(str.lower, re.findall(r'(?m)^\s*"?\(([\w-]+)\)=', path.read_text(encoding="utf-8"))), page)
    return found


def shared_style() -> str:
    """One style sheet, inside each page, because the speaker's window copies it."""
    dark, light = (HtmlFormatter(style=f"a11y-high-contrast-{scheme}").get_style_defs(f'html[data-theme="{scheme}"] .highlight')
                   for scheme in ("dark", "light"))
    reveal = gzip.decompress((STATIC / "vendor/reveal-6.0.2.css.gz").read_bytes()).decode()
    return "\n".join([reveal, _bundle.stylesheet(), light, dark, (STATIC / "slides.css").read_text(encoding="utf-8")])


def scripts() -> dict[str, bytes]:
    """The files that all decks share."""
    unpack = {"reveal.js": "reveal-6.0.2.js.gz", "tex-svg.js": "mathjax-3.2.2-tex-svg.js.gz"}
    files = {name: gzip.decompress((STATIC / "vendor" / packed).read_bytes()) for name, packed in unpack.items()}
    files |= {name: (STATIC / "vendor" / name).read_bytes() for name in ("reveal-LICENSE.txt", "mathjax-LICENSE.txt")}
    files |= {"slides.js": (STATIC / "slides.js").read_bytes(), "widgets/runtime.js": _bundle.runtime().encode()}
    return files | {f"widgets/{name}.js": _bundle.classic_script(name).encode() for name in _bundle.names()}


def slide_html(slide: deck.Slide, section: deck.Section, md: deck.Markdown) -> str:
    body = "\n".join(re.sub(r"<div class='widget' data-view='(\w+)'></div>",
                            rf"<div class='widget' data-prevent-swipe><script type='{VIEW}'>"
                            r'{"model_id": "\1"}</script></div>', part) for part in slide.parts)
    over = "True or false?" if slide.belief else "" if slide.title == section.title else re.sub(r"[`$]", "", section.title)
    tag = "h1" if slide.kind == "title" else "h2"
    heading = f"<{tag}>{md.inline(slide.title)}</{tag}>" if slide.title else ""
    quiet = " quiet" if slide.kind in ("run", "figure", "widget", "table", "list") else ""
    return (f"<section class='s-{slide.kind}{quiet}'><header>{f'<p class=over>{html.escape(over)}</p>' if over else ''}{heading}</header>"
            f"<div class='body'>{body}</div><aside class='notes'>{''.join(slide.notes)}</aside></section>")


def page(title: str, body: str, style: str, scripts_after: str = "") -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<script>document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";</script>
<style>{style}</style></head>
<body>{body}{scripts_after}</body></html>
"""


def build_deck(notebook, stem: str, md: deck.Markdown, minutes: float, plan=None) -> tuple[str, list[tuple[str, str]], list[deck.Section]]:
    """The page of one deck, its pictures (name, base64) and its sections.

    Args:
        notebook: executed, with widget state.
        stem: the chapter's file name, for links back to its page.
        md: renders its Markdown.
        minutes: length of the lecture.
        plan: open with, let them predict, settle, leave (of paths.md), if there are such.
    """
    reader = deck.Reader(notebook, stem, md)
    settle = re.search(r"claim-(c\d+)", plan[2]) if plan else None
    sections = deck.choose(reader.sections, minutes, settle and settle[1].upper())
    title = sections[0].title
    if plan:
        words = [md.inline(text) for text in plan]
        sections[0].slides[0].notes.insert(0, f"<div class='advice'><p>Open with {words[0]}. Let them predict {words[1]}. "
                                              f"Settle: {words[2]}. Leave: {words[3]}.</p></div>")
    sections[0].slides[0].parts.insert(0, "<p class='aim'>You will be able to</p>")
    leave = f"<p>One exercise: <b>{md.inline(plan[3])}</b></p>" if plan else ""
    end = deck.Slide("end", "Take home", len(sections), 0, [leave + f"<p>The chapter, its exercises and its sources: "
                     f"<a href='../html/{stem}.html'>{html.escape(title)}</a></p>"])
    sections.append(deck.Section("Take home", [end], 0.0))
    stacks = []
    for section in sections:
        inner = "\n".join(slide_html(slide, section, md) for slide in section.slides)
        name = html.escape(re.sub(r"[`$]", "", section.title), quote=True)
        stacks.append(f'<section data-minutes="{section.minutes:g}" data-name="{name}">{inner}</section>')
    state = next(iter(notebook.metadata.get("widgets", {}).values()), {"state": {}})
    parts = "".join(part for section in sections for slide in section.slides for part in slide.parts)
    views = set(re.findall(r"data-view='(\w+)'", parts))
    slim = _bundle.slim_state(state)
    slim["state"] = {model: entry for model, entry in slim["state"].items() if model in views}
    saved = f'<script type="{STATE}">{_bundle.script_safe(slim)}</script>' if views else ""
    text = "".join(stacks)
    used = [(name, data) for name, data in reader.images if f"images/{name}" in text]
    after = f"""{saved}<script src="static/reveal.js"></script><script src="static/slides.js"></script>
<script async src="static/widgets/runtime.js"></script><script async src="static/tex-svg.js"></script>"""
    body = (f'<div class="reveal" data-minutes="{minutes:g}"><div class="slides">{text}</div></div>'
            f'<div class="dln-notes dln-keys" hidden>{keys()}</div>')
    return page(title, body, shared_style(), after), used, sections


def keys() -> str:
    """What each key does, as a table: in the index, and in a deck behind the key "?"."""
    rows = [("→ ←", "the next section, the section before"), ("↓ ↑", "within a section"),
            ("Space PageDown", "the next slide, whichever it is; PageUp goes back"),
            ("Esc", "out of a widget, back to the slides; then: all slides at once"),
            ("S", "the speaker's window: notes, next slide, clock"),
            ("N", "the notes on this screen"), ("T", "the timer: hide, show"), ("R", "the timer: from zero"), ("D", "dark or light"),
            ("F", "full screen; within a widget, the widget"), ("B", "a black screen"), ("?", "these keys")]
    boxes = [(" ".join(f"<kbd>{key}</kbd>" for key in names.split()), does) for names, does in rows]
    return "<table>" + "".join(f"<tr><td>{names}</td><td>{does}</td></tr>" for names, does in boxes) + "</table>"


def index_html(decks: list[tuple[str, list[deck.Section]]], minutes: float) -> str:
    rows = "".join(f"<li><a href='{stem}.html'>{html.escape(sections[0].title)}</a> <span>{sum(len(s.slides) for s in sections)} slides"
                   "</span></li>" for stem, sections in decks)
    body = f"""<main class="dln-index"><h1>Lectures</h1>
<p>One deck of {minutes:g} minutes for each chapter. The widgets in it live. Nothing is fetched from elsewhere: copy this folder
to a stick and it works in the lecture hall.</p>
<ol>{rows}</ol><h2>Keys</h2>{keys()}
<p>In a widget the arrow keys belong to the widget. PageDown and PageUp, which a remote control sends, always turn the slide.</p></main>"""
    return page("Lectures", body, shared_style())


def write(target: Path, decks: dict[str, Path], minutes: float = deck.MINUTES) -> None:
    """Write decks from executed notebooks, the shared files and an index to a folder."""
    for name, content in scripts().items():
        (target / "static" / name).parent.mkdir(parents=True, exist_ok=True)
        (target / "static" / name).write_bytes(content)
    (target / "images").mkdir(exist_ok=True)
    plan, names, labels, listed = plans(), cited(), targets(), []
    for stem, executed in decks.items():
        text, images, sections = build_deck(read(stem, executed), stem, deck.Markdown(stem, names, labels), minutes, plan.get(stem))
        (target / f"{stem}.html").write_text(text, encoding="utf-8")
        for name, data in images:
            (target / "images" / name).write_bytes(base64.b64decode(data))
        listed.append((stem, sections))
    (target / "index.html").write_text(index_html(listed, minutes), encoding="utf-8")


def read(stem: str, executed: Path):
    """The notebook as it stands in the book, with the outputs of its last execution."""
    run, source = nbformat.read(executed, as_version=4), nbformat.read(BOOK / f"{stem}.ipynb", as_version=4)
    if build_book.code_of(run) != build_book.code_of(source):
        raise ValueError(f"build_slides: expected {executed.name} to be an execution of book/{stem}.ipynb as it stands, "
                         "but their code differs; run make book")
    return build_book.with_outputs(source, run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=deck.MINUTES, help="length of a lecture (default: %(default)s)")
    minutes = parser.parse_args().minutes
    if not minutes >= 10:
        sys.exit(f"make slides: expected at least 10 minutes, got {minutes:g}; a deck holds the widgets and one slide per section")
    begin = time.perf_counter()
    executed = build_book.execute_changed()
    print(f"[2/2] decks of {minutes:g} minutes", flush=True)
    fresh = SLIDES.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write(fresh, {stem: executed[BOOK / f"{stem}.ipynb"] for stem in chapters()}, minutes)
    shutil.rmtree(SLIDES, ignore_errors=True)
    fresh.rename(SLIDES)
    if not build_book.SITE.exists():
        print("The links from the slides to the chapters lead nowhere yet: make book builds their pages.")
    print(f"Done in {time.perf_counter() - begin:.0f} s. Open {SLIDES / 'index.html'} in a browser.")


if __name__ == "__main__":
    main()
