"""What the book needs beyond Jupyter Book: widgets without a kernel, nothing fetched from elsewhere, generated pages.

- ships the widget modules, their runtime and MathJax as local files;
- slims the widget state that each page carries, and puts a picture of each widget behind <noscript>;
- drops the live-code scripts that the theme would fetch from elsewhere;
- puts the menu that runs a chapter elsewhere on every notebook's page;
- offers the directives of ``booktables``: beliefs, figures of merit, speed.
"""

import gzip
import json
from pathlib import Path

import addresses
import booktables
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from dlnotes.widgets import _bundle

ROOT = Path(__file__).resolve().parent.parent
STATE, VIEW = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("state", "view"))


def write_static(app, config):
    """Put our scripts and styles where Sphinx copies static files from (never under book/_static)."""
    target = ROOT / "_build" / "static"
    own = "".join((ROOT / "static" / name).read_text(encoding="utf-8") for name in ("book.css", "book.print.css"))
    files = {"dlnotes.css": _bundle.stylesheet() + own,
             "book.js": (ROOT / "static" / "book.js").read_text(encoding="utf-8"),
             "widgets/guard.js": _bundle.guard(),
             "widgets/runtime.js": _bundle.runtime(),
             "vendor/tex-svg.js": gzip.decompress((ROOT / "static/vendor/mathjax-3.2.2-tex-svg.js.gz").read_bytes()).decode(),
             "vendor/mathjax-LICENSE.txt": (ROOT / "static/vendor/mathjax-LICENSE.txt").read_text(encoding="utf-8")}
    files |= {f"widgets/{name}.js": _bundle.classic_script(name) for name in _bundle.names()}
    for name, text in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    config.html_static_path = [*config.html_static_path, str(target)]


class StillPictures(SphinxPostTransform):
    """Keep the picture of a widget beside the widget, for readers without scripts."""

    default_priority = 3  # just before myst-nb keeps one form of each output and drops the others

    def run(self, **kwargs):
        bundles = [node for node in self.document.findall(nodes.container) if node.get("nb_element") == "mime_bundle"]
        for bundle in bundles:
            kinds = {child["mime_type"]: child for child in bundle.children}
            if VIEW in kinds and "image/png" in kinds:
                for image in kinds["image/png"].findall(nodes.image):
                    still = image.deepcopy()
                    still["alt"] = still.get("alt") or "Picture of the interactive widget in its first state."
                    kinds[VIEW].extend([nodes.raw("", "<noscript>", format="html"), still, nodes.raw("", "</noscript>", format="html")])


def clean_page(app, pagename, templatename, context, doctree):
    """Slim the widget state; drop scripts that would call another server; mend a role that docutils gets wrong."""
    if "body" in context:  # a list of references whose children are no list items
        context["body"] = context["body"].replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    kept, widgets = [], any(getattr(script, "attributes", {}).get("type") == STATE for script in context.get("script_files", []))
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        body = attributes.get("body") or ""
        if "thebe" in f"{script} {getattr(script, 'filename', '')} {body}".lower():
            continue
        if "widgets/guard.js" in str(getattr(script, "filename", "")) and not widgets:
            continue
        if attributes.get("type") == STATE:
            attributes["body"] = _bundle.script_safe(_bundle.slim_state(json.loads(body)))
        if str(getattr(script, "filename", "")).endswith("tex-svg.js"):
            attributes["type"] = "text/plain"  # book.js starts it once the page and its widgets are there
            attributes["data-later"] = "math"
        kept.append(script)
    if "script_files" in context:
        context["script_files"] = kept
    if "css_files" in context:
        context["css_files"] = [c for c in context["css_files"] if "thebe" not in str(getattr(c, "filename", c))]


def launch_menu(app, pagename, templatename, context, doctree):
    """One menu on a notebook's page: the platforms, the file, and what each click does. Links only; nothing is fetched to show it."""
    buttons = context.get("header_buttons")
    if buttons is None or not context.get("page_source_suffix"):
        return
    printing = {"type": "javascript", "javascript": "window.print()", "tooltip": "Print, or save as PDF", "icon": "fas fa-print",
                "label": "print-button"}
    buttons[:] = [printing if button.get("label") == "download-buttons" else button for button in buttons]
    if context["page_source_suffix"] != ".ipynb":
        return
    links = [{"type": "link", "text": name, "url": url, "tooltip": f"Open this chapter in {name}", "label": "launch"}
             for name, url in addresses.launch_links(pagename).items()]
    links.append({"type": "link", "text": "Download", "url": f"{context['pathto']('_sources', 1)}/{context['sourcename']}",
                  "tooltip": "Download the notebook", "label": "download-source-button"})
    if "paths" in app.env.all_docs:
        links.append({"type": "link", "text": "What each does", "url": context["pathto"]("paths") + "#run-elsewhere",
                      "label": "launch-help"})
    buttons.insert(0, {"type": "group", "tooltip": "Run this chapter", "icon": "fas fa-play", "buttons": links, "label": "launch-buttons"})


def setup(app):
    app.connect("config-inited", write_static)
    app.connect("html-page-context", clean_page, priority=900)
    app.connect("html-page-context", launch_menu, priority=900)
    app.add_post_transform(StillPictures)
    for name, directive in booktables.DIRECTIVES.items():
        app.add_directive(name, directive)
    app.add_css_file("dlnotes.css")
    app.add_js_file("book.js", loading_method="defer")
    app.add_js_file("widgets/guard.js", priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
