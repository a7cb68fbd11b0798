"""Where a live widget cannot start, its picture and a sentence stand in its place: an old browser, a lost script, scripts off."""

import pytest
from site_pages import SITE

from dlnotes import widgets
from dlnotes.widgets import _bundle

pytestmark = pytest.mark.browser

OLD, LOST = "This browser is too old for the live widget", "The script of the live widget did not arrive"
CHAPTER = "05_attention.html"
UNREADABLE = "const = ;"


@pytest.fixture
def old_page(browser):
    """old_page(**options) -> a page whose errors are collected in .errors instead of failing the test."""
    contexts = []

    def open_(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        return page

    yield open_
    for context in contexts:
        context.close()


def assert_still(page, sentence, count=1):
    page.wait_for_selector("[data-still]")
    stills = page.locator("[data-still]").all()
    assert len(stills) == count
    for still in stills:
        assert still.inner_text().startswith(sentence)
        image = still.locator("img")
        assert len(image.get_attribute("alt")) > 20
        page.wait_for_function("image => image.complete && image.naturalWidth > 150", arg=image.element_handle())
    assert page.locator(".dln-widget, .dln-host").count() == 0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "widget.html"
    widgets.AttentionCost().to_html(path)
    return path


def test_a_browser_that_cannot_read_the_script_shows_the_picture_and_says_why(old_page, file):
    text = file.read_text(encoding="utf-8")
    assert _bundle.runtime() in text
    file.write_text(text.replace(_bundle.runtime(), UNREADABLE), encoding="utf-8")
    page = old_page()
    page.goto(file.as_uri())
    assert_still(page, OLD)
    assert len(page.errors) == 1        # the script that it cannot read, and nothing after it


@pytest.mark.parametrize("missing", ["delete window.ResizeObserver", "delete window.ResizeObserver; delete Array.prototype.findLast",
                                     "Element.prototype.replaceChildren = undefined; delete Array.prototype.findLast"])
def test_a_browser_without_a_feature_shows_the_picture_and_says_why(old_page, file, missing):
    page = old_page()
    page.add_init_script(missing)
    page.goto(file.as_uri())
    assert_still(page, OLD)
    assert page.errors == []


def test_a_widget_that_fails_in_a_new_browser_shows_the_picture_and_does_not_blame_the_browser(old_page, file):
    page = old_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.add_init_script("Element.prototype.replaceChildren = () => { throw new Error('broken on purpose'); }")
    page.goto(file.as_uri())
    assert_still(page, "The live widget could not start")
    assert any("broken on purpose" in text for text in said)


def test_the_guard_is_in_words_that_any_browser_knows():
    assert not any(word in _bundle.guard() for word in ("=>", "const ", "let ", "`", "?.", "||=", "??", "class ", "..."))


def test_with_scripts_off_a_file_is_its_picture(old_page, file):
    page = old_page(java_script_enabled=False)
    page.goto(file.as_uri())
    image = page.locator("img")
    assert image.count() == 1 and image.bounding_box()["width"] > 150 and len(image.get_attribute("alt")) > 20


def test_a_frame_that_allows_no_scripts_is_its_picture(old_page):
    page = old_page()
    page.set_content("<!doctype html><title>host</title>" + widgets.AttentionCost().to_html().replace('sandbox="allow-scripts"', "sandbox"))
    image = page.frame_locator("iframe").locator("img")
    assert image.bounding_box()["width"] > 150 and len(image.get_attribute("alt")) > 20


@pytest.mark.parametrize(("answer", "sentence"), [(UNREADABLE, OLD), (None, LOST)])
def test_a_chapter_in_an_old_browser_and_one_whose_script_is_lost(old_page, origins, answer, sentence):
    page = old_page()
    page.route("**/widgets/runtime.js*", lambda route: route.abort() if answer is None else
               route.fulfill(body=answer, content_type="text/javascript"))
    page.goto(f"{origins['http']}/{CHAPTER}")
    views = (SITE / CHAPTER).read_text(encoding="utf-8").count('type="application/vnd.jupyter.widget-view+json"')
    assert_still(page, sentence, views)
    assert len(page.errors) == (0 if answer is None else 1)


def test_a_module_that_is_lost_leaves_the_picture_and_the_other_widgets(old_page, origins):
    page = old_page()
    page.route("**/widgets/cost.js*", lambda route: route.abort())
    page.goto(f"{origins['http']}/{CHAPTER}")
    page.wait_for_selector("[data-still]")
    assert page.locator("[data-still]").inner_text().startswith(LOST)
    page.wait_for_selector("[data-ready]")
