"""One function on several GPUs, from a notebook: see :func:`dlnotes.platforms.launch`."""

import os
import pickle
import socket
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["launch"]


def launch(function: Callable, *args: Any, processes: int | None = None) -> Any:
    """Run a training function on every GPU of this machine, from a notebook: Accelerate's ``notebook_launcher``, with what
    it leaves out.

    It counts the devices, takes a free port, says beforehand when the notebook has touched CUDA already (then no process that
    is split off from it can use a GPU), hands back what the main process returned, and shows the first error of any process.
    With one device, or none, the function simply runs here.

    Args:
        function: it builds model and data and calls :func:`dlnotes.training.fit`, which shares each batch among the processes.
        *args: for the function; on several processes each gets a copy.
        processes: how many; by default one for each GPU, and one without.

    Returns:
        What the function returned, on several processes that of the first, which has to be picklable.

    Raises:
        ValueError: if ``processes`` is not a whole number above 0, or more than there are GPUs, where there are some.
        RuntimeError: if CUDA was touched before, or a process failed; the text holds its traceback.
    """
    import torch

    if not callable(function):
        raise TypeError(f"launch: expected a function, got {type(function).__name__}; launch(train, 50), not launch(train(50))")
    gpus = 0 if os.environ.get("DLNOTES_DEVICE") == "cpu" else torch.cuda.device_count()      # asks the driver, touches nothing
    if processes is None:
        processes = max(1, gpus)
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1 or 0 < gpus < processes:
        raise ValueError(f"launch: expected processes from 1 to {gpus or 'any number'}, got {processes!r}; None takes all GPUs")
    if processes == 1:
        return function(*args)
    if not hasattr(os, "fork"):
        raise RuntimeError("launch: expected a system that can split a process (Linux), got Windows; write a script and start it "
                           f"with: accelerate launch --num_processes {processes} train.py")
    if gpus and _cuda_is_touched():
        raise RuntimeError(
            "launch: expected a notebook that has not touched CUDA yet, got one that has: processes split off from it cannot use "
            "a GPU. Restart the kernel, and before launch run no cell that moves a tensor to a GPU, calls pick_device() or "
            "torch.cuda.is_available(); make model and device inside of the function")
    from accelerate import notebook_launcher

    with socket.socket() as probe, tempfile.TemporaryDirectory(prefix="dlnotes-launch-") as folder:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        try:
            notebook_launcher(_reporting(function, Path(folder)), args, num_processes=processes, use_port=port)
        except Exception as error:
            said = sorted(Path(folder).glob("*.error"), key=lambda path: path.stat().st_mtime)
            if not said:
                raise
            raise RuntimeError(f"launch: process {said[0].stem} of {processes} failed:\n{said[0].read_text()}") from error
        return pickle.loads((Path(folder) / "0.result").read_bytes())


def _reporting(function: Callable, folder: Path) -> Callable:
    """The function, for one of the processes: what it returns or raises is left in a folder."""
    def worker(*args: Any) -> None:
        rank = os.environ.get("RANK", "0")
        try:
            result = function(*args)
            if rank == "0":
                (folder / "0.result").write_bytes(pickle.dumps(result))
        except BaseException:
            (folder / f"{rank}.error").write_text(traceback.format_exc(), encoding="utf-8")
            raise

    return worker


def _cuda_is_touched() -> bool:
    """Whether a process split off from this one would be refused by CUDA: split one off and ask."""
    import torch

    if torch.cuda.is_initialized():
        return True
    child = os.fork()
    if child == 0:
        os._exit(int(torch.cuda._is_in_bad_fork()))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
