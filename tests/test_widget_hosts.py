"""How a widget shows itself on each platform, arrays as text where the host drops buffers, and what happens when Python fails."""

import base64
import logging
import sys
import types

import anywidget._util
import numpy as np
import pytest
import torch
import traitlets
from imitated_comm import Comm
from IPython.core.formatters import DisplayFormatter
from torch import nn

from dlnotes import widgets
from dlnotes.platforms import PLATFORMS
from dlnotes.widgets import _base, _hosts

VIEW = "application/vnd.jupyter.widget-view+json"
EXPECTED = {"colab": "base64", "kaggle": "html", "autodl": "live", "binder": "live", "jupyterhub": "live", "local": "live"}


def on(name):
    """The variables that give a platform away."""
    return {sign: "1" for sign in PLATFORMS[name][0][:1]}


@pytest.fixture
def host(monkeypatch):
    """host(platform): from here on this process looks like a kernel on that platform."""
    for signs, *_ in PLATFORMS.values():
        for sign in signs:
            monkeypatch.delenv(sign, raising=False)
    monkeypatch.delenv("DLNOTES_WIDGETS", raising=False)

    def use(name, front_end=True):
        monkeypatch.setattr(_hosts, "has_front_end", lambda: front_end)
        for sign, value in on(name).items():
            monkeypatch.setenv(sign, value)

    return use


# -- which form

@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_has_its_presentation(name):
    assert _hosts.presentation(on(name), front_end=True) == EXPECTED[name]


@pytest.mark.parametrize("name", PLATFORMS)
def test_without_a_front_end_there_is_text_and_a_picture_everywhere(name):
    assert _hosts.presentation(on(name), front_end=False) == "plain"


@pytest.mark.parametrize("mode", _hosts.MODES)
def test_a_variable_forces_a_mode(mode):
    assert _hosts.presentation({**on("kaggle"), "DLNOTES_WIDGETS": f" {mode.upper()} "}, front_end=False) == mode


def test_another_word_in_the_variable_is_refused_with_the_modes():
    with pytest.raises(ValueError, match="DLNOTES_WIDGETS: expected one of live, base64, html, plain, got 'kernel'; unset it"):
        _hosts.presentation({"DLNOTES_WIDGETS": "kernel"})


def test_this_process_has_no_front_end_and_a_kernel_has(monkeypatch):
    assert not _hosts.has_front_end()
    import IPython
    for shell, expected in ((types.SimpleNamespace(), False), (types.SimpleNamespace(kernel=object()), True)):
        monkeypatch.setattr(IPython, "get_ipython", lambda shell=shell: shell)
        assert _hosts.has_front_end() is expected


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_display_holds_what_the_platform_can_show_and_nothing_that_would_hide_it(host, name):
    host(name)
    data, metadata = DisplayFormatter().format(widgets.TensorShapes())
    if EXPECTED[name] == "html":
        assert set(data) == {"text/plain", "text/html"}
        assert data["text/html"].startswith("<iframe ") and "dlnotes.define" in data["text/html"]
    else:
        assert set(data) == {"text/plain", "image/png", VIEW}
        assert len(metadata["image/png"]["alt"]) > 20


def test_a_terminal_gets_text_and_a_picture(host):
    host("colab", front_end=False)
    data, metadata = DisplayFormatter().format(widgets.TensorShapes())
    assert set(data) == {"text/plain", "image/png"}
    assert len(metadata["image/png"]["alt"]) > 20


# -- Colab

@pytest.fixture
def colab(monkeypatch):
    """A module google.colab that counts how often its widget manager is asked for."""
    calls = []
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: calls.append(1)
    output._widgets = types.SimpleNamespace(_installed_url=None)
    package = types.ModuleType("google.colab")
    package.output, package.__path__ = output, []
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    for cached in (_hosts.enable_colab, anywidget._util.enable_custom_widget_manager_once):
        cached.cache_clear()
    yield output, calls
    for cached in (_hosts.enable_colab, anywidget._util.enable_custom_widget_manager_once):
        cached.cache_clear()


@pytest.mark.parametrize("imported", [True, False])
def test_colab_is_asked_once_for_its_widget_manager(host, colab, monkeypatch, imported):
    output, calls = colab
    if imported:
        monkeypatch.setitem(sys.modules, "google.colab.output", output)
    host("colab")
    for _ in range(2):
        widgets.TensorShapes()._repr_mimebundle_()
    assert calls == [1]


def test_without_colabs_module_nothing_is_asked_and_nothing_fails(host):
    _hosts.enable_colab.cache_clear()
    host("colab")
    widgets.TensorShapes()
    assert _hosts.enable_colab() is False


def test_elsewhere_colab_is_not_asked(host, colab):
    host("local")
    widgets.TensorShapes()
    assert colab[1] == []


# -- arrays

def arrays(widget):
    return [name for name, trait in widget.traits(sync=True).items() if isinstance(trait, traitlets.Bytes)]


@pytest.mark.parametrize("name", widgets.__all__)
def test_on_colab_every_array_is_text_and_equal(host, name):
    host("local")
    widget = getattr(widgets, name)()
    plain = widget.get_state()
    host("colab")
    state = widget.get_state()
    assert not any(isinstance(value, (bytes, memoryview)) for value in state.values())
    for key in arrays(widget):
        assert base64.b64decode(state[key]) == plain[key] == getattr(widget, key)


@pytest.mark.parametrize("name", ["colab", "local"])
def test_a_later_update_travels_as_the_host_needs_it(host, name):
    host(name)
    widget = widgets.SpectrumExplorer()
    widget.comm = comm = Comm()
    widget._receive(widget, {"type": "picture", "name": "brick", "slot": 0}, [])
    data, buffers = next((data, buffers) for data, buffers in comm.sent if "pictures" in str(data))
    if name == "colab":
        assert base64.b64decode(data["state"]["pictures"]) == widget.pictures
        assert not buffers and not data["buffer_paths"]
    else:
        assert data["buffer_paths"] == [["pictures"]] and bytes(buffers[0]) == widget.pictures


def test_an_array_from_the_page_may_be_text():
    widget = widgets.SpectrumExplorer()
    wanted = bytes(len(widget.pictures))
    widget.set_state({"pictures": base64.b64encode(wanted).decode()})
    assert widget.pictures == wanted


# -- out of memory, and other trouble

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.ones(2))


class Computing(_base.Widget):
    """Computes with CUDA, as far as it knows, and CUDA has no memory left."""

    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    answer = traitlets.Unicode().tag(sync=True)

    def handle(self, message):
        self.tried = [*getattr(self, "tried", []), self._device().type]
        if self.tried[-1] == "cuda":
            raise self.error
        self.answer = f"computed on {self.tried[-1]}"


@pytest.fixture
def computing(monkeypatch):
    monkeypatch.setattr(_base, "pick_device", lambda: torch.device("cuda"))
    return Computing()


def test_out_of_memory_is_computed_on_the_cpu_and_said(computing):
    computing._receive(computing, {"type": "compute"}, [])
    assert computing.tried == ["cuda", "cpu"] and computing.answer == "computed on cpu"
    assert computing._notice.startswith("CUDA ran out of memory. This was computed on the CPU")


def test_the_widget_goes_on_with_the_cpu_and_the_sentence_goes(computing):
    for _ in range(2):
        computing._receive(computing, {"type": "compute"}, [])
    assert computing.tried == ["cuda", "cpu", "cpu"] and computing._notice == ""


def test_another_error_is_said_and_reaches_the_log(computing, caplog):
    computing.error = KeyError("layer 7")
    with caplog.at_level(logging.WARNING):
        computing._msg_callbacks(computing, {"type": "compute"}, [])      # as ipywidgets calls it
    assert computing._notice == "Python could not do this. KeyError: 'layer 7'"
    assert any(record.exc_info for record in caplog.records)
    computing.error = torch.cuda.OutOfMemoryError("CUDA out of memory")
    computing._receive(computing, {}, [])
    assert computing.answer == "computed on cpu"


def test_an_error_on_the_cpu_is_not_tried_for_ever(monkeypatch):
    widget = Computing()
    monkeypatch.setattr(Computing, "handle", lambda self, message: (_ for _ in ()).throw(self.error))
    for _ in range(2):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            widget._receive(widget, {}, [])
        assert "OutOfMemoryError" in widget._notice


def test_memory_errors_are_known_in_all_their_forms():
    inner = torch.cuda.OutOfMemoryError("CUDA out of memory")
    outer = ValueError("expected another model")
    outer.__cause__ = inner
    library = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert all(map(_base.out_of_memory, (inner, outer, library, RuntimeError("CUDA error: out of memory"))))
    assert not any(map(_base.out_of_memory, (ValueError("size"), RuntimeError("can't allocate memory: you tried 8 bytes"))))


def test_the_copy_for_the_cpu_is_equal_and_separate():
    model = Model()
    model.layer.weight.requires_grad = False
    copied = _base._cpu_copy(model)
    assert copied.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict(keep_vars=True).items():
        twin = copied.state_dict(keep_vars=True)[name]
        assert torch.equal(twin, value) and twin.data_ptr() != value.data_ptr() and twin.requires_grad == value.requires_grad


@pytest.mark.parametrize(("name", "message"), [
    ("AttentionExplorer", {"type": "picture"}), ("FeatureMaps", {"type": "picture", "slot": 0, "index": 30}),
    ("SkipConnections", {"type": "picture"}), ("ThresholdExplorer", {"type": "digit", "index": 25})])
def test_a_widget_whose_model_runs_out_of_memory_shows_what_the_cpu_computes(monkeypatch, name, message):
    expected, widget = (getattr(widgets, name)() for _ in range(2))
    expected._receive(expected, message, [])
    forward, calls = nn.Module.__call__, []

    def once(self, *args, **kwargs):
        if not calls:
            calls.append(1)
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__call__", once)
    widget._receive(widget, message, [])
    assert calls and widget._notice.startswith("CUDA ran out of memory")
    assert expected._notice == ""
    for key in arrays(widget):
        assert np.array_equal(*(np.frombuffer(getattr(w, key), np.uint8) for w in (expected, widget))), key


@pytest.mark.cuda
def test_on_a_full_gpu_the_update_comes_from_the_cpu_and_the_readers_model_stays():
    from dlnotes.models.pretrained import load_pretrained

    model = load_pretrained("cnn_digits").cuda()
    widget = widgets.FeatureMaps(model)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-5)
    try:
        widget._receive(widget, {"type": "picture", "slot": 0, "index": 30}, [])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert widget._notice.startswith("CUDA ran out of memory")
    assert next(model.parameters()).is_cuda and not next(widget._model.parameters()).is_cuda
    widget._receive(widget, {"type": "picture", "slot": 0, "index": 31}, [])
    assert widget._notice == "" and widget.sources[0] == 31
