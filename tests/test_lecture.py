"""A demo that fails in the lecture hall shows what the rehearsal computed, and says so."""

import os
import re

import numpy as np
import pytest
import torch

from dlnotes.lecture import rehearsed


@pytest.fixture(autouse=True)
def live(monkeypatch):
    monkeypatch.delenv("DLNOTES_LECTURE", raising=False)


def out_of_memory():
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 320.00 GiB\nmore lines")


def same(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one.cpu(), other)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return type(one) is type(other) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


RESULTS = [torch.arange(6.0).reshape(2, 3).T, torch.ones(3, dtype=torch.bfloat16), np.arange(4), torch.tensor(3),
           0.1, 7, "text", None, True,
           {"loss": [0.5, 0.25], "map": torch.eye(2), "sizes": (1, (2, None)), "empty": {}}, torch.fft.fft(torch.arange(4.0)).conj(),
           np.arange(3) + 1j, np.arange(6.0).reshape(2, 3)[:, ::-1], torch.ones(2, 2, requires_grad=True).detach(), torch.zeros(0, 3)]


@pytest.mark.parametrize("result", RESULTS, ids=[type(r).__name__ + str(i) for i, r in enumerate(RESULTS)])
def test_what_failed_is_replaced_by_an_equal_result(tmp_path, capsys, result):
    assert rehearsed("demo", lambda: result, folder=tmp_path) is result
    assert capsys.readouterr().out == ""
    assert same(result, rehearsed("demo", out_of_memory, folder=tmp_path))
    assert re.match(r"demo: from the rehearsal of \d{4}-\d\d-\d\d \d\d:\d\d on .+ "
                    r"\(OutOfMemoryError: CUDA out of memory. Tried to allocate 320.00 GiB\)", capsys.readouterr().out)


def test_it_computes_anew_each_time_and_keeps_the_last(tmp_path):
    turns = iter(range(5))
    assert [rehearsed("turn", lambda: next(turns), folder=tmp_path) for _ in range(3)] == [0, 1, 2]
    assert rehearsed("turn", out_of_memory, folder=tmp_path) == 2


def test_stopping_a_cell_that_hangs_counts_as_failure(tmp_path, capsys):
    def hangs():
        raise KeyboardInterrupt

    rehearsed("slow", lambda: 1, folder=tmp_path)
    assert rehearsed("slow", hangs, folder=tmp_path) == 1
    assert "(stopped)" in capsys.readouterr().out


def test_a_result_of_other_code_says_so_and_one_of_the_same_code_does_not(tmp_path, capsys, monkeypatch):
    def compute():
        return 1

    rehearsed("code", compute, folder=tmp_path)
    monkeypatch.setenv("DLNOTES_LECTURE", "cached")
    rehearsed("code", compute, folder=tmp_path)
    assert "changed" not in capsys.readouterr().out
    rehearsed("code", lambda: 2, folder=tmp_path)
    assert capsys.readouterr().out.endswith("(DLNOTES_LECTURE=cached); its code has changed since.\n")


def test_the_cached_mode_computes_nothing_that_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DLNOTES_LECTURE", "cached")
    assert rehearsed("first", lambda: 1, folder=tmp_path) == 1
    assert "nothing is kept" in capsys.readouterr().out
    assert rehearsed("first", lambda: pytest.fail("computed"), folder=tmp_path) == 1


def test_an_unknown_mode_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("DLNOTES_LECTURE", "chached")
    with pytest.raises(ValueError, match="'live' or 'cached', got 'chached'"):
        rehearsed("mode", lambda: 1, folder=tmp_path)


def test_without_a_rehearsal_the_error_comes_with_its_remedy(tmp_path, capsys):
    with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
        rehearsed("never", out_of_memory, folder=tmp_path)
    told = getattr(caught.value, "__notes__", None) or [capsys.readouterr().out]  # Python 3.10 has no notes
    assert "run this cell once where it works, and bring the folder" in told[0]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x00" * len(b), lambda b: b"{" + b[1:]])
def test_a_damaged_file_is_reported_and_computed_anew(tmp_path, capsys, monkeypatch, damage):
    path = tmp_path / "demo.safetensors"
    rehearsed("demo", lambda: torch.ones(3), folder=tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        rehearsed("demo", out_of_memory, folder=tmp_path)
    monkeypatch.setenv("DLNOTES_LECTURE", "cached")
    assert rehearsed("demo", lambda: torch.ones(3), folder=tmp_path).sum() == 3
    assert "cannot be read" in capsys.readouterr().out
    rehearsed("demo", out_of_memory, folder=tmp_path)


def test_a_file_of_somebody_else_is_not_shown(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(torch.cuda.OutOfMemoryError):
        rehearsed("weights", out_of_memory, folder=tmp_path)


def test_a_write_that_breaks_off_leaves_the_old_result_and_no_remains(tmp_path, capsys, monkeypatch):
    rehearsed("demo", lambda: 1, folder=tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert rehearsed("demo", lambda: 2, folder=tmp_path) == 2
    assert "not kept for next time (No space left on device" in capsys.readouterr().out
    assert rehearsed("demo", out_of_memory, folder=tmp_path) == 1
    assert os.listdir(tmp_path) == ["demo.safetensors"]


@pytest.mark.parametrize("value", [object(), {"model": torch.nn.Linear(1, 1)}, {1: 2}, np.array(["a"])])
def test_what_cannot_be_kept_is_named_at_the_rehearsal(tmp_path, value):
    with pytest.raises(TypeError, match="cannot keep the result"):
        rehearsed("bad", lambda: value, folder=tmp_path)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", None])
def test_a_name_that_is_no_file_name_is_an_error(tmp_path, name):
    with pytest.raises(ValueError, match="expected a name"):
        rehearsed(name, lambda: 1, folder=tmp_path)
    assert not os.listdir(tmp_path)
