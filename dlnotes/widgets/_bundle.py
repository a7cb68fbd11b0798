"""One source, three hosts: how a widget's module and state are packed for a kernel, for a page, and for a single file."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["classic_script", "guard", "lighten", "module_source", "names", "runtime", "script_safe", "slim_state", "stylesheet"]

_HERE = Path(__file__).parent
_SHARED = ("guard", "kit", "runtime")


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def names() -> list[str]:
    """Names of all widget modules (file stems)."""
    return sorted(path.stem for path in _HERE.glob("*.js") if path.stem not in _SHARED and "." not in path.stem)


def _own(name: str) -> str:
    """A widget's own source: its parts in order (tensors.1-strides.js, ...), then its page (tensors.js)."""
    parts = sorted(path.name for path in _HERE.glob(f"{name}.*.js"))
    return "\n".join(map(_read, [*parts, f"{name}.js"]))


@cache
def module_source(name: str) -> str:
    """The ES module of a widget: the shared kit, then the widget's own file. This is what anywidget loads."""
    return f"{_read('kit.js')}\n{_own(name)}"


def lighten(source: str) -> str:
    """Leave out what only readers of the source need: lines of comment, empty lines, indentation (not inside a template).

    >>> print(lighten("// why\\nif (a) {\\n  b = `x\\n  y`;\\n}"))
    if (a) {
    b = `x
      y`;
    }
    """
    kept, in_template, in_comment = [], False, False
    for line in source.split("\n"):
        text = line.strip()
        if not in_template:
            if in_comment or text.startswith("/**"):
                in_comment = not text.endswith("*/")
                continue
            if not text or text.startswith("//"):
                continue
        kept.append(line if in_template else text)
        in_template ^= line.count("`") % 2 == 1
    if in_template or in_comment:
        raise ValueError(f"lighten: expected every template and comment to end, got {kept[-1]!r} as the last line; "
                         "keep an even number of backticks on lines that do not open or close a template")
    return "\n".join(kept)


@cache
def classic_script(name: str) -> str:
    """The widget's own file as a classic script that registers itself, so that a page opened from a folder can load it."""
    source = re.sub(r"(?m)^export default ", "const widget = ", _own(name))
    source = re.sub(r"(?m)^export const ", "const ", source)
    if re.search(r"(?m)^(export|import)\b", source):
        raise ValueError(f"widgets/{name}.js: expected only `export default` and `export const kernels`, found another export or import")
    return f'if (dlnotes.define) dlnotes.define("{name}", (kit) => {{\n{lighten(source)}\nreturn {{ ...widget, kernels }};\n}});\n'


@cache
def runtime() -> str:
    """The script that mounts widgets from saved state, without a kernel; the kit comes with it."""
    return lighten(f"{{\n{_read('kit.js')}\n(window.dlnotes ||= {{}}).kit = kit;\n}}\n{_read('runtime.js')}")


@cache
def guard() -> str:
    """The script, for any browser, that puts a picture and a sentence where the runtime cannot run."""
    return lighten(_read("guard.js"))


@cache
def stylesheet() -> str:
    """Design tokens, the kit's style, and each widget's own."""
    own = [path.name for path in sorted(_HERE.glob("*.css")) if path.stem not in ("tokens", "kit")]
    return "\n".join(_read(name) for name in ["tokens.css", "kit.css", *own])


def slim_state(embedded: dict[str, Any]) -> dict[str, Any]:
    """Keep of an embedded widget state what our runtime needs: our models, without the code that the page loads anyway."""
    kept = {}
    for model_id, entry in embedded["state"].items():
        state = entry["state"]
        if "_module" not in state:
            continue
        own = {k: v for k, v in state.items() if not k.startswith("_") or k == "_module"}
        own = {k: v for k, v in own.items() if k not in ("layout", "tooltip", "tabbable")}
        kept[model_id] = {"state": own, "buffers": entry.get("buffers", [])}
    return {"state": kept}


def script_safe(data: Any) -> str:
    """JSON that may stand inside a <script> element."""
    return json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
