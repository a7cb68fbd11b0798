"""What all widgets share: the three hosts, the packing of modules and state, the still picture."""

import json
import re

import pytest

from dlnotes import widgets
from dlnotes.widgets import _bundle


@pytest.fixture(scope="module", params=widgets.__all__)
def widget(request):
    return getattr(widgets, request.param)()


def test_every_widget_has_a_module_and_every_module_a_widget():
    assert sorted(widgets._HOME.values()) == _bundle.names()


def test_the_text_form_is_stable_and_holds_no_address(widget):
    assert repr(widget) == repr(type(widget)())
    assert "0x" not in repr(widget)


def test_a_display_carries_the_view_a_picture_and_the_text(widget, monkeypatch):
    monkeypatch.setenv("DLNOTES_WIDGETS", "live")
    data, metadata = widget._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert len(metadata["image/png"]["alt"]) > 20
    png = widget.still()
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and len(png) < 120_000


def test_a_hello_is_answered_so_that_live_controls_appear(widget, monkeypatch):
    sent = []
    monkeypatch.setattr(type(widget), "send", lambda self, content, buffers=None: sent.append(content))
    widget._receive(widget, {"type": "hello"}, [])
    assert sent == [{"type": "hello"}]


def test_the_file_needs_nothing_else(widget, tmp_path):
    path = tmp_path / "widget.html"
    assert widget.to_html(path) == str(path)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["']?https?:|import\(|\bfetch\(""", text)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        widget.to_html(path)
    widget.to_html(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["widget.html"]


def test_the_frame_is_sandboxed(widget):
    assert widget.to_html().startswith('<iframe sandbox="allow-scripts" ')


def test_slim_state_keeps_our_data_and_drops_code_and_layout(widget):
    from ipywidgets.embed import dependency_state

    full = {"state": dependency_state([widget], drop_defaults=False)}
    slim = _bundle.slim_state(full)
    (model_id, entry), = slim["state"].items()
    assert model_id == widget.model_id
    assert entry["state"]["_module"] == widget._name
    assert not {"_esm", "_css", "layout"} & set(entry["state"])
    assert len(entry["buffers"]) == len(full["state"][model_id].get("buffers", []))


def test_a_module_with_another_export_is_refused(tmp_path, monkeypatch):
    (tmp_path / "kit.js").write_text("const kit = {};")
    (tmp_path / "odd.js").write_text("export const kernels = {};\nexport function more() {}\nexport default {};")
    monkeypatch.setattr(_bundle, "_HERE", tmp_path)
    with pytest.raises(ValueError, match="another export"):
        _bundle.classic_script("odd")


def test_json_in_a_script_element_cannot_close_it():
    assert "</" not in _bundle.script_safe({"text": "</script>"})
    assert json.loads(_bundle.script_safe({"text": "</script>"})) == {"text": "</script>"}


def test_a_template_that_does_not_end_is_refused():
    with pytest.raises(ValueError, match="even number of backticks"):
        _bundle.lighten("const a = `x;\nconst b = 1;")


def test_published_modules_keep_every_word_of_their_templates():
    for name in _bundle.names():
        templates = re.findall(r"`[^`\n]*`", _bundle._own(name))
        assert templates
        for template in templates:
            comment = re.search(rf"(?m)^\s*(//|/?\*).*{re.escape(template)}", _bundle._own(name))
            assert template in _bundle.classic_script(name) or comment
