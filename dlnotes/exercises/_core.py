"""The small machine behind every exercise: a registry of checkers, and the answer that a reader sees."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from dlnotes.device import same_random_state

__all__ = ["Hint", "Result", "check", "checkers", "exercise", "expect_equal", "expect_number"]

_CHECKERS: dict[str, Callable[[Any], str | None]] = {}


class Hint(Exception):
    """What a checker raises when an answer is not right yet; its text is shown to the reader."""


@dataclass(frozen=True)
class Result:
    """The verdict on one answer. Its text is what the notebook shows and what CI compares."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return ("Correct. " if self.passed else "Not yet. ") + self.message


def exercise(name: str):
    """Register the decorated checker under ``name`` (``"chapter.task"``).

    The checker gets the reader's answer. It raises :class:`Hint` (or any error that the answer itself causes) when the
    answer is wrong, and may return one sentence to show when it is right.
    """

    def register(checker):
        _CHECKERS[name] = checker
        return checker

    return register


def checkers(chapter: str) -> list[str]:
    """Names of all exercises of a chapter module, for example ``checkers("tensors")``."""
    import_module(f"dlnotes.exercises.{chapter}")
    return [name for name in _CHECKERS if name.split(".")[0] == chapter]


def check(name: str, answer: Any) -> Result:
    """Check an answer. Never raises for a wrong answer: it returns a :class:`Result` with a hint.

    Nothing of the notebook changes, the random generators included: cells may be run in any order, or left out.

    Args:
        name: the exercise, as printed in the chapter: ``"chapter.task"``.
        answer: your function or your value.

    Raises:
        ValueError: if there is no exercise of that name.
    """
    chapter = name.split(".")[0]
    try:
        known = checkers(chapter)
    except ModuleNotFoundError:
        known = []
    if name not in known:
        raise ValueError(f"check: expected the name of an exercise{' of this chapter: ' + ', '.join(known) if known else ''}, "
                         f"got {name!r}")
    if answer is None or answer is ...:
        return Result(False, "Replace the ... with your answer, then run the cell again.")
    try:
        with same_random_state():
            praise = _CHECKERS[name](answer)
    except Hint as hint:
        return Result(False, str(hint))
    except Exception as error:  # the reader's own code failed: say how, and go on
        return Result(False, f"Your code raised {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return Result(True, praise or "")


def expect_equal(got: Any, expected: torch.Tensor, *, hint: str = "", atol: float = 1e-5) -> None:
    """Raise :class:`Hint` unless ``got`` is a tensor with the shape and values of ``expected``.

    Args:
        got: what the reader's code returned.
        expected: tensor of any shape.
        hint: added when the shape is right but the values are not.
        atol: absolute tolerance.
    """
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if not isinstance(got, torch.Tensor):
        raise Hint(f"Expected a tensor, got {type(got).__name__}.")
    if got.shape != expected.shape:
        raise Hint(f"Expected shape {tuple(expected.shape)}, got {tuple(got.shape)}. {hint}".strip())
    difference = (got.detach().to(expected) - expected).abs().max().item() if got.numel() else 0.0
    if not difference <= atol:
        raise Hint(f"The shape is right, the values are not. {hint}".strip())


def expect_number(got: Any, what: str) -> float:
    """The reader's answer as a number; raises :class:`Hint` if it is none.

    Args:
        got: what the reader's code returned; a tensor of one element counts.
        what: it should be, for the hint.
    """
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        raise Hint(f"Expected {what} as a number, got {type(got).__name__}.")
    return got
