"""The menu that runs a chapter elsewhere: on every notebook's page, with the right links, by keyboard, narrow, and without scripts."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from site_pages import PAGES, SITE

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import addresses  # noqa: E402

pytestmark = pytest.mark.browser
NOTEBOOKS = sorted(path.stem for path in (ROOT / "book").glob("*.ipynb"))
MENU = ".dropdown-launch-buttons"


class Menu(HTMLParser):
    """Text and address of each link in the menu."""

    def __init__(self, html):
        super().__init__()
        self.links, self.address = {}, None
        found = re.search(r'<div class="dropdown dropdown-launch-buttons">.*?</ul>', html, re.S)
        self.feed(found.group() if found else "")

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.address = dict(attributes)["href"]

    def handle_data(self, text):
        if self.address and text.strip():
            self.links[text.strip()], self.address = self.address, None


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_a_notebooks_page_opens_it_on_each_platform_and_as_a_file(stem):
    links = Menu((SITE / f"{stem}.html").read_text(encoding="utf-8")).links
    assert links == {**addresses.launch_links(stem), "Download": f"_sources/{stem}.ipynb", "What each does": "paths.html#run-elsewhere"}
    assert (SITE / links["Download"]).is_file()


def test_only_notebooks_have_the_menu():
    with_menu = [name for name in PAGES if Menu((SITE / name).read_text(encoding="utf-8")).links]
    assert sorted(with_menu) == sorted(f"{stem}.html" for stem in NOTEBOOKS)


def test_the_site_carries_the_wheel_that_its_notebooks_want():
    assert {path.name for path in (SITE / "wheel").iterdir()} == {addresses.WHEEL, "SHA256SUMS"}


def test_a_downloaded_notebook_says_nothing_of_the_machine_that_built_the_page():
    import nbformat

    first = nbformat.read(SITE / "_sources" / "02_cnn.ipynb", as_version=4).cells[1]
    assert first.metadata.tags[0] == "first-cell" and first.outputs == []
    assert "def begin(" not in (SITE / "02_cnn.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_menu_opens_and_closes_by_keyboard_and_fits_a_narrow_screen(open_page, origins, scheme):
    page = open_page(viewport={"width": 320, "height": 700}, color_scheme=scheme)
    page.goto(f"{origins['file']}/02_cnn.html")
    button, menu = page.get_by_role("button", name="Run this chapter"), page.locator(f"{MENU} .dropdown-menu")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert menu.is_visible() and page.evaluate("document.activeElement.textContent.trim()") == "Colab"
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 320
    page.keyboard.press("Escape")
    assert not menu.is_visible() and page.evaluate("document.activeElement.getAttribute('aria-label')") == "Run this chapter"


def test_without_scripts_the_menu_opens_when_it_has_the_focus(open_page, origins):
    page = open_page(java_script_enabled=False)
    page.goto(f"{origins['file']}/02_cnn.html")
    menu = page.locator(f"{MENU} .dropdown-menu")
    assert not menu.is_visible()
    page.locator(f"{MENU} > button").focus()
    assert menu.is_visible() and menu.get_by_text("Download").is_visible()
