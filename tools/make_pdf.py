"""From the built site to one PDF: every page in the order of the contents, widgets as still pictures, links that stay in the document.

    make pdf

A headless browser opens each page, so that formulas are set, and hands over its article. All articles become one document,
which the browser prints: headings become bookmarks, links between chapters become jumps, and the alternative texts of pictures stay.
It is printed twice, since only the first print knows the numbers that the table of contents shows (once where the last numbers still hold).
"""

import datetime
import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LEAST_BROWSER = 131  # the first Chromium that prints running titles and page numbers from CSS


class Page(NamedTuple):
    """One entry of the site's contents: its file, its title, how deep it stands, and the part that it opens (or nothing)."""

    name: str
    title: str
    depth: int
    part: str

    @property
    def slug(self) -> str:
        return "p_" + re.sub(r"\W+", "_", self.name.removesuffix(".html"))


class Article(NamedTuple):
    """What one page gives to the book: content, sections as (id in the book, title), all headings, and the style of its formulas."""

    page: Page
    content: str
    sections: list[tuple[str, str]]
    headings: list[str]
    style: str


def stop(sentence: str) -> None:
    sys.exit(f"make pdf: {sentence}")


def version() -> str:
    return re.search(r'(?m)^__version__ = "([^"]+)"', (ROOT / "dlnotes" / "__init__.py").read_text(encoding="utf-8")).group(1)


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def date_of_sources() -> datetime.date:
    """The day of the last change to the sources, never today: SOURCE_DATE_EPOCH, else the last commit, else the book's newest file."""
    if stamp := os.environ.get("SOURCE_DATE_EPOCH"):
        return datetime.datetime.fromtimestamp(int(stamp), datetime.timezone.utc).date()
    try:
        git = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True, capture_output=True)
        seconds = int(git.stdout) if git.returncode == 0 and git.stdout.strip() else None
    except OSError:
        seconds = None
    if seconds is None:
        seconds = max(path.stat().st_mtime for path in (ROOT / "book").rglob("*") if path.is_file())
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).date()


def licences() -> str:
    """The names of the licences, which are the first lines of the LICENSE files."""
    named = {"LICENSE": "Code", "LICENSE-text": "Text and figures"}
    lines = [f"{what}: {(ROOT / name).read_text(encoding='utf-8').strip().splitlines()[0].strip('# .')}." for name, what in named.items()
             if (ROOT / name).exists()]
    return " ".join(lines)


def find_browser() -> str:
    """Path of a Chromium-like browser: DLNOTES_BROWSER, or the first on the PATH."""
    path = os.environ.get("DLNOTES_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        stop("no Chromium, Chrome or Edge found, and one prints the pages; install one, or set DLNOTES_BROWSER to its path.")
    return path


CONTENTS = """() => {
  const pages = [{ name: location.href, title: "", depth: 0, part: "" }];
  let part = "";
  for (const node of document.querySelectorAll("nav.bd-links p.caption, nav.bd-links a.reference")) {
    if (node.matches("p.caption")) { part = node.textContent.trim(); continue; }
    const title = node.textContent.trim(), depth = Number(/toctree-l(\\d)/.exec(node.closest("li").className)[1]) - 1;
    if (node.getAttribute("href") === "#") { pages[0].title = title; continue; }
    pages.push({ name: node.href.split("#")[0], title, depth, part });
    part = "";
  }
  return pages;
}"""

# Runs in a page of the site. Gives its article with still pictures for widgets, notes for folded cells, ids that are unique in the
# book, and links that lead into the book, to the public address, or where they led before.
ARTICLE = """async ({ slug, site, slugs, address, depth }) => {
  if (document.querySelector("script[data-later]")) {
    for (let tries = 0; !window.MathJax?.startup?.promise; tries++) {
      if (tries > 3000) throw new Error("the script that sets formulas did not start");
      await new Promise((next) => setTimeout(next, 20));
    }
    await MathJax.startup.promise;
    for (const { typesetRoot, math } of MathJax.startup.document.math) { // a formula is a picture; its alternative text is its source
      typesetRoot.querySelector("mjx-assistive-mml")?.remove();
      typesetRoot.setAttribute("role", "img");
      typesetRoot.setAttribute("aria-label", math.trim());
    }
  }
  const article = document.querySelector("article.bd-article").cloneNode(true);
  // Each element becomes one in the document's structure: names and punctuation need none of their own (half of a file).
  for (const span of article.querySelectorAll("pre span:is(.n, .nn, .p, .o, .w), .sig span:is(.n, .o, .p, .w, .pre), code span.pre")) {
    span.replaceWith(...span.childNodes);
  }
  article.normalize();
  const at = (parts) => `${address}/${location.href.split("#")[0].slice(site.length)}${parts || ""}`;
  const note = (name, words, link, target) => {
    const node = document.createElement(name);
    node.append(words);
    if (address) {
      const a = document.createElement("a");
      a.href = at(target); a.textContent = link;
      node.append(" ", a);
    }
    return node;
  };
  const section = (node) => { const near = node.closest("section[id]"); return near ? `#${near.id}` : ""; };

  const views = article.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
  let stills = 0;
  for (const aside of article.querySelectorAll("noscript")) {
    const still = new DOMParser().parseFromString(aside.textContent, "text/html").querySelector("img");
    const figure = document.createElement("figure");
    const caption = note("figcaption", "A still picture.", "The widget is on the page.", section(aside));
    figure.className = "dln-still";
    still.src = new URL(still.getAttribute("src"), location.href).href;
    figure.append(still, caption);
    aside.replaceWith(figure);
    stills += 1;
  }
  if (stills !== views.length) throw new Error(`${views.length} widgets and ${stills} still pictures of them`);
  for (const gone of article.querySelectorAll("script, style, .dln-host, .headerlink, .copybtn, .prev-next-area, button")) gone.remove();

  for (const folded of article.querySelectorAll("details.hide")) {
    const what = folded.closest('[class*="tag_solution"]') ? "A solution is folded here." : "Code is folded here.";
    const fold = note("p", what, "Unfold it on the page.", section(folded));
    fold.className = "pdf-folded";
    folded.replaceWith(fold);
  }
  for (const other of article.querySelectorAll("details")) other.open = true;

  for (const image of article.querySelectorAll("img")) {
    image.src = new URL(image.getAttribute("src"), location.href).href;
    image.removeAttribute("loading");
  }
  for (const a of article.querySelectorAll("a[href]")) {
    const here = new URL(a.getAttribute("href"), location.href);
    const [file, ...rest] = here.href.split("#"), id = decodeURIComponent(rest.join("#"));
    const known = slugs[decodeURIComponent(file)];
    if (a.closest("figcaption, .pdf-folded") && !a.getAttribute("href").startsWith("#")) continue;
    if (known) a.setAttribute("href", `#${known}${id ? `--${id}` : ""}`);
    else if (!file.startsWith(site)) a.href = here.href;
    else if (address) a.href = `${address}/${here.href.slice(site.length)}`;
    else a.removeAttribute("href");
    a.removeAttribute("target");
  }
  for (const node of article.querySelectorAll("[id]")) if (!node.closest("svg")) node.id = `${slug}--${node.id}`;
  for (const name of ["for", "aria-labelledby", "aria-describedby"]) for (const node of article.querySelectorAll(`[${name}]`)) {
    if (!node.closest("svg")) node.setAttribute(name, node.getAttribute(name).split(/\\s+/).map((id) => `${slug}--${id}`).join(" "));
  }
  const sections = [], headings = [];
  for (const heading of article.querySelectorAll("h1, h2, h3, h4")) {
    const level = Number(heading.tagName[1]);
    heading.setAttribute("aria-level", level + depth);
    headings.push(heading.textContent.trim());
    if (level === 2 && heading.closest("section[id]")) sections.push([heading.closest("section[id]").id, heading.textContent.trim()]);
  }
  article.id = slug;
  article.classList.add("pdf-article");
  return { content: article.outerHTML, sections, headings, style: document.getElementById("MJX-SVG-styles")?.textContent || "" };
}"""


def first_page(site: Path) -> Path:
    """The page that index.html leads to."""
    index = site / "index.html"
    if not index.exists():
        stop(f"there is no site in {site.parent.name}/{site.name}; run make book first.")
    leads = re.search(r'http-equiv="Refresh" content="0; url=([^"]+)"', index.read_text(encoding="utf-8"))
    return site / (leads.group(1) if leads else "index.html")


def open_browser(playwright):
    browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
    if int(browser.version.split(".")[0]) < LEAST_BROWSER:
        stop(f"the browser is version {browser.version} and page numbers need {LEAST_BROWSER}; set DLNOTES_BROWSER to a newer one.")
    return browser


def contents(browser, site: Path) -> list[Page]:
    """All pages of the site in the order of its own contents."""
    tab = browser.new_page()
    tab.goto(first_page(site).as_uri())
    base = site.as_uri() + "/"
    pages = [Page(**{**entry, "name": entry["name"].removeprefix(base)}) for entry in tab.evaluate(CONTENTS)]
    tab.close()
    return pages


def articles(browser, site: Path, pages: list[Page], address: str) -> list[Article]:
    """Open each page and take its article."""
    base = site.as_uri() + "/"
    slugs = {base + page.name: page.slug for page in pages}
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce")
    context.route("**/_static/widgets/*", lambda route: route.abort())  # stills stand in for them
    tab = context.new_page()
    taken = []
    for page in pages:
        tab.goto(base + page.name)
        try:
            got = tab.evaluate(ARTICLE, {"slug": page.slug, "site": base, "slugs": slugs, "address": address, "depth": page.depth})
        except Exception as error:
            stop(f"{page.name} could not be taken ({str(error).splitlines()[0]}); build the site anew (make book), then run it again.")
        taken.append(Article(page, got["content"], [tuple(section) for section in got["sections"]], got["headings"], got["style"]))
    context.close()
    return taken


def contents_list(book: list[Article], numbers: dict[str, int]) -> str:
    """The table of contents; a number that is not known yet leaves its place empty."""
    def line(kind: str, depth: int, target: str, title: str) -> str:
        number = numbers.get(target, "")
        return (f'<a class="pdf-{kind} pdf-depth-{depth}" href="#{html.escape(target)}"><span>{html.escape(title)}</span>'
                f'<span class="pdf-number">{number}</span></a>')

    lines = []
    for page, _, sections, *_ in book:
        if page.part:
            lines.append(f'<h2 role="presentation">{html.escape(page.part)}</h2>')
        lines.append(line("page", page.depth, page.slug, page.title))
        if "/" not in page.name:  # the reference lists its pages, not what stands in each
            lines += [line("section", page.depth, target, title) for target, title in sections]
    return "\n".join(lines)


def document(book: list[Article], site: Path, address: str, numbers: dict[str, int]) -> str:
    """The whole book as one HTML document: cover, contents, articles."""
    about, base = project(), site.as_uri()
    sheets = ["styles/theme.css", "styles/pydata-sphinx-theme.css", "styles/sphinx-book-theme.css", "pygments.css", "dlnotes.css"]
    mystnb = sorted(path.name for path in (site / "_static").glob("mystnb*.css"))
    links = "\n".join(f'<link rel="stylesheet" href="{base}/_static/{name}">' for name in [*sheets[:4], *mystnb, *sheets[4:]]
                      if (site / "_static" / name).exists())
    running = "\n".join(f"@page {page.slug} {{ @top-right {{ content: {quoted(page.title)}; }} }}\n"
                        f"#{page.slug} {{ page: {page.slug}; }}" for page, *_ in book)
    style = (ROOT / "static" / "pdf.css").read_text(encoding="utf-8")
    edition = f"dlnotes {version()}"
    facts = [f"Version {version()}, sources of {date_of_sources().isoformat()}", licences()]
    if address:
        facts.append(f'The live book: <a href="{html.escape(address)}">{html.escape(address)}</a>')
    facts = "\n".join(f"<p>{fact}</p>" for fact in facts if fact)
    picture = (ROOT / "static" / "attention-explorer.png").as_uri()
    body = "\n".join(article.content for article in book)
    return f"""<!doctype html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8"><title>{edition}</title>
{links}
<style>{max((article.style for article in book), key=len)}</style>
<style>{style}
@page {{ @top-left {{ content: {quoted(edition)}; }} }}
{running}
</style></head><body>
<section class="pdf-cover" aria-label="Cover"><h1 role="presentation">dlnotes</h1>
<p class="pdf-subtitle">{html.escape(about["description"])}</p>
<img src="{picture}" alt="The AttentionExplorer widget: a digit on a photographed texture, the patch that asks, and where each head looks">
<div class="pdf-facts">{facts}</div></section>
<nav class="pdf-contents"><h1>Contents</h1>
{contents_list(book, numbers)}</nav>
<main class="bd-article-container">
{body}
</main></body></html>"""


def quoted(text: str) -> str:
    """Text as a CSS string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def page_numbers(path: Path) -> tuple[dict[str, int], int]:
    """On which page each link target stands, as the foot of the page says, and how many pages there are."""
    from pypdf import PdfReader

    reader = PdfReader(path)
    sheets = {page.indirect_reference.idnum: number for number, page in enumerate(reader.pages, 1)}
    return {name.lstrip("/"): sheets[place.raw_get("/Page").idnum] for name, place in reader.named_destinations.items()}, len(sheets)


def print_book(browser, book: list[Article], site: Path, address: str, path: Path) -> int:
    """Print the articles as one PDF and return its number of pages."""
    source, known = path.with_suffix(".html"), path.with_name("pdf-numbers.json")
    numbers = json.loads(known.read_text()) if known.exists() else {}
    tab = browser.new_page()
    tab.set_default_timeout(1_200_000)
    for _ in range(3):
        source.write_text(document(book, site, address, numbers), encoding="utf-8")
        tab.goto(source.as_uri())
        tab.evaluate("() => Promise.all([document.fonts.ready, ...[...document.images].map((image) => image.decode())])")
        tab.pdf(path=path, prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
        before, (numbers, count) = numbers, page_numbers(path)
        if numbers == before:
            break
    else:
        stop("the numbers in the table of contents keep moving the pages that they name; shorten its longest title, then run it again.")
    tab.close()
    source.unlink()
    known.write_text(json.dumps(numbers))
    finish(path, [heading for article in book for heading in article.headings])
    return count


def finish(path: Path, headings: list[str]) -> None:
    """Say whose book this is, when it was written, that the bookmarks be shown; give them the spaces lost where a heading wraps."""
    from pypdf import PdfWriter
    from pypdf.generic import NameObject, TextStringObject

    writer = PdfWriter(path, incremental=True)
    day = date_of_sources().strftime("D:%Y%m%d000000Z")
    writer.add_metadata({"/Title": f"dlnotes {version()}", "/Author": "the dlnotes authors", "/Subject": project()["description"],
                         "/Creator": "dlnotes", "/CreationDate": day, "/ModDate": day})
    writer.root_object[NameObject("/PageMode")] = NameObject("/UseOutlines")
    spaced = {"".join(heading.split()): " ".join(heading.split()) for heading in headings}
    due = [writer.root_object["/Outlines"]]
    while due:
        mark = due.pop()
        due += [mark[key].get_object() for key in ("/First", "/Next") if key in mark]
        title = spaced.get("".join(mark.get("/Title", "").split()))
        if title and title != mark["/Title"]:
            mark[NameObject("/Title")] = TextStringObject(title)
    whole = path.with_suffix(".whole")
    with whole.open("wb") as file:
        writer.write(file)
    whole.replace(path)


def make(site: Path, path: Path, only: list[str] | None = None, address: str | None = None) -> int:
    """Print the site (or the pages named in ``only``) to ``path``, which appears when it is whole. Returns the number of pages."""
    from playwright.sync_api import sync_playwright

    address = project().get("urls", {}).get("Documentation", "") if address is None else address
    partial = path.with_suffix(".part.pdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        pages = [page for page in contents(browser, site) if only is None or page.name in only]
        begin = time.perf_counter()
        book = articles(browser, site, pages, address)
        print(f"[1/2] {len(book)} pages taken: {time.perf_counter() - begin:.0f} s", flush=True)
        count = print_book(browser, book, site, address, partial)
        browser.close()
    partial.replace(path)
    return count


def main() -> None:
    begin = time.perf_counter()
    path = BUILD / f"dlnotes-{version()}.pdf"
    count = make(BUILD / "html", path)
    print(f"[2/2] {path.relative_to(ROOT)}: {count} pages, {path.stat().st_size / 2**20:.1f} MiB, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
