"""The book's sources keep their promises: clean notebooks, settled claims, one glossary, self-checking exercises, real citations."""

import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import yaml

from dlnotes import widgets
from dlnotes.exercises import check, checkers

BOOK = Path(__file__).resolve().parent.parent / "book"
NOTEBOOKS = sorted(path.stem for path in BOOK.glob("*.ipynb"))
CLAIMS = yaml.safe_load((BOOK / "claims.yml").read_text(encoding="utf-8"))
EXPECTED_CLAIMS = {
    "01_tensor_reshaping": "C001 C002 C003 C005 C006 C007 C008 C009",
    "02_cnn": "C010 C012 C013 C014 C015 C016 C017 C019 C023 C024 C138",
    "02b_batchnorm": "C020 C021 C022 C103 C104 C105 C115 C125",
    "02c_training": "C106 C107 C108 C110 C111 C114 C116 C118 C119 C120 C121 C122 C124",
    "03_unet": "C026 C027 C028 C029 C030 C031 C033 C034 C035 C036 C038",
    "03b_segmentation": "C040 C041 C112 C113 C117 C127 C128 C129 C131 C132 C133",
    "03c_stitching": "C037 C126",
    "04_resnet": "C042 C043 C044 C045 C047 C048 C049 C050 C055",
    "04b_resnet_family": "C051 C052 C054",
    "05_attention": "C056 C057 C058 C059 C061 C062 C063 C064 C065 C066 C067",
    "05b_channel_attention": "C068 C069 C070",
    "05c_transformer_graph": "C134 C135 C136",
    "06_vit_swin": "C071 C072 C073",
    "07_fft": "C075 C076 C077 C078 C079 C080",
    "08_svd_sobel": "C081 C082 C083 C084 C085 C086 C087",
    "09_data": "C089 C090 C091 C092 C093",
    "09b_files": "C094",
    "10_platforms": "C096 C097 C098 C099 C100 C101",
    "10b_memory": "C139 C140",
}


def read(stem):
    return nbformat.read(BOOK / f"{stem}.ipynb", as_version=4)


def tags(cell):
    return cell.metadata.get("tags", [])


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in tags(cell)]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def exercise_module(stem):
    """The module of ``dlnotes.exercises`` that a chapter's tags name."""
    found = {tag.split(":")[1].split(".")[0] for cell in read(stem).cells for tag in tags(cell) if tag.startswith("exercise:")}
    assert len(found) == 1, f"{stem}: expected exercises of one module, got {sorted(found)}"
    return found.pop()


CHAPTERS = {stem: exercise_module(stem) for stem in NOTEBOOKS if stem[0].isdigit()}


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_a_committed_notebook_carries_text_outputs_only(stem):
    notebook = read(stem)
    assert "widgets" not in notebook.metadata
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            assert output.output_type in ("stream", "execute_result", "display_data"), f"cell {index}: {output.output_type}"
            assert set(output.get("data", {"text/plain": ""})) == {"text/plain"}, f"cell {index} stores more than text"
            assert output.get("name", "stdout") == "stdout", f"cell {index} stores a warning: mend its cause"
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "executed out of order: run make outputs"


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_a_code_cell_fits_on_a_screen(stem):
    long = [(i, cell.source.count("\n") + 1) for i, cell in enumerate(read(stem).cells)
            if cell.cell_type == "code" and cell.source.count("\n") >= 26]
    assert not long


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_the_stored_outputs_hold_nothing_that_changes_from_run_to_run(stem):
    text = "\n".join(str(o.get("text", o.get("data", ""))) for cell in read(stem).cells for o in cell.get("outputs", []))
    assert not re.search(r"0x[0-9a-f]{6,}|device\(type|device=.cuda|/home/(?!me/)|/root/(?!autodl|kernel-1)", text)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["id"])
def test_every_claim_is_settled_by_a_cell_that_asserts(claim):
    notebook = read(claim["chapter"])
    cells = tagged(notebook, f"claim:{claim['id']}")
    assert cells, f"no cell of {claim['chapter']} is tagged claim:{claim['id']}"
    assert any("assert" in cell.source for cell in cells)
    assert f"(claim-{claim['id']})=" in prose(notebook)
    assert claim["verdict"] in ("false", "outdated", "misleading", "true")


def test_no_claim_of_these_chapters_is_missing():
    found = {stem: " ".join(sorted(c["id"] for c in CLAIMS if c["chapter"] == stem)) for stem in EXPECTED_CLAIMS}
    assert found == EXPECTED_CLAIMS


@pytest.mark.parametrize(("stem", "chapter"), CHAPTERS.items())
def test_a_chapter_has_six_exercises_each_with_stub_and_folded_solution(stem, chapter):
    notebook, names = read(stem), checkers(chapter)
    assert len(names) >= 6
    for name in names:
        (stub,), (solution,) = tagged(notebook, f"exercise:{name}"), tagged(notebook, f"solution:{name}")
        assert "hide-cell" in tags(solution)
        assert "..." in stub.source
        assert f'check("{name}"' in stub.source and f'check("{name}"' in solution.source
        for cell, verdict in ((stub, "Not yet. "), (solution, "Correct. ")):
            shown = "".join(o.get("text", "") or o.data["text/plain"] for o in cell.outputs)
            assert verdict in shown, f"{name}: expected {verdict!r} in the stored output, got {shown!r}"


def near_misses():
    for chapter in CHAPTERS.values():
        module = import_module(f"exercises.near_misses_{chapter}")
        for name in checkers(chapter):
            yield pytest.param(name, module.NEAR_MISSES.get(name, []), id=name)


@pytest.mark.parametrize(("name", "wrong"), near_misses())
def test_near_misses_fail_with_a_hint_that_names_the_mistake(name, wrong):
    assert len(wrong) >= 2, "at least two near misses"
    for answer, words in wrong:
        result = check(name, answer)
        assert not result.passed
        assert words in result.message


@pytest.mark.parametrize("name", [name for chapter in CHAPTERS.values() for name in checkers(chapter)])
@pytest.mark.parametrize("stub", [None, ..., lambda *a, **k: None, lambda *a, **k: ...], ids=["None", "...", "returns None", "returns ..."])
def test_an_untouched_stub_fails(name, stub):
    assert not check(name, stub).passed


def test_an_unknown_exercise_is_named_in_the_error():
    with pytest.raises(ValueError, match="expected the name of an exercise"):
        check("tensors.no_such_thing", None)


def glossary_terms():
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    return {term.lower(): zh for term, zh in re.findall(r"(?m)^(\S[^\n]*)\n {4}([^.\n]*[\u4e00-\u9fff][^.]*)\.", text)}


@pytest.mark.parametrize("stem", CHAPTERS)
def test_every_linked_term_is_in_the_glossary_with_the_same_chinese(stem):
    text, terms = prose(read(stem)), glossary_terms()
    used = re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`\*{0,2}(?: ?\(([^)]*[\u4e00-\u9fff][^)]*)\))?", text)
    used = [(term.lower(), chinese) for term, chinese in used]
    assert len({term for term, _ in used}) >= 10
    for term, chinese in used:
        assert term in terms, f"{term!r} is not in the glossary"
        assert not chinese or chinese == terms[term], f"{term}: {chinese} here, {terms[term]} in the glossary"
    for term in {term for term, _ in used}:
        assert any(t == term and zh for t, zh in used), f"{term}: no Chinese at its first use"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_chapter_has_the_parts_that_every_chapter_has(stem):
    notebook = read(stem)
    text = prose(notebook)
    for heading in ("## What people get wrong", "## Exercises", "## Check yourself", "## Summary", "## Further reading"):
        assert heading in text, heading
    assert any(f'SelfAssessment("{stem}")' in cell.source for cell in notebook.cells)
    for word in ("minutes", "**Predict.**", "{cite}", "api/"):
        assert word in text, word
    made = re.compile(rf"(?m)^(\w+ = )?({'|'.join([*widgets.__all__, 'WindowExplorer'])})\(")
    widget = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and made.search(cell.source))
    formulas = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "markdown" and "$" in re.sub(r"`[^`]*`", "", cell.source)]
    assert not any(i < widget for i in formulas), "a formula before the widget"


def test_every_citation_exists_and_every_reference_is_cited():
    keys = set(re.findall(r"(?m)^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(encoding="utf-8")))
    cited = set()
    texts = [prose(read(stem)) for stem in NOTEBOOKS] + [path.read_text(encoding="utf-8") for path in BOOK.glob("*.md")]
    for text in texts:
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text):
            cited |= {key.strip() for key in group.split(",")}
    assert cited == keys


INVENTORY = yaml.safe_load((BOOK / "inventory.yml").read_text(encoding="utf-8"))


def test_every_row_of_the_inventory_has_a_place_and_none_is_lost():
    assert len(INVENTORY) == 275 and len({(row["section"], row["item"]) for row in INVENTORY}) == 275
    lost = [row for row in INVENTORY if not (row["page"] and (BOOK / f"{row['page']}.ipynb").exists() and row["anchor"])]
    assert lost == []


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_chapter_stands_on_the_map_and_in_the_table_of_contents(stem):
    assert f"page: {stem}," in (BOOK / "map.yml").read_text(encoding="utf-8")
    assert f"file: {stem}\n" in (BOOK / "_toc.yml").read_text(encoding="utf-8")
    assert f"]({stem}.ipynb)" in prose(read("intro"))


# ---------------------------------------------------------------- the API pages

def test_every_public_name_has_a_place_on_an_api_page():
    """Each name of each package's ``__all__`` is documented by an autodoc line, by name or through its file."""
    import dlnotes

    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((BOOK / "api").glob("*.md")))
    whole_files = set(re.findall(r"automodule:: (\S+)\n   :members:", text))
    lost = []
    for package in dlnotes.__all__:
        module = import_module(f"dlnotes.{package}")
        if module.__name__ in whole_files:
            continue
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not callable(value) or getattr(value, "__module__", None) in whole_files:
                continue
            if not re.search(rf"auto(?:class|function|data):: (?:dlnotes\.\S+\.)?{name}\n", text):
                lost.append(f"{package}.{name}")
    assert lost == []


def test_every_model_file_has_a_place_on_an_api_page():
    from dlnotes.models import _MODELS
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((BOOK / "api").glob("models_*.md")))
    assert [name for name in _MODELS if f"automodule:: dlnotes.models.{name}\n" not in text] == []
    assert sorted(" ".join(re.findall(r"```\{figures\} (.*)", text)).split()) == sorted(_MODELS)
