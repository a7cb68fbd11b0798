"""What becomes a slide: the rules of a deck, on a small notebook and on every chapter's text."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
for needed in ("tomllib", "myst_parser", "pybtex"):         # `make versions` tries the package, not what builds the book
    pytest.importorskip(needed, reason=f"decks are made by what builds the book, and {needed} is missing")

import build_slides  # noqa: E402
import deck  # noqa: E402
import slide_text  # noqa: E402

CHAPTERS = build_slides.chapters()


def said(source, text, tags=()):
    return new_code_cell(source, outputs=[new_output("stream", name="stdout", text=text)], metadata={"tags": list(tags)})


def md(source, *tags):
    return new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})


def slides(*cells, minutes=45, settle=None):
    """The chosen slides of a notebook as one list, and its sections."""
    reader = deck.Reader(new_notebook(cells=list(cells)), "chapter", deck.Markdown("chapter"))
    sections = deck.choose(reader.sections, minutes, settle)
    return [slide for section in sections for slide in section.slides], sections


TITLE = md("# 9. Title\n\n:::{admonition} This chapter in a box\n**You will be able to**\n- see;\n- say.\n:::")


def text(slide):
    return re.sub(r"<(/?\w[^>]*)>", " ", "".join(slide.parts)).replace("&quot;", '"')


def test_a_section_is_its_heading_then_question_code_output_and_first_sentence():
    found, sections = slides(TITLE, md("## Sums\n\nA sum adds. It has an order.\n\n**Predict.** What is 1 + 1?"),
                             said("print(1 + 1)", "2\n"), md("It is two. Nobody doubts it.\n\nMore prose."))
    assert [section.title for section in sections] == ["9. Title", "Sums"]
    assert [slide.kind for slide in found] == ["title", "question", "run"]
    title, question, run = found
    assert "see;" in text(title)
    assert text(question).split() == "A sum adds. It has an order. Predict What is 1 + 1?".split()
    assert re.search(r"class='out fragment'>2<.*class='fragment take'>It is two. Nobody doubts it.<", "".join(run.parts), re.S)
    assert "More prose." in "".join(run.notes)


def test_exercises_questions_and_further_reading_stay_in_the_chapter():
    found, _ = slides(TITLE, md("## One\n\nText."), said("print(1)", "1"), md("## Exercises\n\nDo."),
                      said("...", "Not yet", ["exercise:a.b"]),
                      md("## Check yourself\n\nAsk."), md("## Summary\n\n- Remember this.\n\n(more)=\n## Further reading\n\n- a book"))
    assert [(slide.kind, slide.title) for slide in found] == [("title", "9. Title"), ("lead", "One"), ("run", "One"), ("list", "Summary")]


def test_solutions_and_hidden_cells_are_no_slides_even_outside_the_exercises():
    found, _ = slides(TITLE, md("## One\n\nText."), said("a", "1", ["solution:a.b"]), said("b", "2", ["remove-cell"]),
                      said("c", "3", ["exercise:a.b"]))
    assert [slide.kind for slide in found] == ["title", "lead"]


def test_a_long_cell_shows_what_it_prints_and_a_short_one_its_code():
    long = "\n".join(f"x{i} = {i}" for i in range(16)) + "\nprint(x0)"
    found, _ = slides(TITLE, md("## One\n\nText."), said(long, "1\n2\n3\n"), md("Then."), said("short = 1\nprint(short)", "1"))
    runs = [text(slide) for slide in found if slide.kind == "run"]
    assert runs[0].split()[:3] == ["1", "2", "3"] and "x15" not in runs[0]
    assert "short" in runs[1]


def test_imports_are_nothing_to_show():
    found, _ = slides(TITLE, md("## One\n\nText."), new_code_cell("import torch\n\nfrom einops import rearrange\n\ndevice = pick_device()"))
    assert [slide.kind for slide in found] == ["title", "lead"]


def test_a_cell_for_the_lecturer_joins_the_notes_of_the_slide_before_it():
    found, _ = slides(TITLE, md("## One\n\nText."), md("<details><summary>For the lecturer</summary>\n\nAsk *why*.\n\n</details>", "notes"))
    assert "<div class='advice'>" in found[-1].notes[0] and "Ask <em>why</em>." in found[-1].notes[0]
    assert "details" not in found[-1].notes[0] and "Ask" not in text(found[-1])


def test_advice_to_a_slide_that_is_left_out_is_not_lost():
    cells = [TITLE, md("## One\n\nText.")]
    for i in range(30):
        cells += [md(f"**Predict.** Number {i}?"), said(f"print({i})", str(i)), md(f"Advice {i}", "notes")]
    found, _ = slides(*cells, minutes=10)
    assert len(found) < 20
    everything = "".join("".join(slide.notes) for slide in found)
    assert all(f"Advice {i}<" in everything for i in range(30))


def test_tags_overrule_the_choice():
    cells = [TITLE, md("## One\n\nText.")]
    for i in range(30):
        cells += [md(f"**Predict.** Number {i}?"), said(f"print({i})", str(i), ["slide"] if i == 29 else ["skip-slide"] if i == 0 else [])]
    found, _ = slides(*cells, minutes=10)
    shown = [text(slide) for slide in found if slide.kind == "run"]
    assert any(re.search(r"print\W+29", run) for run in shown)
    assert not any(re.search(r"print\W+0\b", run) for run in shown)


def test_the_belief_to_settle_is_in_the_lecture():
    cells = [TITLE, md("## One\n\nText.")]
    for i in range(30):
        cells += [md(f'### "Belief {i}"\n\n**Predict.** True?'), said(f"print({i})", str(i), [f"claim:C{i:03}"])]
    found, _ = slides(*cells, minutes=10, settle="C021")
    assert [slide.title for slide in found if slide.belief and slide.kind == "question"].count('"Belief 21"') == 1
    assert any(re.search(r"print\W+21", text(slide)) for slide in found)


@pytest.mark.parametrize("minutes", [10, 45, 90])
def test_the_shares_of_the_sections_add_up_and_a_fixed_one_is_kept(minutes):
    cells = [TITLE]
    for name in ("One", "Two", "Three"):
        cells.append(md(f"## {name}\n\nText.", *(["minutes:4"] if name == "Two" else [])))
        cells += [said(f"print('{name}')", name) for _ in range(4 if name == "Three" else 1)]
    _, sections = slides(*cells, minutes=minutes)
    assert sum(section.minutes for section in sections) == minutes
    shares = {section.title: section.minutes for section in sections}
    assert shares["Two"] == 4
    assert shares["Three"] > shares["One"]


def test_roles_are_text_links_lead_to_the_built_page_and_formulas_are_left_to_mathjax():
    markdown = deck.Markdown("05_attention", {"a2020": "Ann & Bo 2020"}, {"claim-c059": "05_attention", "memory-resume": "10b_memory"})
    page = markdown.html("{term}`softmax <softmax>` {cite}`a2020` {ref}`it <claim-c059>` [x](api/norm.md#a) [y](#Here) [z](07_fft.ipynb) "
                         "[w](https://example.org/a) [v](memory-resume) $a<b$\n\n$$\nx_1 & y\n$$\n\n(target)=\n\n```python\nx = 1\n```")
    assert "softmax <span class='cite'>(Ann &amp; Bo 2020)</span> <a href='../html/05_attention.html#claim-c059'>it</a>" in page
    for link in ("../html/api/norm.html#a", "../html/05_attention.html#here", "../html/07_fft.html",
                 "../html/10b_memory.html#memory-resume", "https://example.org/a"):
        assert f"<a href='{link}'>" in page
    assert r"\(a&lt;b\)" in page and "x_1 &amp; y" in page and "target" not in page and "highlight" in page


@pytest.mark.parametrize(("paragraph", "limit", "kept"), [
    ("One. Two. Three.", 10, "One. Two."),
    ("A look-up, e.g. 3.5 of them. Then more.", 12, "A look-up, e.g. 3.5 of them."),
    ("Say `a. B` and $x. Y$ now. End.", 8, "Say `a. B` and $x. Y$ now."),
    ("**False.** It is not. And so on.", 22, "**False.** It is not."),
    ("(In brackets. Still in.) Out.", 5, "(In brackets. Still in.)"),
])
def test_prose_is_cut_between_sentences(paragraph, limit, kept):
    assert slide_text.first_sentences(paragraph, limit) == kept


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_chapter_says_how_to_teach_it(stem):
    notebook = nbformat.read(ROOT / "book" / f"{stem}.ipynb", as_version=4)
    advice = [cell for cell in notebook.cells if "notes" in cell.metadata.get("tags", [])]
    assert advice or stem not in build_slides.plans(), "paths.md plans a lecture on it, and no cell is tagged notes"
    for cell in advice:
        assert cell.cell_type == "markdown" and cell.source.startswith("<details>") and re.search(r"\bminutes\b", cell.source)


def test_the_lecturers_cells_are_not_on_the_page(tmp_path, monkeypatch):
    import build_book

    book, staged = tmp_path / "book", tmp_path / "stage"
    book.mkdir()
    notebook = new_notebook(cells=[TITLE, md("Advice.", "notes"), said("print(1)", "1")])
    nbformat.write(notebook, book / "a.ipynb")
    monkeypatch.setattr(build_book, "BOOK", book)
    monkeypatch.setattr(build_book, "STAGE", staged)
    build_book.stage({book / "a.ipynb": book / "a.ipynb"})
    assert [cell.cell_type for cell in nbformat.read(staged / "a.ipynb", as_version=4).cells] == ["markdown", "code"]


def test_a_lecture_of_no_length_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["build_slides.py", "--minutes", "5"])
    with pytest.raises(SystemExit, match="at least 10 minutes, got 5"):
        build_slides.main()


def test_the_vendored_slide_library_is_the_reviewed_one(tmp_path):
    import vendor_reveal

    fake = tmp_path / "reveal.js-6.0.2.tgz"
    fake.write_bytes(b"not it")
    with pytest.raises(SystemExit, match=vendor_reveal.SHA256):
        vendor_reveal.main(str(fake))
    assert all((vendor_reveal.VENDOR / name).exists() for name in vendor_reveal.WANTED.values())
