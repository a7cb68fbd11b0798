"""The self-assessment questions of each chapter: read from ``questions/<chapter>.yml`` and held to their form.

A question has three or four options, exactly one of them right, and says of every option why.
"""

from functools import cache
from pathlib import Path
from typing import TypedDict

__all__ = ["Option", "Question", "assessments", "questions"]

_FOLDER = Path(__file__).parent / "questions"


class Option(TypedDict):
    text: str
    correct: bool
    why: str


class Question(TypedDict):
    question: str
    options: list[Option]


def assessments() -> list[str]:
    """Names of the chapters that have questions, in the book's order."""
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def _options(item: object, where: str) -> list[Option]:
    if not isinstance(item, dict) or set(item) != {"question", "options"}:
        raise ValueError(f"{where}: expected `question` and `options`, got {sorted(item) if isinstance(item, dict) else item!r}")
    options = item["options"]
    if not isinstance(options, list) or not 3 <= len(options) <= 4:
        raise ValueError(f"{where}: expected 3 or 4 options, got {options!r}")
    for option in options:
        if not isinstance(option, dict) or set(option) != {"text", "correct", "why"} or not str(option["why"]).strip():
            raise ValueError(f"{where}: expected `text`, `correct` and `why` in each option, got {option!r}")
    if sum(option["correct"] is True for option in options) != 1:
        raise ValueError(f"{where}: expected exactly one option with `correct: true`, got "
                         f"{[option['correct'] for option in options]}")
    return [{"text": str(o["text"]), "correct": o["correct"] is True, "why": str(o["why"])} for o in options]


@cache
def questions(chapter: str) -> list[Question]:
    """The questions of a chapter.

    Args:
        chapter: the name of its notebook, for example ``"07_fft"``; see :func:`assessments`.

    Returns:
        A list of ``{"question", "options": [{"text", "correct", "why"}, ...]}``; words in backticks are code.

    Raises:
        ValueError: if the chapter has no questions, or if its file breaks the form.
    """
    path = _FOLDER / f"{chapter}.yml"
    if chapter not in assessments():
        raise ValueError(f"questions: expected a chapter among {', '.join(assessments())}, got {chapter!r}")
    import yaml

    items = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [{"question": str(item["question"]), "options": options} for index, item in enumerate(items)
            if (options := _options(item, f"{path.name}, question {index + 1}"))]
