"""What every widget shares: its module, a stable name, a still picture, a self-contained HTML form, and what happens in trouble."""

import base64
import copy
import gc
import html
import os
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import torch
import traitlets
from ipywidgets.embed import dependency_state
from torch import nn

from .. import platforms
from ..device import pick_device
from . import _bundle, _hosts

__all__ = ["Widget", "out_of_memory"]

_OUT_OF_MEMORY = getattr(torch, "OutOfMemoryError", None) or torch.cuda.OutOfMemoryError     # the short name came with torch 2.5


def out_of_memory(error: BaseException) -> bool:
    """Whether a CUDA device had no memory left: as torch's own error, behind another one, or as the text of a library's error."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, _OUT_OF_MEMORY) or ("cuda" in text and "out of memory" in text) or "status_alloc_failed" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def _cpu_copy(model: nn.Module) -> nn.Module:
    """A copy of a model on the CPU, made without asking its device for memory; the model itself stays where it is."""
    memo: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        here = tensor.detach().to("cpu", copy=True)
        memo[id(tensor)] = nn.Parameter(here, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else here
    return copy.deepcopy(model, memo)


class Widget(anywidget.AnyWidget):
    """Base of the course's widgets.

    A subclass names its JavaScript file (``_name``), keeps all data in synced traits, and draws a picture of its first
    state in :meth:`still` for hosts without scripts. The same module then runs in a live notebook, in the published
    page without a kernel, and in the single file that :meth:`to_html` makes.
    """

    _name: ClassVar[str] = ""
    _height: ClassVar[int] = 680

    _module = traitlets.Unicode().tag(sync=True)
    _notice = traitlets.Unicode().tag(sync=True)    # what went wrong in Python, in a sentence; the page shows and announces it

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_name" in cls.__dict__:  # not for the subclass that traitlets makes when anywidget adds its traits
            cls._esm = _bundle.module_source(cls._name)
            cls._css = _bundle.stylesheet()
        super().__init_subclass__(**kwargs)

    def __init__(self, **traits: Any) -> None:
        if platforms.detect().name == "colab":
            _hosts.enable_colab()
        self._left_cuda = False
        super().__init__(_module=self._name, **traits)
        self.on_msg(self._receive)

    # -- arrays on their way to the page and back: binary, or text where the host drops buffers

    @staticmethod
    def _trait_to_json(value: Any, _widget: Any) -> Any:
        if isinstance(value, bytes) and _hosts.presentation() == "base64":
            return base64.b64encode(value).decode()
        return value

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take a state from the page; arrays may come as base64 text."""
        own = self.traits()
        super().set_state({name: base64.b64decode(value) if isinstance(value, str) and isinstance(own.get(name), traitlets.Bytes)
                           else value for name, value in sync_data.items()})

    # -- messages from the page

    def _receive(self, _widget: Any, message: Any, _buffers: Any) -> None:
        if isinstance(message, dict) and message.get("type") == "hello":
            self.send({"type": "hello"})
            return
        self._notice = ""
        try:
            if not self._handle_on_device(message):
                self._leave_cuda()
                self.handle(message)
                self._notice = "CUDA ran out of memory. This was computed on the CPU instead, and what follows will be, too."
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            self._notice = f"Python could not do this. {type(error).__name__}: {said}"[:400]
            raise       # ipywidgets shows the traceback in the kernel's log

    def _handle_on_device(self, message: Any) -> bool:
        """False if a CUDA device ran out of memory; the error, and the tensors that it holds, are gone on return."""
        try:
            self.handle(message)
        except Exception as error:
            if self._left_cuda or not out_of_memory(error):
                raise
            return False
        return True

    def _leave_cuda(self) -> None:
        """From now on compute on the CPU, with copies of the models; the reader's own models stay where they are."""
        self._left_cuda = True
        for name, value in list(vars(self).items()):
            if isinstance(value, nn.Module) and any(p.device.type != "cpu" for p in value.parameters()):
                setattr(self, name, _cpu_copy(value))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _device(self) -> torch.device:
        """Where to compute an update: :func:`dlnotes.device.pick_device`'s choice, or the CPU once CUDA ran out of memory."""
        return torch.device("cpu") if self._left_cuda else pick_device()

    def handle(self, message: Any) -> None:
        """Answer a message from the page; subclasses that compute in Python override this.

        If a CUDA device runs out of memory here, this is called once more, to compute on the CPU. Any error is told to the page.
        """

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
        mode, text = _hosts.presentation(), {"text/plain": repr(self)}
        if mode == "html":
            return {**text, "text/html": self.to_html()}, {}
        text["image/png"] = base64.b64encode(self.still()).decode()
        alt = {"image/png": {"alt": self.alt()}}
        if mode == "plain":
            return text, alt
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, **text}, {**(metadata or {}), **alt}

    def _document(self) -> str:
        state = _bundle.slim_state({"state": dependency_state([self], drop_defaults=False)})
        still = base64.b64encode(self.still()).decode()
        return f"""<!doctype html>
<html lang="en" data-dln-standalone><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(repr(self))}</title><style>body{{margin:0;background:var(--dln-paper)}} .dln-widget{{margin:0}}
{_bundle.stylesheet()}</style></head><body><main>
<script type="application/vnd.jupyter.widget-state+json">{_bundle.script_safe(state)}</script>
<script type="application/vnd.jupyter.widget-view+json">{_bundle.script_safe({"model_id": self.model_id})}</script>
<noscript><img alt="{html.escape(self.alt())}" style="max-width:100%" src="data:image/png;base64,{still}"></noscript>
</main><script>{_bundle.guard()}</script><script>{_bundle.runtime()}</script>
<script>{_bundle.classic_script(self._name)}</script></body></html>"""

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
            return (f'<iframe sandbox="allow-scripts" allow="fullscreen *" title="{html.escape(repr(self))}" '
                    f'loading="lazy" style="width:100%;height:{self._height}px;border:0" srcdoc="{html.escape(document)}"></iframe>')
        target = Path(path)
        if target.exists() and not overwrite:
            raise FileExistsError(f"to_html: expected a path that does not exist yet, got {target}; pass overwrite=True to replace it")
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            partial.write_text(document, encoding="utf-8")
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return str(target)
