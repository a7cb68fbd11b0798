"""What a run writes down: two tables, TensorBoard events, pictures, and a bar while one waits.

``log.csv`` has one row for each epoch, ``updates.csv`` one for each update; numbers are written in full, and no time of day
is among them, so that two runs can be compared byte by byte. Times go to ``times.csv``. A checkpoint remembers how long the
tables were; a run that is taken up again first cuts off what was written after its checkpoint, and then writes it once more.
"""

import csv
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .checkpoint import disk_error, write_atomically

__all__ = ["Bar", "RunLog", "read_log"]

KINDS = ("csv", "tensorboard")


def read_log(path: str | os.PathLike) -> list[dict[str, float]]:
    """The rows of ``log.csv`` or ``updates.csv``: numbers by column; an empty field is left out.

    Args:
        path: the file, or the run's folder, which means its ``log.csv``.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = Path(path) / "log.csv" if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_log: expected the table of a run at {path}, found no file; pass the folder given "
                                "to fit, which writes it with log=('csv',)")
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: int(v) if v.isdigit() else float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


class _Table:
    """A CSV file that is only ever appended to, and can be cut back to an earlier length."""

    def __init__(self, path: Path, length: int):
        self.path, self.columns = path, None
        path.touch()
        os.truncate(path, min(length, path.stat().st_size))
        if path.stat().st_size:
            with open(path, newline="", encoding="utf-8") as file:
                self.columns = next(csv.reader(file))
        self.file = open(path, "a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)

    def write(self, row: Mapping[str, Any]) -> None:
        if self.columns is None:
            self.columns = list(row)
            self.writer.writerow(self.columns)
        self.writer.writerow([row[name] for name in self.columns])

    def length(self) -> int:
        """Bytes in the file, all of them on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return os.fstat(self.file.fileno()).st_size


class RunLog:
    """The files of one session of a run.

    Args:
        folder: the run's folder; None writes nothing.
        kinds: any of ``"csv"`` and ``"tensorboard"``.
        lengths: how long the tables were at the checkpoint from which this session goes on; empty for a new run.
        update: number of the update of that checkpoint.

    Raises:
        ModuleNotFoundError: if TensorBoard is asked for and not installed.
        OSError: from any method, if the disk is full.
    """

    def __init__(self, folder: Path | None, kinds: tuple[str, ...] = KINDS, lengths: Mapping[str, int] | None = None,
                 update: int = 0):
        self.folder, self.tables, self.board = folder, {}, None
        self._tick = time.perf_counter()
        if folder is None:
            return
        if "csv" in kinds:
            self.tables = {name: _Table(folder / name, (lengths or {}).get(name, 0)) for name in ("log.csv", "updates.csv")}
        if "tensorboard" in kinds:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError("fit: expected the package tensorboard for log=('tensorboard',), which is not "
                                          "installed; pip install tensorboard, or pass log=('csv',)") from error
            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=update + 1 if update else None, flush_secs=10)

    def update(self, row: Mapping[str, Any]) -> None:
        """One update: ``update``, ``epoch``, and numbers."""
        self._write("updates.csv", row, {name: f"update/{name}" for name in row if name not in ("update", "epoch")})

    def epoch(self, row: Mapping[str, Any], samples: int) -> None:
        """One epoch: ``epoch``, ``update``, and its scores; ``samples`` were trained on in this session's part of it."""
        self._write("log.csv", row, {name: name.replace("val_", "val/", 1) if name.startswith("val_") else f"train/{name}"
                                     for name in row if name not in ("update", "epoch")})
        if self.tables:
            now, before = time.perf_counter(), self._tick
            self._tick = now
            times = self.folder / "times.csv"
            with open(times, "a", encoding="utf-8") as file:
                if not file.tell():
                    file.write("epoch,update,seconds,samples_per_second\n")
                file.write(f"{row['epoch']},{row['update']},{now - before:.3f},{samples / (now - before):.2f}\n")

    def pictures(self, pictures: Mapping[str, torch.Tensor], epoch: int, update: int) -> None:
        """Pictures (c, h, w) or (h, w) with values in [0, 1], one or three channels: PNG files, and TensorBoard's images."""
        import io

        from PIL import Image

        for name, picture in pictures.items():
            picture = _check_picture(name, picture)
            pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()       # h w c
            if self.board is not None:
                self.board.add_image(name, pixels, update, dataformats="HWC")
            if self.folder is not None:
                buffer = io.BytesIO()
                Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format="PNG")
                path = self.folder / "pictures" / name / f"epoch-{epoch:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, buffer.getvalue())

    def lengths(self) -> dict[str, int]:
        """How long the tables are now; everything up to there is on the disk."""
        try:
            return {name: table.length() for name, table in self.tables.items()}
        except OSError as error:
            raise disk_error(error, "the log", self.folder) from error

    def close(self) -> None:
        """Flush and close; never raises, because an error may be on its way already."""
        for table in self.tables.values():
            try:
                table.file.close()
            except OSError:
                pass                                                # its rows after the checkpoint are written again
        if self.board is not None:
            try:
                self.board.close()
            except (OSError, RuntimeError):
                pass

    def _write(self, table: str, row: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        try:
            if table in self.tables:
                self.tables[table].write(row)
            if self.board is not None:
                for name, tag in tags.items():
                    self.board.add_scalar(tag, row[name], row["update"])
        except OSError as error:
            raise disk_error(error, table, self.folder) from error


class Bar:
    """A progress bar on stderr: a line of text, the same in a terminal and in a notebook.

    Args:
        total: updates of the whole run.
        done: updates that earlier sessions made.
        show: False shows nothing; None shows it unless the environment variable ``DLNOTES_PROGRESS`` is ``0``.
        monitor: the score to show beside the loss.
    """

    def __init__(self, total: int, done: int, show: bool | None, monitor: str = "val_loss"):
        from tqdm import tqdm

        show = os.environ.get("DLNOTES_PROGRESS", "1") != "0" if show is None else show
        self.bar = tqdm(total=total, initial=done, disable=not show, file=sys.stderr, unit="update", dynamic_ncols=True)
        self.monitor, self.scores = monitor, ""

    def update(self, epoch: int, loss: float) -> None:
        """One more update."""
        if not self.bar.disable:
            self.bar.set_postfix_str(f"epoch {epoch}, loss {loss:.4f}{self.scores}", refresh=False)
            self.bar.update()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Scores of the epoch before stay beside the bar."""
        names = dict.fromkeys(name for name in ("val_loss", self.monitor) if name in row and name != "loss")
        self.scores = "".join(f", {name} {row[name]:.4f}" for name in names)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def _check_picture(name: str, picture: torch.Tensor) -> torch.Tensor:
    if not isinstance(picture, torch.Tensor):
        raise TypeError(f"fit: expected pictures(model) to give tensors, got {type(picture).__name__} for {name!r}; "
                        "use torch.as_tensor")
    picture = picture.detach()[None] if picture.ndim == 2 else picture.detach()                             # c h w
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or not picture.is_floating_point():
        raise ValueError(f"fit: expected picture {name!r} as floats (c, h, w) with one or three channels, or (h, w), got "
                         f"{picture.dtype} {tuple(picture.shape)}; scale it to [0, 1], and show one of a batch")
    return picture.float()
