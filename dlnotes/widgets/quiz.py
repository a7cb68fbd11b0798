"""A few questions at the end of a chapter, answered in the page: every choice says why it is right or wrong."""

import io
import textwrap

import matplotlib.pyplot as plt
import traitlets

from .. import plots
from ..exercises.assessment import assessments, questions
from ._base import Widget

__all__ = ["SelfAssessment"]


class SelfAssessment(Widget):
    """The self-assessment of a chapter.

    Args:
        chapter: the name of its notebook, for example ``"07_fft"``. Default: the first chapter.

    Raises:
        ValueError: if that chapter has no questions.

    No kernel is needed: the questions and the reasons travel with the page, and nothing that the reader answers leaves it.
    """

    _name = "quiz"
    _height = 620

    chapter = traitlets.Unicode().tag(sync=True)
    questions = traitlets.List().tag(sync=True)

    def __init__(self, chapter: str | None = None) -> None:
        chapter = assessments()[0] if chapter is None else chapter
        super().__init__(chapter=chapter, questions=questions(chapter))

    def summary(self) -> str:
        return f"{self.chapter}, {len(self.questions)} questions"

    def alt(self) -> str:
        listed = " ".join(f"{i}. {item['question']}" for i, item in enumerate(self.questions, 1))
        return f"Questions to check yourself, one at a time, with a reason for each answer: {listed}".replace("`", "")

    def still(self) -> bytes:
        lines = [line for i, item in enumerate(self.questions, 1)
                 for line in textwrap.wrap(f"{i}. {item['question']}".replace("`", ""), 84, subsequent_indent="    ")]
        with plots.style():
            figure = plt.figure(figsize=(6.4, 0.5 + 0.22 * len(lines)))
            figure.text(0.03, 0.97, "Check yourself", va="top", weight="bold")
            figure.text(0.03, 1 - 0.4 / figure.get_figheight(), "\n".join(lines).replace("$", r"\$"), va="top", fontsize=8,
                        linespacing=1.4, parse_math=False)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=80)
            plt.close(figure)
        return stream.getvalue()
