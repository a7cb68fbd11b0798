"""ScalingLab in Python: construction, errors, its still picture."""

import pytest

from dlnotes.widgets.scaling import ScalingLab


def test_the_first_state_shows_the_problem():
    widget = ScalingLab()
    assert repr(widget) == "ScalingLab(d = 256, scores divided by nothing)"
    assert "divided by √d keep it level" in widget.alt()
    assert ScalingLab(16, "root").still() != widget.still()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"width": 100}, "expected width to be a power of two from 2 to 1024, got 100"),
    ({"width": 2048}, "got 2048"),
    ({"divisor": "sqrt"}, "expected divisor to be one of one, root, width, got 'sqrt'"),
])
def test_bad_arguments_are_answered(arguments, words):
    with pytest.raises(ValueError, match=words):
        ScalingLab(**arguments)
