"""What every widget shares: its module, a stable name, a still picture, and a self-contained HTML form."""

import base64
import html
import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets
from ipywidgets.embed import dependency_state

from . import _bundle

__all__ = ["Widget"]


class Widget(anywidget.AnyWidget):
    """Base of the course's widgets.

    A subclass names its JavaScript file (``_name``), keeps all data in synced traits, and draws a picture of its first
    state in :meth:`still` for hosts without scripts. The same module then runs in a live notebook, in the published
    page without a kernel, and in the single file that :meth:`to_html` makes.
    """

    _name: ClassVar[str] = ""
    _height: ClassVar[int] = 680

    _module = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_name" in cls.__dict__:  # not for the subclass that traitlets makes when anywidget adds its traits
            cls._esm = _bundle.module_source(cls._name)
            cls._css = _bundle.stylesheet()
        super().__init_subclass__(**kwargs)

    def __init__(self, **traits: Any) -> None:
        super().__init__(_module=self._name, **traits)
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, message: Any, _buffers: Any) -> None:
        if isinstance(message, dict) and message.get("type") == "hello":
            self.send({"type": "hello"})
        else:
            self.handle(message)

    def handle(self, message: Any) -> None:
        """Answer a message from the page; subclasses that compute in Python override this."""

    def summary(self) -> str:
        """What the text form says between the brackets."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary()})"

    def still(self) -> bytes:
        """A PNG of the first state, for readers and hosts without scripts."""
        raise AttributeError(f"{type(self).__name__} does not draw a still picture")

    def alt(self) -> str:
        """What the still picture shows, in a sentence."""
        return f"Picture of the interactive widget {type(self).__name__}."

    def _repr_mimebundle_(self, **kwargs: Any):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if data is None:
            return None
        data = {**data, "text/plain": repr(self), "image/png": base64.b64encode(self.still()).decode()}
        return data, {**(metadata or {}), "image/png": {"alt": self.alt()}}

    def _document(self) -> str:
        state = _bundle.slim_state({"state": dependency_state([self], drop_defaults=False)})
        still = base64.b64encode(self.still()).decode()
        return f"""<!doctype html>
<html lang="en" data-dln-standalone><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(repr(self))}</title><style>body{{margin:0;background:var(--dln-paper)}} .dln-widget{{margin:0}}
{_bundle.stylesheet()}</style></head><body><main>
<noscript><img alt="{html.escape(self.alt())}" style="max-width:100%" src="data:image/png;base64,{still}"></noscript>
<script type="application/vnd.jupyter.widget-state+json">{_bundle.script_safe(state)}</script>
<script type="application/vnd.jupyter.widget-view+json">{_bundle.script_safe({"model_id": self.model_id})}</script>
</main><script>{_bundle.runtime()}</script><script>{_bundle.classic_script(self._name)}</script></body></html>"""

    def to_html(self, path: str | Path | None = None, *, overwrite: bool = False) -> str:
        """The widget, its data and its code as HTML that needs no kernel, no network and no other file.

        Args:
            path: write a file that any browser opens. Without it, return a sandboxed frame to put into a page or to
                show with ``IPython.display.HTML`` where widgets are not available (Kaggle, slides).
            overwrite: replace an existing file.

        Returns:
            The frame, or the path that was written.

        Raises:
            FileExistsError: if the file exists and ``overwrite`` is false.
        """
        document = self._document()
        if path is None:
            return (f'<iframe sandbox="allow-scripts" title="{html.escape(repr(self))}" loading="lazy" '
                    f'style="width:100%;height:{self._height}px;border:0" srcdoc="{html.escape(document)}"></iframe>')
        target = Path(path)
        if target.exists() and not overwrite:
            raise FileExistsError(f"to_html: expected a path that does not exist yet, got {target}; pass overwrite=True to replace it")
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(document)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return str(target)
