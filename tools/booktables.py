"""Tables that are made when the book is built: beliefs and verdicts, figures of merit of the models, measured speed."""

import json
from pathlib import Path

import torch
import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

ROOT = Path(__file__).resolve().parent.parent
VERDICTS = {"false": "False", "outdated": "Outdated", "misleading": "Misleading", "true": "True, worth showing"}


def list_table(css: str, widths: str, head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a MyST list-table."""
    lines = ["", ":::{list-table}", f":class: {css}", ":header-rows: 1", f":widths: {widths}", ""]
    for row in (head, *rows):
        lines += [("* - " if i == 0 else "  - ") + cell for i, cell in enumerate(row)]
    return [*lines, ":::", ""]


class Table(Directive):
    """A directive whose content is made of MyST lines."""

    has_content = False

    def lines(self) -> list[str]:
        raise NotImplementedError

    def depends_on(self, path: Path) -> Path:
        self.state.document.settings.env.note_dependency(str(path))
        return path

    def run(self):
        box = nodes.container()
        self.state.nested_parse(StringList(self.lines(), source=type(self).__name__), 0, box)
        return box.children


class Claims(Table):
    """``{claims}``: every belief that the chapters settle, with its verdict and a link to the cell."""

    def lines(self) -> list[str]:
        source = self.depends_on(Path(self.state.document.settings.env.srcdir) / "claims.yml")
        claims, lines = yaml.safe_load(source.read_text(encoding="utf-8")), []
        for chapter in dict.fromkeys(claim["chapter"] for claim in claims):
            rows = [[claim["belief"], f"**{VERDICTS[claim['verdict']]}**",
                     f"{claim['reason']} {{ref}}`The experiment <claim-{claim['id'].lower()}>`"]
                    for claim in claims if claim["chapter"] == chapter]
            lines += ["", f"{{doc}}`{chapter}`", *list_table("dln-claims", "40 16 44", ["What people say", "Verdict", "Why"], rows)]
        return lines


class Figures(Table):
    """``{figures} file file``: parameters and multiply-adds of the models in these files, all files where none is named.

    Counted now, on torch's meta device, at each model's usual input and batch 1.
    """

    optional_arguments = 1
    final_argument_whitespace = True

    def lines(self) -> list[str]:
        from dlnotes.conv.cost import multiply_adds
        from dlnotes.models import _MODELS, create, example_input

        files = self.arguments[0].split() if self.arguments else list(_MODELS)
        rows = []
        for file in files:
            for name in _MODELS[file].split():
                with torch.device("meta"):
                    model, x = create(name).eval(), example_input(name)
                try:
                    cost = f"{multiply_adds(model, *x) / 1e9:,.4f}"
                except (NotImplementedError, RuntimeError) as error:
                    if "meta" not in str(error).lower():
                        raise
                    cost = "depends on the picture"
                shape = " and ".join("×".join(map(str, part.shape[1:])) for part in x)
                count = sum(p.numel() for p in model.parameters())
                rows.append([f"{{py:func}}`{name} <dlnotes.models.{file}.{name}>`", f"{count:,}", cost, shape])
        return list_table("dln-figures", "34 22 22 22", ["Model", "Parameters", "Multiply-adds, 10⁹", "Input"], rows)


class Speed(Table):
    """``{speed}``: what ``benchmarks/models.py --save`` measured last, with the machine it ran on."""

    def lines(self) -> list[str]:
        source = self.depends_on(ROOT / "benchmarks" / "models.json")
        lines = []
        for run in json.loads(source.read_text(encoding="utf-8")):
            rows = [[f"`{row['model']}` against {row['peer']}", row["phase"], f"{row['ours_ms']:,.0f}", f"{row['peer_ms']:,.0f}",
                     f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})", f"{row['memory_ratio']:.2f}"]
                    for row in run["rows"]]
            lines += ["", run["what"] + ".", *list_table("dln-figures", "30 18 12 12 18 10", [
                "Model", "Run", "Ours, ms", "Peer, ms", "Ratio (pairs)", "Memory ratio"], rows)]
        return lines


class Inventory(Directive):
    """``{inventory}``: every subject that study notes name, with a link to the place that makes it runnable."""

    has_content = False

    def run(self):
        env = self.state.document.settings.env
        source = Path(env.srcdir) / "inventory.yml"
        env.note_dependency(str(source))
        rows, made = yaml.safe_load(source.read_text(encoding="utf-8")), []
        for section in dict.fromkeys(row["section"] for row in rows):
            made.append(nodes.rubric(text=TITLES.get(section, section.capitalize())))
            entries = nodes.bullet_list(classes=["dln-inventory"])
            for row in rows:
                if row["section"] == section and row["page"]:
                    link = nodes.reference("", row["item"], internal=True, refuri=f"{row['page']}.html#{row['anchor']}")
                    place = nodes.inline("", f" {chapter_number(row['page'])}", classes=["dln-inventory-place"])
                    entries += nodes.list_item("", nodes.paragraph("", "", link, place))
            made.append(entries)
        return made


class ChapterMap(Directive):
    """``{chaptermap}``: the chapters as boxes with links, each to the right of what it stands on, drawn from ``map.yml``."""

    has_content = False
    box, gap, row = (112, 32), 24, 44

    def run(self):
        env = self.state.document.settings.env
        source = Path(env.srcdir) / "map.yml"
        env.note_dependency(str(source))
        chapters = {c["page"]: c for c in yaml.safe_load(source.read_text(encoding="utf-8"))}
        level: dict[str, int] = {}
        for page, chapter in chapters.items():  # in order: what a chapter needs stands before it
            level[page] = 1 + max((level[need] for need in chapter["needs"]), default=-1)
        columns = [[page for page in chapters if level[page] == k] for k in range(max(level.values()) + 1)]
        tall = max(map(len, columns))
        (w, h), place = self.box, {}
        for k, column in enumerate(columns):
            for i, page in enumerate(column):
                place[page] = (4 + k * (w + self.gap), 4 + (i + (tall - len(column)) / 2) * self.row)
        width, height = len(columns) * (w + self.gap) - self.gap + 8, tall * self.row - (self.row - h) + 8
        lines, boxes = [], []
        for page, chapter in chapters.items():
            x, y = place[page]
            for need in chapter["needs"]:
                a, b = place[need]
                lines.append(f'<path d="M{a + w} {b + h / 2}C{a + w + self.gap * .6} {b + h / 2} {x - self.gap * .6} {y + h / 2} {x} {y + h / 2}"/>')
            boxes.append(f'<a href="{page}.html"><rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5"/><text x="{x + w / 2}" y="{y + h / 2}">'
                         f"{chapter_number(page).removeprefix('appendix ')} {chapter['short']}</text></a>")
        svg = (f'<div class="dln-map" tabindex="0" role="group" aria-label="Map of the chapters"><svg viewBox="0 0 {width} {height}" '
               f'xmlns="http://www.w3.org/2000/svg"><g class="dln-map-lines" aria-hidden="true">{"".join(lines)}</g>{"".join(boxes)}</svg></div>')
        return [nodes.raw("", svg, format="html")]


TITLES = {"cnn": "CNN", "unet": "U-Net and segmentation", "resnet": "ResNet", "vit-swin": "ViT and Swin", "fft": "FFT", "svd-sobel": "SVD and Sobel",
          "graph": "Graphs"}


def chapter_number(page: str) -> str:
    """``"02b_batchnorm"`` -> ``"2b"``; pages without a number give their first word."""
    number, _, rest = page.partition("_")
    return number.lstrip("0") if number[0].isdigit() else f"appendix {rest[0].upper()}" if number == "appendix" else page


DIRECTIVES = {"claims": Claims, "inventory": Inventory, "chaptermap": ChapterMap, "figures": Figures, "speed": Speed}
