"""The decks as a lecturer meets them: from a folder, on two sizes of projector, with living widgets, notes and a clock."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from site_pages import SITE

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import build_slides  # noqa: E402

from dlnotes import widgets  # noqa: E402

pytestmark = pytest.mark.browser

STEMS = build_slides.chapters()
SHOWN = ["05_attention", "07_fft"]
SIZES = [(1280, 720), (1920, 1080)]


@pytest.fixture(scope="session")
def decks(tmp_path_factory):
    """All decks, built from the notebooks that `make book` executed."""
    folder = tmp_path_factory.mktemp("slides")
    cache = ROOT / "_build" / "executed"
    newest = {stem: max(cache.glob(f"{stem}-*.ipynb"), key=lambda path: path.stat().st_mtime, default=None) for stem in STEMS}
    assert all(newest.values()), f"not executed: {[stem for stem, path in newest.items() if path is None]}; run make book"
    build_slides.write(folder, newest)
    return folder


@pytest.fixture
def show(open_page, decks):
    """show(stem, width, height, **options) -> a deck, ready: formulas set, every widget fitted to its slide."""
    def open_(stem, width=1280, height=720, **options):
        page = open_page(viewport={"width": width, "height": height}, **options)
        page.goto((decks / f"{stem}.html").as_uri())
        page.wait_for_function("window.MathJax?.startup?.promise && Reveal.isReady()")
        page.evaluate("MathJax.startup.promise.then(() => true)")
        page.wait_for_function("[...document.querySelectorAll('.widget')].every((box) => box.querySelector('[data-fitted=yes]'))")
        return page

    return open_


def go(page, index):
    page.evaluate("(i) => { const { h, v } = Reveal.getIndices(slides()[i]); Reveal.slide(h, v); }", index)


def widget_slide(page, module):
    """Go to the first slide with this widget; returns the widget."""
    go(page, page.evaluate("(name) => slides().findIndex((slide) => slide.querySelector(`[data-ready=${name}]`))", module))
    return page.locator(f"section.present section.present [data-ready={module}]")


def here(page):
    return page.evaluate("slides().indexOf(Reveal.getCurrentSlide())")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("stem", SHOWN)
def test_nothing_overflows_its_slide(show, stem, width, height):
    page = show(stem, width, height)
    count = page.evaluate("slides().length")
    assert 25 <= count <= 55
    for index in range(count):
        go(page, index)
        over = page.evaluate("""(i) => {
          const slide = slides()[i], body = slide.querySelector(".body"), widget = slide.querySelector(".dln-host");
          const edge = slide.getBoundingClientRect(), scale = Reveal.getScale(), found = [], right = edge.right + 1;
          const low = body.getBoundingClientRect().bottom + 1;
          if (slide.scrollHeight > 721) found.push(`slide ${slide.scrollHeight}`);
          if (!widget && body.scrollHeight > body.clientHeight + 1) found.push(`body ${body.scrollHeight} in ${body.clientHeight}`);
          if (widget && widget.getBoundingClientRect().bottom > low && !body.querySelector(".widget.scrolls")) found.push("widget");
          for (const part of body.querySelectorAll("p, li, pre, table, img, .math"))
            if (part.getBoundingClientRect().right > right || part.matches("pre:not(.dln-pre)") && part.scrollWidth > part.clientWidth + 1)
              found.push(part.outerHTML.slice(0, 60));
          if (Math.abs(edge.height - 720 * scale) > 1) found.push(`height ${edge.height}`);
          return found;
        }""", index)
        assert not over, f"slide {index} of {stem}: {over}"


@pytest.mark.parametrize("stem", STEMS)
def test_links_and_pictures_of_a_deck_are_there(decks, stem):
    page = (decks / f"{stem}.html").read_text(encoding="utf-8")
    assert "{term}" not in page and "{cite}" not in page and "{ref}" not in page
    for source in re.findall(r"(?:src|href)=[\"']((?:images|static)/[^\"']+)", page):
        assert (decks / source).exists(), source
    broken = []
    for address in set(re.findall(r"href='\.\./html/([^']+)'", page)):
        path, _, fragment = unquote(address).partition("#")
        if not (SITE / path).exists() or fragment and f'id="{fragment}"' not in (SITE / path).read_text(encoding="utf-8"):
            broken.append(address)
    assert not broken


def test_the_list_of_lectures_leads_to_every_deck(open_page, decks):
    page = open_page()
    page.goto((decks / "index.html").as_uri())
    links = page.locator("ol a")
    assert [link.get_attribute("href") for link in links.all()] == [f"{stem}.html" for stem in STEMS]
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight && getComputedStyle(document.body).overflow !== 'hidden'")


def radii(page, widget):
    """The radii that a press at two places of the spectrum sets."""
    box, found = widget.locator(".dln-picture [tabindex='0']").first.bounding_box(), []
    for share in (0.7, 0.85):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(100)
        found.append(float(re.search(r"radius (\d+)", widget.locator(".dln-readout").inner_text())[1]))
    return found


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_pointer_meets_a_scaled_widget_where_it_points(show, widget_page, width, height):
    plain = widget_page(widgets.SpectrumExplorer(filter="low", edge="gaussian", radius=20))
    expected = radii(plain, plain.locator(".dln-widget"))
    assert expected[1] > expected[0] + 10
    page = show("07_fft", width, height)
    widget = widget_slide(page, "spectrum")
    assert page.evaluate("Reveal.getScale()") == height / 720
    assert radii(page, widget) == pytest.approx(expected, abs=1)


def test_the_canvases_of_a_scaled_widget_have_the_pixels_of_the_screen(show):
    page = show("07_fft", 1920, 1080)
    widget_slide(page, "waves")
    sharp = page.evaluate("""[...document.querySelectorAll("section.present section.present [data-ready=waves] canvas")]
        .map((canvas) => canvas.width / canvas.clientWidth)""")
    assert sharp and min(sharp) >= 1.49


def test_in_a_widget_the_arrows_are_its_own_and_page_keys_turn_the_slide(show):
    page = show("07_fft")
    widget = widget_slide(page, "spectrum")
    at, readout = here(page), widget.locator(".dln-readout")
    widget.locator(".dln-picture [tabindex='0']").first.focus()
    before = readout.inner_text()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert readout.inner_text() != before
    assert here(page) == at
    page.keyboard.press("PageDown")
    assert here(page) == at + 1
    page.keyboard.press("PageUp")
    assert here(page) == at


def test_escape_leads_from_a_widget_back_to_the_slides(show):
    page = show("07_fft")
    widget = widget_slide(page, "spectrum")
    at = here(page)
    widget.locator(".dln-picture [tabindex='0']").first.focus()
    page.keyboard.press("Escape")
    page.wait_for_timeout(50)
    assert not page.evaluate("Reveal.isOverview()")
    page.keyboard.press("ArrowRight")
    assert here(page) > at


def test_the_output_comes_with_the_second_key_and_its_meaning_with_the_third(show):
    page = show("05_attention")
    go(page, page.evaluate("slides().findIndex((slide) => slide.querySelector('.out.fragment') && slide.querySelector('.take'))"))
    at, shown = here(page), "[...Reveal.getCurrentSlide().querySelectorAll('.fragment')].map((part) => getComputedStyle(part).visibility)"
    assert page.evaluate(shown) == ["hidden", "hidden"]
    page.keyboard.press(" ")
    page.wait_for_timeout(200)
    assert page.evaluate(shown) == ["visible", "hidden"]
    page.keyboard.press(" ")
    page.wait_for_timeout(200)
    assert page.evaluate(shown) == ["visible", "visible"]
    assert here(page) == at


def test_the_timer_waits_for_the_first_slide_counts_per_section_warns_and_can_be_put_away(show):
    page = show("05_attention")
    timer = page.locator(".dln-timer")
    page.wait_for_timeout(600)
    assert re.fullmatch(r"0:00 of \d+:\d\d here\s+·\s+0:00 of 45:00", timer.inner_text())
    assert page.evaluate("planned.reduce((a, b) => a + b)") == 45 * 60
    go(page, 1)
    page.wait_for_function("document.querySelector('.dln-timer').innerText.startsWith('0:01')")
    page.evaluate("spent[here()] = planned[here()] + 1")
    page.wait_for_function("document.querySelector('.dln-timer b').className === 'late'")
    go(page, page.evaluate("slides().length - 1"))
    page.wait_for_function("document.querySelector('.dln-timer b').className === ''")
    page.keyboard.press("t")
    assert not timer.is_visible()
    page.keyboard.press("t")
    page.keyboard.press("r")
    page.wait_for_timeout(400)
    assert "0:00 of 45:00" in timer.inner_text()


def test_the_notes_are_prose_and_advice_on_a_key(show):
    page = show("05_attention")
    assert page.evaluate("slides().filter((slide) => slide.querySelector('aside.notes').textContent.length > 40).length") > 20
    widget_slide(page, "attention")
    panel = page.get_by_label("Speaker notes")
    assert not panel.is_visible()
    page.keyboard.press("n")
    assert "Pick a patch on the digit" in panel.inner_text()
    page.keyboard.press("PageDown")
    assert "Pick a patch on the digit" not in panel.inner_text()
    page.keyboard.press("n")
    assert not panel.is_visible()


def test_the_speakers_window_shows_notes_clock_and_next_slide_and_turns_the_page(show):
    page = show("05_attention")
    widget_slide(page, "attention")
    at = here(page)
    with page.context.expect_page() as opened:
        page.keyboard.press("s")
    desk = opened.value
    desk.wait_for_selector(".dln-desk .clock strong")
    assert "Pick a patch on the digit" in desk.locator(".said").inner_text()
    assert re.search(r"of \d+:\d\d in this section\s+.*of 45:00 in all", desk.locator(".clock").inner_text())
    assert desk.evaluate("getComputedStyle(document.querySelector('.dln-desk')).display") == "grid"
    pixels = desk.evaluate("""[...document.querySelectorAll(".frame.now canvas")].some((canvas) => canvas.width
        && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v))""")
    assert pixels, "the copy of the widget is empty"
    upcoming = desk.locator(".frame.next h2").inner_text()
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("PageDown") if here(page) == at else None
    page.wait_for_function("(at) => slides().indexOf(Reveal.getCurrentSlide()) > at", arg=at)
    assert desk.locator(".said h2").inner_text() == upcoming


def test_where_windows_are_blocked_the_notes_come_to_the_slides(show):
    page = show("05_attention")
    page.evaluate("window.open = () => null")
    go(page, 1)
    page.keyboard.press("s")
    assert page.get_by_label("Speaker notes").is_visible()


def test_the_keys_are_explained_on_a_key(show):
    page = show("07_fft")
    page.keyboard.press("Shift+?")
    assert page.locator(".dln-keys").is_visible()
    assert "the speaker's window" in page.locator(".dln-keys").inner_text()
    assert not page.evaluate("Reveal.isPaused()")
    page.keyboard.press("Escape")
    assert not page.locator(".dln-keys").is_visible()
    assert not page.evaluate("Reveal.isOverview()")


def test_a_deck_is_dark_or_light_as_the_system_asks_and_on_a_key(show):
    paper = "getComputedStyle(slides()[1]).backgroundColor"
    for scheme, colour, other in (("light", "rgb(255, 255, 255)", "rgb(20, 24, 30)"), ("dark", "rgb(20, 24, 30)", "rgb(255, 255, 255)")):
        page = show("07_fft", color_scheme=scheme)
        assert page.evaluate(paper) == colour
        page.keyboard.press("d")
        assert page.evaluate(paper) == other
        assert page.evaluate("getComputedStyle(document.querySelector('.dln-widget')).getPropertyValue('--dln-paper').trim()") \
            == {"rgb(255, 255, 255)": "#ffffff", "rgb(20, 24, 30)": "#14181e"}[other]
