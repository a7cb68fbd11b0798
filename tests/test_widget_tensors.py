"""TensorShapes from Python: arguments are checked, the text form is stable, the picture and the page need no kernel."""

import pytest

from dlnotes.widgets import TensorShapes
from dlnotes.widgets.tensors import _run


def test_the_text_form_tells_the_chain_and_never_an_address():
    assert repr(TensorShapes()) == "TensorShapes((2, 3, 4) -> permute(0, 2, 1): (2, 4, 3) -> view(2, -1): RuntimeError)"
    assert repr(TensorShapes((1, 2, 4, 4), steps=["patchify(2)"])) == "TensorShapes((1, 2, 4, 4) -> patchify(2): (1, 4, 8))"
    assert repr(TensorShapes((6,))) == "TensorShapes((6,))"


def test_names_have_a_default_for_every_number_of_axes():
    assert TensorShapes().names == "b h w"
    assert TensorShapes((1, 2, 3, 4)).names == "b c h w"
    assert TensorShapes((4, 6)).names == "h w"
    assert TensorShapes((1, 4, 4, 2), names="b h w c").names == "b h w c"


@pytest.mark.parametrize(("arguments", "says"), [
    ({"shape": (10, 10)}, "at most 96 elements"), ({"shape": ()}, "one to six sizes"), ({"shape": (2, 0)}, "at least 1"),
    ({"shape": (1,) * 7}, "one to six sizes"), ({"names": "b h"}, "3 different names"),
    ({"names": "b b w"}, "3 different names"),
    ({"names": "b h w!"}, "3 different names"), ({"steps": ["t()"] * 11}, "at most 10 steps"),
    ({"element": 24}, "from 0 to 23"),
    ({"element": -1}, "from 0 to 23"),
])
def test_arguments_that_do_not_fit_are_refused_with_a_remedy(arguments, says):
    with pytest.raises(ValueError, match=says) as caught:
        TensorShapes(**arguments)
    assert str(caught.value).startswith("TensorShapes: expected ") and ";" in str(caught.value)


@pytest.mark.parametrize("arguments", [{"shape": 24}, {"shape": (2.5, 4)}, {"shape": "ab"}, {"steps": "flatten()"},
    {"steps": [1]}])
def test_arguments_of_the_wrong_type_are_refused(arguments):
    with pytest.raises(TypeError, match="TensorShapes: expected"):
        TensorShapes(**arguments)


@pytest.mark.parametrize("step", ["__import__('os')", "x.numpy()", "open('a')", "x.__class__", "torch.save(x, 'a')",
    "(lambda: x)()", "1 + 1"])
def test_a_step_is_read_and_never_executed_as_code(step):
    import torch

    with pytest.raises((NameError, ValueError)):
        _run(torch.arange(6).reshape(2, 3), step)


def test_the_still_picture_is_small_and_described():
    for widget in (TensorShapes(), TensorShapes((1, 2, 4, 4),
        steps=["view(1, 2, 2, 2, 2, 2)", "permute(0, 2, 4, 1, 3, 5)", "foo()"]),
                   TensorShapes((96,), steps=["x[5]"])):
        picture = widget.still()
        assert picture.startswith(b"\x89PNG") and len(picture) < 60_000
    assert "(2, 4, 3)" in TensorShapes().alt()


def test_the_page_holds_state_and_code_and_asks_for_nothing(tmp_path):
    path = tmp_path / "shapes.html"
    assert TensorShapes(title="A & B").to_html(path) == str(path)
    page = path.read_text(encoding="utf-8")
    assert 'dlnotes.define("tensors"' in page and '"steps":["permute(0, 2, 1)","view(2, -1)"]' in page
    assert "src=\"http" not in page and "fetch(" not in page
    with pytest.raises(FileExistsError):
        TensorShapes().to_html(path)
