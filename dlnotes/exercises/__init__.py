"""Exercises that check themselves: ``check("tensors.tokens", my_function)`` answers at once, with a hint.

One module per chapter holds that chapter's checkers. A checker tries an answer on inputs that separate the right idea
from the usual wrong ones, and names the mistake when it recognises one.
"""

from ._core import Hint, Result, check, checkers, exercise, expect_equal, expect_number

__all__ = ["Hint", "Result", "check", "checkers", "exercise", "expect_equal", "expect_number"]
