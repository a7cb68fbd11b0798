"""The text of slides: MyST as HTML, code in colour, and as many sentences as a slide bears."""

import html
import re

from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MARKDOWN = {"colon_fence", "dollarmath", "amsmath", "deflist", "substitution", "tasklist", "attrs_inline"}  # as in _config.yml


class Markdown:
    """MyST as HTML for a slide: the book's own parser, roles as text, links to the built pages, math left to MathJax.

    Args:
        stem: file name of the page that the text is from.
        cited: what stands for each key of the bibliography.
        targets: the page on which each label ``(label)=`` stands.
    """

    def __init__(self, stem: str, cited: dict[str, str] | None = None, targets: dict[str, str] | None = None):
        self.stem, self.cited, self.targets = stem, cited or {}, targets or {}
        self.parser = create_md_parser(MdParserConfig(enable_extensions=MARKDOWN), RendererHTML)
        rules = {"myst_role": self._role, "math_inline": lambda t: rf"<span class='math'>\({html.escape(t.content)}\)</span>",
                 "link_open": self._link, "colon_fence": self._fence, "fence": self._fence}
        block = lambda t: rf"<div class='math'>\[{html.escape(t.content)}\]</div>"  # noqa: E731
        rules |= dict.fromkeys(("math_block", "math_block_label", "amsmath"), block)
        rules |= dict.fromkeys(("myst_target", "myst_line_comment", "myst_block_break"), lambda t: "")
        for name, rule in rules.items():
            self.parser.add_render_rule(name, lambda _self, tokens, i, options, env, rule=rule: rule(tokens[i]))

    def _role(self, token) -> str:
        name, content = token.meta["name"], token.content
        if name == "cite":
            sources = "; ".join(self.cited.get(key, key) for key in map(str.strip, content.split(",")))
            return f"<span class='cite'>({html.escape(sources)})</span>"
        text, label = re.match(r"(.*?)\s*(?:<([^>]*)>)?$", content, re.S).groups()
        if name == "ref" and label and label.lower() in self.targets:
            return f"<a href='{self._target(label)}'>{html.escape(text)}</a>"
        return html.escape(text)

    def _target(self, label: str) -> str:
        return f"../html/{self.targets.get(label.lower(), self.stem)}.html#{label.lower()}"

    def _link(self, token) -> str:
        path, _, fragment = token.attrs.get("href", "").partition("#")
        if re.match(r"\w+:", path):
            return f"<a href='{html.escape(token.attrs['href'])}'>"
        if not path or not path.endswith((".md", ".ipynb")):  # [text](#label) or [text](label)
            return f"<a href='{self._target(fragment or path)}'>"
        page = re.sub(r"\.(md|ipynb)$", "", path)
        return f"<a href='../html/{page}.html{'#' + fragment.lower() if fragment else ''}'>"

    def _fence(self, token) -> str:
        directive = re.match(r"\{([\w-]+)\}\s*(.*)", token.info)
        if not directive:
            return code(token.content, token.info or "text")
        body = re.sub(r"(?m)^:\w[\w-]*:.*\n", "", token.content)
        return f"<div class='box'><b>{self.inline(directive[2])}</b>{self.html(body)}</div>"

    def inline(self, text: str) -> str:
        return self.parser.renderInline(text)

    def html(self, text: str) -> str:
        return self.parser.render(text)

    def blocks(self, text: str) -> list[tuple[str, str, str]]:
        """Top-level blocks of a cell as (kind, source, HTML); kind is markdown-it's: heading2, paragraph, table, ..."""
        tokens, found, begin = self.parser.parse(text, env := {}), [], 0
        lines = text.split("\n")
        for i, token in enumerate(tokens):
            if token.level or token.nesting == 1:
                continue
            group, begin = tokens[begin:i + 1], i + 1
            kind = group[0].type.removesuffix("_open")
            source = "\n".join(lines[slice(*group[0].map)]) if group[0].map else group[0].content
            found.append((kind + group[0].tag[1:] if kind == "heading" else kind, source,
                          self.parser.renderer.render(group, self.parser.options, env)))
        return found


def code(source: str, language: str = "python") -> str:
    """Coloured code; each line is an element, so that a long one can wrap under itself."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    page = highlight(source.rstrip(), lexer, HtmlFormatter(cssclass="highlight", wrapcode=True))
    opening, lines, closing = re.match(r"(.*?<code>)(.*)(</code>.*)", page, re.S).groups()
    return opening + "".join(f"<span class='line'>{line}\n</span>" for line in lines.rstrip("\n").split("\n")) + closing


def first_sentences(text: str, limit: int) -> str:
    """The sentences of a paragraph that fit into ``limit`` letters; at least the first.

    >>> first_sentences("Edges stay. The mean takes by place.", 20)
    'Edges stay.'
    """
    pieces = re.split(r"(?<=[.?!])(?<!e\.g\.)(?<!i\.e\.)(?<! cf\.)\s+(?=[^a-z])|(?<=[.?!][)*\"”])\s+(?=[^a-z])", " ".join(text.split()))
    kept = ""
    for piece in pieces:
        whole = all(kept.count(mark) % 2 == 0 for mark in ("`", "$", "**", '"')) and kept.count("(") == kept.count(")")
        if kept and whole and len(kept) + len(piece) >= limit:
            break
        kept = f"{kept} {piece}".strip()
    return kept
