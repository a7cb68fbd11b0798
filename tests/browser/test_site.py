"""The built site as a reader meets it: offline, over http and from a folder, light and dark, wide and narrow, keyboard only."""

import functools
import json
import re
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from site_pages import PAGES, SITE, visit

from dlnotes import widgets

pytestmark = pytest.mark.browser

BOOK = Path(__file__).resolve().parents[2] / "book"
IMPORT = re.compile(r"from dlnotes\.widgets import \(?([^)\\\"]+)")


def widget_modules(path):
    """Modules of the widgets that a notebook imports."""
    names = {part.split(" as ")[0].strip() for found in IMPORT.findall(path.read_text(encoding="utf-8")) for part in found.split(",")}
    return sorted(widgets._HOME[name] for name in names & set(widgets._HOME))


CHAPTERS = {path.stem: used for path in sorted(BOOK.glob("*.ipynb")) if (used := widget_modules(path))}
SCRIPT_BUDGET, DATA_BUDGET = 150_000, 1_000_000


def test_the_site_is_built():
    assert (SITE / "index.html").exists(), "there is no site in _build/html; run make book"


def test_the_first_page_opens_from_the_folder(open_page, origins):
    page = open_page()
    page.goto(f"{origins['file']}/index.html")
    page.wait_for_url("**/intro.html")
    assert page.locator("h1").first.inner_text().startswith("Start here")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stays_here_and_says_no_error(open_page, origins, name):
    for origin in origins.values():
        page = open_page()
        visit(page, f"{origin}/{name}")
        page.watch.assert_clean()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_narrow_screen(open_page, origins, name):
    page = open_page(viewport={"width": 320, "height": 700})
    visit(page, f"{origins['file']}/{name}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(("name", "modules"), CHAPTERS.items())
def test_a_chapter_shows_its_widgets_with_a_readable_first_state(open_page, origins, name, modules):
    for origin in origins.values():
        page = open_page()
        visit(page, f"{origin}/{name}.html")
        assert set(modules) <= set(page.evaluate("[...document.querySelectorAll('[data-ready]')].map(n => n.dataset.ready)"))
        for readout in page.locator(".dln-readout").all():
            assert len(readout.inner_text()) > 10


@pytest.mark.parametrize("name", CHAPTERS)
def test_without_scripts_every_widget_is_a_picture(open_page, origins, name):
    page = open_page(java_script_enabled=False)
    page.goto(f"{origins['file']}/{name}.html")
    stills = page.locator("noscript img")
    views = (SITE / f"{name}.html").read_text(encoding="utf-8").count('type="application/vnd.jupyter.widget-view+json"')
    assert stills.count() == views > 0
    for still in stills.all():
        box = still.bounding_box()
        assert box and box["width"] > 150 and box["height"] > 80
        assert len(still.get_attribute("alt")) > 20


@pytest.mark.parametrize("origin", ["http", "file"])
def test_search_finds_a_word(open_page, origins, origin):
    page = open_page()
    page.goto(f"{origins[origin]}/search.html?q=softmax")
    page.wait_for_selector("#search-results li a")
    assert any("Attention" in text for text in page.locator("#search-results li a").all_inner_texts())


def public_names():
    """Every name that a reader may type: of each package's ``__all__``, and of each network that ``create`` builds."""
    import dlnotes
    from dlnotes.models import list_models

    packages = [import_module(f"dlnotes.{package}") for package in dlnotes.__all__]
    return sorted({name for package in packages for name in getattr(package, "__all__", ())} | set(dlnotes.__all__) | set(list_models()))


def test_search_finds_every_symbol(open_page, origins):
    """By name, and the first hit is a page where the name stands."""
    page = open_page()
    page.goto(f"{origins['file']}/search.html?q=softmax")
    page.wait_for_selector("#search-results li a")
    found = page.evaluate("""names => Object.fromEntries(names.map((name) => {
        const results = Search._performSearch(...Search._parseQuery(name));
        return [name, results.length ? results[results.length - 1][0] : null]; }))""", public_names())
    assert len(found) > 300
    assert [name for name, hit in found.items() if hit is None] == []
    texts = {hit: (SITE / f"{hit}.html").read_text(encoding="utf-8").lower() for hit in set(found.values())}
    assert [name for name, hit in found.items() if name.lower() not in texts[hit]] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_can_be_downloaded_from_its_page(open_page, origins, name):
    page = open_page()
    visit(page, f"{origins['http']}/{name}.html")
    address = page.locator("a[href$='.ipynb'][download], .btn-download-source-button").first.get_attribute("href")
    response = page.request.get(f"{origins['http']}/{address}")
    notebook = json.loads(response.body())
    assert notebook["nbformat"] == 4
    assert any("dlnotes" in "".join(cell["source"]) for cell in notebook["cells"])


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_keeps_to_its_budget(name, record_property):
    html = (SITE / f"{name}.html").read_text(encoding="utf-8")
    states = re.findall(r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>', html, re.S)
    modules = set(re.findall(r'"_module":"(\w+)"', "".join(states)))
    static = SITE / "_static"
    own = ["book.js", "widgets/guard.js", "widgets/runtime.js", *(f"widgets/{m}.js" for m in modules)]
    scripts = sum((static / path).stat().st_size for path in own)
    data = sum(map(len, states))
    record_property("own script, bytes", scripts)
    record_property("data, bytes", data)
    print(f"{name}: own script {scripts / 1000:.0f} KB of {SCRIPT_BUDGET // 1000}, data {data / 1000:.0f} KB of {DATA_BUDGET // 1000}")
    assert modules
    assert scripts <= SCRIPT_BUDGET
    assert data <= DATA_BUDGET


class Anchors(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.images = set(), [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes.get("id"), attributes.get("name")}
        if tag in ("a", "link") and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag in ("img", "script") and attributes.get("src"):
            self.links.append(attributes["src"])
        if tag == "img":
            self.images.append(attributes)


@functools.cache
def anchors(path):
    parser = Anchors()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("name", PAGES)
def test_no_internal_link_is_broken_and_every_picture_has_words(name):
    here = SITE / name
    broken = []
    for link in anchors(here).links:
        parts = urlparse(link)
        if parts.scheme in ("http", "https", "mailto", "data"):
            continue
        target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        if not target.exists() or (parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors(target).ids):
            broken.append(link)
    assert not broken
    wordless = [image.get("src", "")[-60:] for image in anchors(here).images
                if not image.get("alt", "").strip() or image["alt"].endswith((".png", ".svg"))]
    assert not wordless


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_widgets_answer_to_the_keyboard_alone(open_page, origins, name):
    page = open_page()
    visit(page, f"{origins['file']}/{name}.html")
    for index in range(page.locator(".dln-widget").count()):
        widget = page.locator(".dln-widget").nth(index)
        target = widget.locator(".dln-picture [tabindex='0']").first
        target.focus()
        before = widget.locator(".dln-readout").inner_text()
        scroll = page.evaluate("scrollY")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(80)
        changed = widget.locator(".dln-readout").inner_text() != before
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(80)
        assert changed or widget.locator(".dln-readout").inner_text() != before
        assert page.evaluate("scrollY") == scroll, "an arrow key moved the page"


def test_the_legends_of_the_published_spectrum_show_their_colours(open_page, origins):
    page = open_page()
    visit(page, f"{origins['file']}/07_fft.html")
    bars = page.locator(".dln-spectrum-bar").all()
    assert len(bars) == 4
    for bar in bars:
        assert bar.evaluate("node => getComputedStyle(node).backgroundImage").startswith("linear-gradient(")


def test_pages_are_dark_or_light_as_the_reader_asks(open_page, origins):
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        visit(page, f"{origins['file']}/07_fft.html")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 30)")
