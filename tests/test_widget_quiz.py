"""SelfAssessment and its questions: the form of every file, one right option each, a reason for every option."""

import re
from pathlib import Path

import pytest

from dlnotes.exercises import assessment as module
from dlnotes.exercises.assessment import assessments, questions
from dlnotes.widgets.quiz import SelfAssessment

BOOK = Path(__file__).resolve().parent.parent / "book"


def test_every_chapter_has_questions_and_every_file_its_chapter():
    chapters = sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))
    assert assessments() == chapters


@pytest.mark.parametrize("chapter", assessments())
def test_a_chapter_has_enough_questions_whose_answer_cannot_be_guessed_from_its_place(chapter):
    items = questions(chapter)
    assert len(items) >= 6
    places = [[option["correct"] for option in item["options"]].index(True) for item in items]
    assert len(set(places)) > 1
    assert len({item["question"] for item in items}) == len(items)
    for item in items:
        assert item["question"].count("`") % 2 == 0
        for option in item["options"]:
            assert option["text"].count("`") % 2 == option["why"].count("`") % 2 == 0
            assert len(option["why"]) > 15 and not re.search(r"\*\*|\$|\]\(", option["text"] + option["why"])
        assert len({option["text"] for option in item["options"]}) == len(item["options"])


@pytest.mark.parametrize("chapter", assessments())
def test_the_widget_carries_the_questions_and_draws_them(chapter):
    widget = SelfAssessment(chapter)
    assert widget.questions == questions(chapter)
    assert repr(widget) == f"SelfAssessment({chapter}, {len(widget.questions)} questions)"
    assert widget.still()[:4] == b"\x89PNG"


def test_an_unknown_chapter_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="expected a chapter among .*05_attention.*, got 'attention'"):
        SelfAssessment("attention")


GOOD = {"question": "Why?", "options": [{"text": t, "correct": t == "b", "why": "because"} for t in "abc"]}


@pytest.mark.parametrize(("change", "words"), [
    (lambda q: q.update(extra=1), "expected `question` and `options`"),
    (lambda q: q.update(options=q["options"][:2]), "expected 3 or 4 options"),
    (lambda q: q["options"][0].update(correct=True), "exactly one"),
    (lambda q: q["options"][1].update(correct=False), "exactly one"),
    (lambda q: q["options"][2].update(why=" "), "in each option"),
    (lambda q: q["options"][2].pop("why"), "in each option"),
])
def test_a_file_that_breaks_the_form_is_refused_by_place(tmp_path, monkeypatch, change, words):
    import copy

    import yaml

    bad = copy.deepcopy(GOOD)
    change(bad)
    (tmp_path / "x.yml").write_text(yaml.safe_dump([GOOD, bad]))
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    module.questions.cache_clear()
    with pytest.raises(ValueError, match=f"x.yml, question 2: .*{words}"):
        questions("x")
    module.questions.cache_clear()
