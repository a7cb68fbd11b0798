"""The built site: where it is, its pages, and how a test opens one and waits for its widgets."""

from pathlib import Path

SITE = Path(__file__).resolve().parent.parent / "_build" / "html"
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html")
               if not {"_static", "_sources"} & set(path.relative_to(SITE).parts) and path.name != "index.html" or path.parent.name == "api")


def visit(page, address):
    page.goto(address)
    page.wait_for_function("""() => document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length
        === document.querySelectorAll('[data-ready]').length""")
