"""The book on paper: the PDF that `make pdf` prints, a reader's own print, and the bundle's site opened from an odd folder."""

import re
import sys
import zipfile
from datetime import date
from pathlib import Path

import pytest
from site_pages import SITE, visit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import make_bundle  # noqa: E402
import make_pdf  # noqa: E402

pytestmark = pytest.mark.browser
CHAPTER, OTHER, ADDRESS = "03c_stitching.html", "glossary.html", "https://example.org/book"


@pytest.fixture(scope="module")
def printed(browser, tmp_path_factory):
    """A chapter with widgets, formulas and solutions, and the glossary, as `make pdf` prints them: (reader, articles, texts of pages)."""
    from pypdf import PdfReader

    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    pages = [page for page in make_pdf.contents(browser, SITE) if page.name in (CHAPTER, OTHER)]
    book = make_pdf.articles(browser, SITE, pages, ADDRESS)
    count = make_pdf.print_book(browser, book, SITE, ADDRESS, path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["book.pdf", "pdf-numbers.json"]
    reader = PdfReader(path)
    assert len(reader.pages) == count
    return reader, book, [words(page.extract_text()) for page in reader.pages]


def words(text):
    return " ".join(text.split())


def marks(reader, outline=None, depth=0):
    """The bookmarks as (depth, title, page number)."""
    for mark in reader.outline if outline is None else outline:
        if isinstance(mark, list):
            yield from marks(reader, mark, depth + 1)
        else:
            yield depth, mark.title, reader.get_destination_page_number(mark) + 1


def starts(reader):
    """The pages on which the chapter and the glossary start."""
    return [number for depth, title, number in marks(reader) if depth < 2 and re.match("3c|Glossary", title)]


def test_the_pdf_says_what_it_is_and_when_its_sources_were_written(printed):
    reader, _, texts = printed
    assert reader.metadata.title == f"dlnotes {make_pdf.version()}"
    assert reader.metadata.creation_date.date() == make_pdf.date_of_sources()
    cover = texts[0]
    assert f"Version {make_pdf.version()}, sources of {make_pdf.date_of_sources()}" in cover and ADDRESS in cover
    assert {tuple(round(float(side) / 72 * 25.4) for side in page.mediabox[2:]) for page in reader.pages} == {(210, 297)}


def test_each_page_has_its_number_and_the_title_of_its_chapter(printed):
    reader, book, texts = printed
    chapter, glossary = starts(reader)
    for number, text in enumerate(texts, 1):
        assert len(text) > 60, f"page {number} is all but empty"
        if number > 1:
            assert re.search(rf"\b{number}\b", text)
        if number >= chapter:
            assert book[number >= glossary].page.title in text


def test_the_chapter_is_there_from_its_first_sentence_to_its_formulas(printed, page):
    _, book, texts = printed
    visit(page, (SITE / CHAPTER).as_uri())
    first = words(page.locator("article.bd-article p:not(.admonition-title)").first.inner_text())
    text = " ".join(texts)
    assert first[:60] in text
    assert "\\frac" not in text and "\\(" not in text and "<mjx-container" in book[0].content


def test_chinese_terms_keep_their_glyphs(printed):
    reader, _, texts = printed
    glossary = " ".join(texts[starts(reader)[1] - 1:])
    assert "二分类" in glossary or "注意" in glossary, "no Chinese glyphs: install a font that has them (fonts-noto-cjk)"


def test_each_widget_is_a_picture_and_none_is_an_empty_frame(printed, page):
    reader, book, _ = printed
    visit(page, (SITE / CHAPTER).as_uri())
    widgets = page.locator("[data-ready]").count()
    pictures = page.locator("article.bd-article img").count() + widgets
    assert book[0].content.count('class="dln-still"') == widgets > 0
    assert "dln-host" not in book[0].content and "<noscript" not in book[0].content
    chapter, glossary = starts(reader)
    drawn = [image for sheet in reader.pages[chapter - 1:glossary - 1] for image in sheet.images]
    assert len(drawn) >= pictures
    assert min(min(image.image.size) for image in drawn) > 80


def test_solutions_stay_folded_and_the_note_leads_to_them(printed, page):
    _, book, _ = printed
    visit(page, (SITE / CHAPTER).as_uri())
    folded = page.locator("article.bd-article details.hide").count()
    assert book[0].content.count("A solution is folded here.") == folded > 0
    assert "Click to show" not in book[0].content
    assert f'href="{ADDRESS}/{CHAPTER}#exercises"' in book[0].content


def test_bookmarks_nest_sections_in_chapters_and_keep_the_spaces_of_wrapped_titles(printed):
    reader, book, _ = printed
    shown = list(marks(reader))
    assert len(shown) > 10 and {depth for depth, _, _ in shown} >= {0, 1, 2}
    titles = [title for _, title, _ in shown]
    for article in book:
        assert [words(heading) for heading in article.headings if words(heading) not in titles] == []
    assert [number for _, _, number in shown] == sorted(number for _, _, number in shown)
    assert reader.trailer["/Root"]["/PageMode"] == "/UseOutlines"


def test_the_table_of_contents_says_the_page_where_each_section_stands(printed):
    reader, book, texts = printed
    stands = {words(title): number for _, title, number in marks(reader)}
    listed = " ".join(texts[1:starts(reader)[0] - 1])
    for _, title in book[0].sections:
        assert re.search(rf"{re.escape(words(title))} {stands[words(title)]}\b", listed), title


def test_links_within_the_book_jump_and_others_lead_to_the_public_address(printed):
    reader, _, _ = printed
    chapter, glossary = starts(reader)
    names, jumps, outside = reader.named_destinations, [], []
    for sheet in reader.pages[chapter - 1:glossary - 1]:
        for annotation in sheet.get("/Annots") or []:
            annotation = annotation.get_object()
            if "/Dest" in annotation:
                jumps.append(reader.get_destination_page_number(names[annotation["/Dest"]]) + 1)
            else:
                outside.append(annotation["/A"]["/URI"])
    assert any(jump >= glossary for jump in jumps)
    assert f"{ADDRESS}/03_unet.html" in {address.split("#")[0] for address in outside}
    assert [address for address in outside if not address.startswith(("http://", "https://"))] == []


def test_without_a_public_address_nothing_points_to_a_file_of_this_machine(browser):
    pages = [page for page in make_pdf.contents(browser, SITE) if page.name == CHAPTER]
    content = make_pdf.articles(browser, SITE, pages, "")[0].content
    assert "glossary.html" not in content and 'href="file:' not in content
    assert "Click to show" not in content


def test_a_site_that_is_not_there_is_said_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"^make pdf: there is no site in .*; run make book first\.$"):
        make_pdf.first_page(tmp_path / "_build" / "html")


# -- a reader's own print -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [CHAPTER, "claims.html", "api/fourier.html"])
def test_on_paper_the_text_stands_alone_and_nothing_is_cut(open_page, name):
    page = open_page(viewport={"width": 680, "height": 900})
    visit(page, (SITE / name).as_uri())
    page.emulate_media(media="print")
    for gone in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer", ".bd-footer", ".copybtn",
                 ".dln-controls"):
        assert not any(node.is_visible() for node in page.locator(gone).all()), gone
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    cut = page.evaluate("""() => [...document.querySelectorAll("article.bd-article :is(pre, table, img, mjx-container)")]
        .filter((node) => node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.outerHTML.slice(0, 120))""")
    assert cut == []


def test_a_page_in_the_dark_theme_prints_light_with_its_widgets_as_they_stand(open_page):
    page = open_page(color_scheme="dark")
    visit(page, (SITE / CHAPTER).as_uri())
    drawn = """async () => {
      const theme = document.documentElement.dataset;
      const canvases = [...document.querySelectorAll(".dln-widget canvas")].filter((canvas) => canvas.width);
      const look = () => [theme.theme, ...canvases.map((canvas) => canvas.toDataURL())].join();
      const before = look();
      window.requestAnimationFrame = () => 0; // no frame comes before the printer
      dispatchEvent(new Event("beforeprint"));
      await null;
      const paper = look();
      dispatchEvent(new Event("afterprint"));
      return [before.split(",")[0], paper.split(",")[0], theme.theme, canvases.length > 0, before.slice(4) !== paper.slice(5)];
    }"""
    assert page.evaluate(drawn) == ["dark", "light", "dark", True, True]


# -- the bundle's site --------------------------------------------------------------------------------------------------------------------

def test_the_unzipped_site_opens_from_a_folder_with_spaces_and_chinese_in_its_name(open_page, tmp_path):
    (tmp_path / f"dlnotes-{make_bundle.version()}.pdf").touch()
    (tmp_path / "html").symlink_to(SITE)
    files = make_bundle.collect(ROOT, tmp_path, [], [])
    kept = {name: source for name, source in files.items() if re.match(r"site/(_static/|index|searchindex|intro|03c_stitching)", name)
            or name.startswith("site/_images/") and source.name in (SITE / CHAPTER).read_text() + (SITE / "intro.html").read_text()}
    make_bundle.pack(kept, "课程 dlnotes 离线", tmp_path / "a.zip", date(2024, 5, 6))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "下载 和 我的 folder")
    site = tmp_path / "下载 和 我的 folder" / "课程 dlnotes 离线" / "site"
    page = open_page()
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/intro.html")
    visit(page, (site / CHAPTER).as_uri())
    assert page.locator("[data-ready]").count() > 0
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    page.watch.assert_clean()
