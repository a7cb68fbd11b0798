"""From an executed notebook to the slides of a lecture: what becomes a slide, what a speaker's note, what stays in the chapter.

A chapter holds more than a lecture, so this selects. The rules, in the order of the page:

- The title slide carries what the reader will be able to do. Each ``##`` section is a column: its heading with the first
  sentences and formulas, then the rest below it.
- A *Predict* is a question on a slide of its own, or under its heading if both are short. A heading in quotation marks is a
  belief, and the slide asks for hands.
- A code cell of up to 15 lines is a slide: the code, at the next key its output, then the first sentence of what follows.
  A longer one shows its output only. A figure and a widget fill their slide.
- All prose goes to the notes. Exercises, questions and further reading stay in the chapter; the last slide names one exercise.
- What does not fit into the minutes is left out: after the headings and widgets, each section in turn gives its best unit
  (a question, its code and its answer), those that settle a belief first, then those with a figure, then earlier ones.

A cell's tags overrule: ``slide`` (always in), ``skip-slide`` (never), ``notes`` (a markdown cell for the lecturer alone, folded
in the notebook: it joins the notes of the slide before it and is left out of the page), ``minutes:4`` (on a ``##`` cell: the
section's share).
"""

import html
import re
from dataclasses import dataclass, field

from slide_text import Markdown, code, first_sentences

MINUTES = 45
CODE_LINES, OUTPUT_LINES, TABLE_CELLS, LEAD, SENTENCE, TOGETHER = 15, 18, 36, 260, 200, 520  # lines, cells, and letters that a slide bears
SPENT = {"title": 2.0, "lead": 0.5, "question": 1.0, "run": 1.25, "figure": 1.0, "widget": 3.0, "table": 1.0, "list": 1.0, "end": 1.0}
NO_SLIDE = {"exercise", "solution", "remove-cell", "first-cell", "skip-slide"}
CLOSING = ("Summary", "What people get wrong")
LEFT_OUT = ("Exercises", "Check yourself", "Further reading")
VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass
class Slide:
    kind: str
    title: str
    section: int
    unit: int
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    letters: int = 0
    must: bool = False
    belief: bool = False
    claim: str = ""
    answered: bool = False  # it shows a result

    @property
    def minutes(self) -> float:
        return SPENT[self.kind]


@dataclass
class Section:
    title: str
    slides: list[Slide] = field(default_factory=list)
    minutes: float = 0.0
    fixed: float | None = None


def is_setup(source: str) -> bool:
    """Mostly imports, else only assignments and calls without a name for what they return: nothing to show."""
    lines = [line for line in source.split("\n") if line.strip() and not line.startswith((" ", ")", "#"))]
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    return 2 * len(imports) >= len(lines) and not any(line.startswith(("def ", "class ", "for ", "with ", "@")) for line in lines)


def texts(cell) -> str:
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            found.append(output.text)
        elif output.output_type == "execute_result" and not {"image/png", VIEW, "text/html"} & set(output.data):
            found.append(output.data.get("text/plain", ""))
    return "\n".join(text.rstrip() for text in found)


class Reader:
    """Walks through a notebook and makes all slides it could give; :func:`choose` then takes those that fit."""

    def __init__(self, notebook, stem: str, md: Markdown):
        self.md, self.stem, self.unit, self.images, self.left = md, stem, 0, [], False
        self.sections, self.heading, self.pending, self.explain, self.before = [Section("")], "", [], None, ""
        for index, cell in enumerate(notebook.cells):
            tags = cell.metadata.get("tags", [])
            names = {tag.split(":")[0] for tag in tags}
            if cell.cell_type == "markdown":
                before_code = index + 1 < len(notebook.cells) and notebook.cells[index + 1].cell_type == "code"
                for part in re.split(r"(?m)^(?=(?:\(.*\)=\s*\n)*## )", cell.source):  # one cell may hold two sections
                    self.part(part, tags, names, before_code and cell.source.endswith(part))
            elif cell.cell_type == "code" and not self.left and not names & NO_SLIDE:
                self.code(cell, names)

    def part(self, source: str, tags: list[str], names: set[str], before_code: bool) -> None:
        title = re.search(r"(?m)^## (.*)$", source)
        if title:
            self.left = title[1].startswith(LEFT_OUT)
        if self.left or "skip-slide" in names or not source.strip():
            return
        if "notes" in names:
            unfolded = re.sub(r"</?details>|<summary>.*?</summary>", "", source)
            self.now().notes.insert(0, f"<div class='advice'>{self.md.html(unfolded)}</div>")
            return
        self.markdown(source, "slide" in names, before_code)
        fixed = next((tag.split(":")[1] for tag in tags if tag.startswith("minutes:")), None)
        if fixed:
            self.sections[-1].fixed = float(fixed)

    def now(self) -> Slide:
        slides = self.sections[-1].slides
        return slides[-1] if slides else self.new("lead", self.heading)

    def new(self, kind: str, title: str, parts=(), **more) -> Slide:
        slide = Slide(kind, title, len(self.sections) - 1, self.unit, list(parts), **more)
        self.sections[-1].slides.append(slide)
        self.explain = None
        return slide

    def markdown(self, source: str, must: bool, before_code: bool) -> None:
        self.before = ""  # what the cell said just before its question
        blocks = self.md.blocks(source)
        paragraphs = [i for i, (kind, *_) in enumerate(blocks) if kind == "paragraph"]
        plain = not any(kind.startswith("heading") or "**Predict" in text for kind, text, _ in blocks)
        for i, (kind, text, rendered) in enumerate(blocks):
            if kind == "heading1":
                self.sections[0].title = re.sub(r"^# ", "", text)
                self.new("title", self.sections[0].title, must=True)
            elif kind == "heading2":
                self.heading, self.unit = re.sub(r"^## ", "", text), self.unit + 1
                self.sections.append(Section(self.heading))
                self.lead(text[3:])
            elif kind in ("heading3", "heading4"):
                self.heading, self.unit = text.lstrip("# "), self.unit + 1
                self.lead(self.heading)
            elif kind == "paragraph" and "**Predict" in text:
                before, question = re.split(r"\s*\*\*Predict[.:]?\*\*[.:]?\s*", text, maxsplit=1)
                if before:
                    self.paragraph(before, f"<p>{self.md.inline(before)}</p>")
                self.predict(question)
            elif kind == "paragraph" and plain and before_code and i == paragraphs[-1] and len(paragraphs) > 1:
                self.pending.append(rendered)  # it introduces the code that follows
            elif kind == "paragraph":
                self.paragraph(text, rendered)
            elif "math" in kind and self.now().kind in ("lead", "question") and self.now().letters < TOGETHER:
                self.now().parts.append(rendered)
                self.now().letters += 120
            elif kind in ("bullet_list", "ordered_list"):
                self.listing(text, rendered)
            elif kind == "table":
                self.unit += self.now().kind not in ("lead", "question")
                if (text.count("\n") - 1) * (text.split("\n")[0].count("|") - 1) <= TABLE_CELLS:
                    self.new("table", self.heading, [rendered])
            elif kind == "colon_fence" and self.now().kind == "title":
                self.now().parts.append(self.aims(text))
                self.now().notes.append(rendered)
            elif kind == "fence" and not text.startswith("```{") and text.count("\n") - 1 <= CODE_LINES:
                self.new("run", self.heading, [rendered])
            elif rendered:
                self.now().notes.append(rendered)
            if must:
                self.now().must = True

    def aims(self, text: str) -> str:
        """The list in the box at the head of a chapter, or its sentence as a list."""
        sentence = re.search(r"(?m)^\*\*You will be able to\*\* (.+)$", text)
        if sentence:
            return "<ul>" + "".join(f"<li>{self.md.inline(part.strip())}</li>" for part in sentence[1].split(";")) + "</ul>"
        return next((rendered for kind, _, rendered in self.md.blocks("\n".join(text.split("\n")[1:-1])) if kind == "bullet_list"), "")

    def lead(self, title: str) -> None:
        self.new("lead", title, belief=title.startswith(('"', "“", "„")))

    def predict(self, question: str) -> None:
        slide = self.now()
        if slide.kind != "lead" or slide.letters + len(question) > TOGETHER:
            if slide.kind != "lead":
                self.unit += 1
            slide, said = self.new("question", self.heading), first_sentences(self.before, LEAD)
            if said and len(said) < 1.5 * LEAD and not said.endswith(":"):
                slide.parts.append(f"<p>{self.md.inline(said)}</p>")
                slide.letters += len(said)
        slide.kind = "question"
        slide.parts.append(f"<div class='predict'><b>Predict</b><p>{self.md.inline(question)}</p></div>")
        slide.letters += len(question)

    def paragraph(self, text: str, rendered: str) -> None:
        slide, self.before = self.now(), text
        if slide.kind == "title" and slide.parts:  # the opening of a chapter that has no heading of its own
            slide = self.new("lead", "")
        if slide.kind == "lead" and not slide.letters:
            shown = first_sentences(text, LEAD)
            slide.parts.append(f"<p>{self.md.inline(shown)}</p>")
            slide.letters += len(shown)
            if len(shown) > len(" ".join(text.split())) - 3:
                return
        elif self.explain is slide and len(shown := first_sentences(text, SENTENCE)) < 1.5 * SENTENCE and not shown.endswith(":"):
            slide.parts.append(f"<p class='fragment take'>{self.md.inline(shown)}</p>")
            self.explain, self.before = None, " ".join(text.split())[len(shown):].strip()
        slide.notes.append(rendered)

    def listing(self, text: str, rendered: str) -> None:
        closing = self.heading.startswith(CLOSING)
        if not closing and len(text) <= 420 and self.now().kind == "lead" and self.now().letters < TOGETHER:
            self.now().parts.append(rendered)
            self.now().letters += len(text)
        elif closing and len(text) <= 1200:
            self.new("list", self.heading, [rendered])
        else:
            self.now().notes.append(rendered)

    def code(self, cell, names: set[str]) -> None:
        """The slides of a code cell: its widgets, what it prints, its figures."""
        outputs = [output.get("data", {}) | {"alt": output.get("metadata", {}).get("image/png", {}).get("alt")} for output in cell.outputs]
        views = [data[VIEW]["model_id"] for data in outputs if VIEW in data]
        figures = [data for data in outputs if "image/png" in data and VIEW not in data]
        page, shown = "".join(data.get("text/html", "") for data in outputs), texts(cell)
        source, count = cell.source.rstrip(), cell.source.rstrip().count("\n") + 1
        listed = count <= CODE_LINES and not names & {"hide-input", "remove-input"}
        result = views or figures or shown or page
        if not result and (is_setup(source) or not listed):
            return
        unit = [slide for slide in self.sections[-1].slides if slide.unit == self.unit]
        if "claim" in names:
            for slide in unit:
                slide.belief = True
        only_plots = figures and not shown and count <= 5
        if unit and (unit[-1].kind == "widget" and not views or any(slide.answered for slide in unit) and not only_plots):
            self.unit += 1
        claim = next((tag.split(":")[1].upper() for tag in cell.metadata.get("tags", []) if tag.startswith("claim:")), "")
        begin, more = len(self.sections[-1].slides), {"must": "slide" in names, "belief": "claim" in names, "claim": claim}
        for view in views:
            self.new("widget", self.heading, [f"<div class='widget' data-view='{view}'></div>"], **more)
        if page:
            self.new("run", self.heading, [f"<div class='page'>{page}</div>"], answered=True, **more)
        elif shown or not result:
            self.printed(source if listed else "", shown, more)
        if listed and figures and not shown and count > 6:
            self.new("run", self.heading, [code(source)], **more)
        for i, figure in enumerate(figures):
            name = f"{self.stem}-{len(self.images) + 1}.png"
            self.images.append((name, figure["image/png"]))
            picture = f"<img src='images/{name}' alt='{html.escape(figure['alt'] or f'Figure: {self.heading}')}'>"
            if listed and not shown and 3 < count <= 6 and i == 0:
                parts = [code(source), f"<div class='figure fragment'>{picture}</div>"]
            else:
                parts = [f"<div class='figure'>{picture}</div>"]
            self.explain = self.new("figure", self.heading, parts, answered=True, **more)
        made = self.sections[-1].slides[begin:]
        (made[0] if made else self.now()).notes += self.pending
        self.pending = []

    def printed(self, source: str, shown: str, more: dict) -> None:
        """Code (if it is short enough to be shown) and its output, on one slide or on two."""
        count, lines, slides = source.count("\n") + 1, shown.count("\n") + 1, self.sections[-1].slides
        out = f"<pre class='out'>{html.escape(shown)}</pre>"
        later = out.replace("'out'", "'out fragment'")
        last = slides[-1] if slides else None
        if not shown:
            self.new("run", self.heading, [code(source)], **more)
            return
        if lines > 30:
            cut = "\n".join(shown.split("\n")[:OUTPUT_LINES]) + f"\n… {lines - OUTPUT_LINES} more lines in the chapter"
            slide = self.new("run", self.heading, [f"<pre class='out'>{html.escape(cut)}</pre>"], answered=True, **more)
        elif not source:
            if lines < 3 and not more["belief"]:
                return  # a line or two without the code that printed them say little
            slide = self.new("run", self.heading, [out], answered=True, **more)
        elif last and last.kind == "run" and last.unit == self.unit and not last.answered \
                and last.parts[0].count("\n") + count + lines <= CODE_LINES + 5:
            slide = last  # the cell before only defined what this one runs
            slide.parts += [code(source), later]
            slide.answered = True
        elif count + lines <= CODE_LINES + 9:
            slide = self.new("run", self.heading, [code(source), later], answered=True, **more)
        else:
            self.new("run", self.heading, [code(source)], **more)
            slide = self.new("run", self.heading, [out], answered=True, **more)
        self.explain = slide


def choose(sections: list[Section], minutes: float = MINUTES, settle: str | None = None) -> list[Section]:
    """Take what fits into ``minutes``.

    Titles, headings, widgets, tagged cells and the unit of the claim to ``settle`` come first, then units of each section in turn.
    """
    units: dict[tuple[int, int], list[Slide]] = {}
    kept: set[int] = set()
    for s, section in enumerate(sections):
        closing, first, shown = section.title.startswith(CLOSING), True, set()
        for slide in section.slides:
            units.setdefault((s, slide.unit), []).append(slide)
            repeats = slide.kind == "lead" and not slide.belief and len(section.slides) > 1  # only a heading: the next slide has it, too
            empty = repeats and (not slide.parts or closing and slide.letters < 90)
            heads = first and slide.kind in ("lead", "question")
            sums_up = closing and slide.kind in ("list", "table") and slide.kind not in shown
            if slide.must or slide.kind in ("title", "widget") or (heads and not empty) or sums_up:
                kept.add(id(slide))
                shown.add(slide.kind)
            first = False
    for unit in units.values():
        if any(slide.claim and slide.claim == settle for slide in unit):
            kept |= {id(slide) for slide in unit if slide.parts or slide.belief}
    spent = sum(slide.minutes for section in sections for slide in section.slides if id(slide) in kept)

    def worth(unit: list[Slide]) -> tuple:
        pictured = any(slide.kind == "figure" for slide in unit)
        asked = any("predict" in "".join(slide.parts) for slide in unit)
        return (not any(slide.belief for slide in unit), not pictured, not asked)

    ranked = {}
    for (s, _), unit in units.items():
        rest = [slide for slide in unit if id(slide) not in kept and (slide.parts or slide.belief)]
        if rest and not (len(rest) == 1 and rest[0].kind == "lead"):
            ranked.setdefault(s, []).append((*worth(unit), rest))
    turns = []
    for s, found in ranked.items():
        # the unit that answers the section's own question comes before all others
        found.sort(key=lambda entry: (not any(id(x) in kept for x in units[(s, entry[-1][0].unit)]), *entry[:-1]))
        turns += [(turn, s, entry[-1]) for turn, entry in enumerate(found)]
    for _, _, unit in sorted(turns, key=lambda entry: entry[:2]):
        cost = sum(slide.minutes for slide in unit)
        if spent + cost <= minutes:
            kept |= {id(slide) for slide in unit}
            spent += cost
    result = []
    for section in sections:
        slides = [slide for slide in section.slides if id(slide) in kept]
        for slide in section.slides:  # what was left out can still be told
            if id(slide) not in kept and slides:
                earlier = [x for x in slides if section.slides.index(x) < section.slides.index(slide)]
                advice = [note for note in slide.notes if "class='advice'" in note]
                (earlier or slides)[-1].notes += advice
        if slides:
            result.append(Section(section.title, slides, sum(slide.minutes for slide in slides), section.fixed))
    share(result, minutes)
    return result


def share(sections: list[Section], minutes: float) -> None:
    """Give each section its part of the lecture, in half minutes that add up; a section may have its share fixed."""
    fixed = sum(section.fixed or 0 for section in sections)
    free = [section for section in sections if section.fixed is None]
    total, given = sum(section.minutes for section in free) or 1, 0.0
    for section in sections:
        if section.fixed is not None:
            section.minutes = section.fixed
    running = 0.0
    for section in free:
        running += section.minutes
        until = round(2 * max(minutes - fixed, 0) * running / total) / 2
        section.minutes, given = until - given, until
