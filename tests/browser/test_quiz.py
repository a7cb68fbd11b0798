"""SelfAssessment in a real browser: every choice explains itself, the first one counts, keyboard and pointer alike."""

import pytest
from axe_core_python.sync_playwright import Axe

from dlnotes.exercises.assessment import questions
from dlnotes.widgets.quiz import SelfAssessment

pytestmark = pytest.mark.browser

CHAPTER = "01_tensor_reshaping"
ITEMS = questions(CHAPTER)


def plain(text):
    return text.replace("`", "")


def right(item):
    return [option["correct"] for option in item["options"]].index(True)


def test_each_choice_shows_its_own_reason_and_the_first_one_counts(widget_page):
    page = widget_page(SelfAssessment(CHAPTER))
    for i, item in enumerate(ITEMS):
        assert plain(item["question"]) == page.locator(".dln-quiz-question").inner_text()
        options = page.locator(".dln-quiz-option")
        wrong = (right(item) + 1) % len(item["options"])
        for j in ([wrong, right(item)] if i == 0 else [right(item)]):
            options.nth(j).click()
            reason = page.locator(".dln-quiz-options > li").nth(j).locator(".dln-quiz-why").inner_text()
            assert reason == ("Right. " if item["options"][j]["correct"] else "Not this one. ") + plain(item["options"][j]["why"])
        assert page.locator(".dln-readout").inner_text().startswith(f"Question {i + 1} of {len(ITEMS)}. {i} of {i + 1} right")
        if i + 1 < len(ITEMS):
            page.get_by_role("button", name="Next").click()
    assert "That was all" in page.locator(".dln-readout").inner_text()
    assert page.get_by_role("button", name="Next").is_disabled()
    assert page.locator(".dln-quiz-hit").count() == len(ITEMS) - 1 and page.locator(".dln-quiz-miss").count() == 1


def test_it_is_answered_with_the_keyboard_alone_and_announced(widget_page):
    page = widget_page(SelfAssessment(CHAPTER))
    page.locator(".dln-quiz-card").focus()
    page.keyboard.press("End")
    assert page.locator(".dln-readout").inner_text().startswith(f"Question {len(ITEMS)} of")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    option = ITEMS[-2]["options"][1]
    assert page.locator(".dln-quiz-why").inner_text().endswith(plain(option["why"]))
    page.wait_for_timeout(600)
    assert plain(option["why"]) in page.locator("[aria-live]").first.inner_text()


def test_the_score_counts_first_choices(kernels):
    call = kernels("quiz")
    first = [right(ITEMS[0]), (right(ITEMS[1]) + 1) % 3, *[None] * (len(ITEMS) - 2)]
    assert call("score", ITEMS, first) == {"answered": 2, "right": 1}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_narrow_screen(widget_page, scheme):
    page = widget_page(SelfAssessment(CHAPTER), viewport={"width": 320, "height": 700}, color_scheme=scheme)
    page.locator(".dln-quiz-option").nth(0).click()
    page.locator(".dln-quiz-option").nth(1).click()
    serious = [v["id"] for v in Axe().run(page)["violations"] if v["impact"] in ("serious", "critical")]
    assert not serious
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
