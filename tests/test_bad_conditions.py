"""What readers' machines do to a course: no internet, proxies, a home that cannot be written, two kernels at once, damaged files.

Each test makes the condition for real (another process, a server, a kill) and says what is expected to happen. More of them
stand where the thing itself is tested: downloads in ``test_named.py``, checkpoints in ``test_resume.py``, weights in
``test_pretrained.py``, decoded pictures in ``test_data_folders.py``, widgets and browsers in ``browser/``.
"""

import json
import multiprocessing
import os
import pkgutil
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conditions import bound_by_modes, home, proxy, read_only, snapshot
from torch import nn
from torch.utils.data import TensorDataset

from dlnotes import exercises
from dlnotes.checkpoints import load_weights
from dlnotes.data import NAMED, load_named
from dlnotes.data.download import NoAnswer, download, file_sum
from dlnotes.device import pick_device
from dlnotes.exercises import check, checkers
from dlnotes.platforms import stage
from dlnotes.training import FolderInUse, fit, list_checkpoints, read_log

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and modes of files are POSIX")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("DLNOTES_PROGRESS", "0")
    monkeypatch.delenv("DLNOTES_DEVICE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def points(n: int = 24) -> TensorDataset:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    return TensorDataset(x, (x.sum(1) > 0).long())


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def go(folder=None, loss=F.cross_entropy, **changes):
    settings = {"epochs": 2, "batch_size": 8, "lr": 0.01, "log": "csv", "device": "cpu"} | changes
    return fit(network(), points(), loss=loss, folder=folder, **settings)


# ---------------------------------------------------------------- no internet

def test_without_internet_every_set_says_what_to_do_and_nothing_half_written_stays(tmp_path, monkeypatch):
    def unplugged(*arguments, **options):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", unplugged)
    for name, known in NAMED.items():
        with pytest.raises(FileNotFoundError, match="load_named: expected .*, found no file") as caught:
            load_named(name, tmp_path, progress=False)
        assert str(tmp_path / name) in str(caught.value)
        assert "put it there" in str(caught.value) or known.page in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


UNPLUGGED = """
import socket, sys
def unplugged(*arguments, **options):
    raise socket.gaierror(-3, "Temporary failure in name resolution")
socket.create_connection = socket.getaddrinfo = socket.socket.connect = unplugged
"""

EVERYTHING = """
import io, json, sys
from pathlib import Path
import torch
import dlnotes
for name in dlnotes.__all__:
    getattr(dlnotes, name)
import matplotlib
matplotlib.use("Agg")
from dlnotes import plots
from dlnotes.digits import DigitsOnTextures
from dlnotes.models.pretrained import list_pretrained, load_pretrained
from dlnotes.training import fit
from dlnotes.widgets import WaveBuilder
images, labels, masks = DigitsOnTextures("held-out").batch(range(2))
with plots.style():
    plots.images([images[0, 0]])
    matplotlib.pyplot.savefig(io.BytesIO())
for name in list_pretrained():
    load_pretrained(name)
out = Path(sys.argv[1])
WaveBuilder().to_html(out / "waves.html")
line = torch.nn.Linear(4, 2)
data = torch.utils.data.TensorDataset(torch.ones(8, 4), torch.ones(8, dtype=torch.long))
fit(line, data, loss=torch.nn.functional.cross_entropy, epochs=1, folder=out / "run", device="cpu", progress=False)
try:
    fit(line, data, loss=torch.nn.functional.cross_entropy, epochs=1, folder="run", device="cpu", progress=False)
except OSError as error:
    assert str(error) == ("[Errno 13] fit: expected to write run.lock in run, got Permission denied; set this right, then call fit again: "
                          "training goes on from the last whole checkpoint"), error
else:
    raise AssertionError("here is no place to write")
print(json.dumps({"written": sorted(path.name for path in out.iterdir()), "sum": round(float(images.sum()), 2)}))
"""


@pytest.fixture(scope="module")
def digits_sum():
    from dlnotes.digits import DigitsOnTextures

    return round(float(DigitsOnTextures("held-out").batch(range(2))[0].sum()), 2)


@posix
def test_offline_and_with_a_home_and_a_folder_that_cannot_be_written_all_that_is_shipped_works(tmp_path, digits_sum):
    """Every package, a figure, the shipped pictures and weights, a widget, a training whose folder can be written; another is refused."""
    closed, out = tmp_path / "closed", tmp_path / "out"
    (closed / "home").mkdir(parents=True), (closed / "here").mkdir(), out.mkdir()
    (closed / "script.py").write_text(UNPLUGGED + EVERYTHING)
    before = snapshot(closed)
    with read_only(closed):
        done = bound_by_modes(closed / "script.py", out, cwd=closed / "here", env=home(closed / "home", DLNOTES_PROGRESS="0"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"written": ["run", "waves.html"], "sum": digits_sum}
    assert snapshot(closed) == before


def test_damaged_caches_of_other_packages_are_passed_over(tmp_path, digits_sum):
    """Pictures of scikit-image that arrived by half, and a list of fonts that was cut off."""
    import skimage
    from matplotlib import font_manager

    for version in (skimage.__version__, "main"):
        place = tmp_path / "pictures" / version / "data"
        place.mkdir(parents=True)
        for name in ("brick", "grass", "gravel"):
            (place / f"{name}.png").write_bytes(b"\x89PNG half")
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / f"fontlist-v{font_manager.FontManager.__version__}.json").write_text('{"_version": "')
    code = ("import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as plt, io; plt.title('x'); plt.savefig(io.BytesIO())\n"
            "from dlnotes.digits import DigitsOnTextures; print(round(float(DigitsOnTextures('held-out').batch(range(2))[0].sum()), 2))")
    bent = {"SKIMAGE_DATADIR": str(tmp_path / "pictures"), "MPLCONFIGDIR": str(tmp_path / "fonts")}
    done = subprocess.run([sys.executable, "-c", UNPLUGGED + code], capture_output=True, text=True, env=os.environ | bent)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == digits_sum


# ---------------------------------------------------------------- a proxy

def test_a_proxy_that_was_set_in_the_notebook_is_used(tmp_path, monkeypatch):
    """Also when there was a download before it was set; the address outside does not exist."""
    with pytest.raises(NoAnswer):
        download(["http://127.0.0.1:9/data"], tmp_path / "before", "sha256:0")
    with proxy(b"a data set") as server:
        monkeypatch.setenv("http_proxy", f"http://me:hunter2@{server.place}")
        (tmp_path / "expected").write_bytes(b"a data set")
        path = download(["http://data.invalid/set.zip"], tmp_path / "set.zip", file_sum(tmp_path / "expected"))
        assert server.asked == [("http://data.invalid/set.zip", "Basic bWU6aHVudGVyMg==")]
    assert path.read_bytes() == b"a data set"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "set.zip"]


def test_a_proxy_that_refuses_is_named_without_its_password(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://me:hunter2@127.0.0.1:{port}")
    with pytest.raises(FileNotFoundError, match=rf"through the proxy 127\.0\.0\.1:{port} \(https_proxy\): .*refused") as caught:
        load_named("kvasir_seg", tmp_path, progress=False)
    assert "hunter2" not in str(caught.value)
    with proxy(status=403) as server:
        monkeypatch.setenv("https_proxy", f"http://{server.place}")
        with pytest.raises(FileNotFoundError, match=rf"through the proxy {server.place} \(https_proxy\): .*403"):
            load_named("kvasir_seg", tmp_path, progress=False)


# ---------------------------------------------------------------- no CUDA

def test_a_gpu_that_is_not_there_is_refused_in_words_and_the_default_is_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for call in (lambda: pick_device("cuda"), lambda: go(device="cuda")):
        with pytest.raises(ValueError, match=r"torch sees 0\), got 'cuda'; call pick_device\(\) to take what there is"):
            call()
    assert pick_device() == torch.device("cpu")
    with pytest.raises(ValueError, match="expected a CUDA device for precision='fp16', got the CPU; use precision='bf16' or 'no' here"):
        go(device="cpu", precision="fp16")


def test_weights_that_were_saved_on_a_gpu_load_on_the_cpu(tmp_path, monkeypatch):
    model, expected = network(), network().state_dict()
    with monkeypatch.context() as patch:                                    # write the file as a machine with CUDA does
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:1")
        torch.save({"state_dict": expected}, tmp_path / "gpu.pt")
    if not torch.cuda.is_available():
        with pytest.raises(Exception, match="on a CUDA device"):            # what plain torch.load says; its kind differs by version
            torch.load(tmp_path / "gpu.pt", weights_only=True)
    with torch.no_grad():
        [p.zero_() for p in model.parameters()]
    load_weights(model, tmp_path / "gpu.pt")
    for name, x in model.state_dict().items():
        assert x.device.type == "cpu" and torch.equal(x, expected[name])


# ---------------------------------------------------------------- a notebook run out of order

def test_exercises_can_be_checked_in_any_order_and_leave_the_notebook_as_it_was():
    """All of them, backwards, as stubs and with wrong answers: no error, and no generator moves, so later cells print the same."""
    chapters = [module.name for module in pkgutil.iter_modules(exercises.__path__)]
    names = [name for chapter in chapters for name in checkers(chapter)]
    assert len(names) > 100
    for name in reversed(names):
        before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
        assert str(check(name, ...)) == "Not yet. Replace the ... with your answer, then run the cell again."
        assert not check(name, lambda *args, **kwargs: None).passed
        assert not check(name, 3.25).passed
        assert (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()) == before, name
        assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


def test_a_training_does_not_depend_on_what_ran_before_it_in_the_kernel(tmp_path):
    alone = go()
    go(tmp_path / "other", precision="bf16", accumulate=2, ema=0.9, schedule="cosine", seed=5)
    torch.rand(7), random.random(), np.random.rand()
    again = go()
    assert again.history == alone.history
    assert all(torch.equal(again.best_weights[name], x) for name, x in alone.best_weights.items())


def test_a_cell_that_was_interrupted_can_be_run_again(tmp_path):
    calls = [0]

    def stop(output, target):
        calls[0] += 1
        if calls[0] == 5:
            raise KeyboardInterrupt
        return F.cross_entropy(output, target)

    def loss(output, target):
        return F.cross_entropy(output, target)

    stop.__qualname__ = loss.__qualname__                                   # the same run, as far as the configuration tells
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", loss=stop)
    assert go(tmp_path / "run", loss=loss).finished
    assert go(tmp_path / "run", loss=loss, resume="must").history == read_log(tmp_path / "run")


# ---------------------------------------------------------------- two kernels at once

HOLDER = """
import os, sys, time
sys.path.insert(0, {tests!r})
import test_bad_conditions as t
calls = [0]
def loss(output, target):
    calls[0] += 1
    if calls[0] == 5:
        print("busy", flush=True)
        time.sleep(600)
    return t.F.cross_entropy(output, target)
loss.__qualname__, loss.__module__ = "cross_entropy", t.F.cross_entropy.__module__
t.go(sys.argv[1], loss=loss, checkpoint_every=1, num_workers=1)
"""


@posix
def test_two_kernels_cannot_train_in_one_folder_and_a_dead_one_does_not_block(tmp_path):
    settings = {"checkpoint_every": 1, "num_workers": 1}
    code = HOLDER.format(tests=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "busy\n"
            before = snapshot(tmp_path / "run")
            with pytest.raises(FolderInUse, match=rf"fit: expected a folder in which nobody else trains, got .*run, in use by process "
                                                  rf"{other.pid} \(-c\) on .*, since 20.*; wait for it or stop it"):
                go(tmp_path / "run", **settings)
            assert snapshot(tmp_path / "run") == before                     # and the other run goes on undisturbed
            assert go(tmp_path / "another", **settings).finished            # another folder is another matter
        finally:
            other.send_signal(signal.SIGKILL)                               # its reading process may live on for a while
    assert (tmp_path / "run" / "run.lock").exists()
    assert go(tmp_path / "run", **settings).history == go(tmp_path / "alone", **settings).history
    assert not (tmp_path / "run" / "run.lock").exists()


def test_a_call_inside_a_call_cannot_take_the_same_folder(tmp_path):
    def pictures(model):
        with pytest.raises(FolderInUse, match=rf"in use by another call in this process \({os.getpid()}\)"):
            go(tmp_path / "run", pictures=pictures)
        return {}

    assert go(tmp_path / "run", pictures=pictures).finished


def test_a_folder_that_another_machine_used_a_moment_ago_is_taken_with_a_warning(tmp_path):
    """It may be the session that was lost, or a second one that runs: nobody here can know."""
    go(tmp_path / "run")
    (tmp_path / "run" / "run.lock").write_text('{"pid": 7, "host": "colab-7", "since": "2026-01-01 10:00:00"}')
    with pytest.warns(RuntimeWarning, match="was in use a few minutes ago by process 7 on colab-7, .* stop one of the two"):
        go(tmp_path / "run", epochs=3)


class Slow(BaseHTTPRequestHandler):
    """Sends a file in pieces, with pauses, so that two kernels meet."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        for start in range(0, len(self.server.content), 20_000):
            self.wfile.write(self.server.content[start:start + 20_000])
            self.wfile.flush()
            time.sleep(0.03)

    def log_message(self, *arguments):
        pass


def together(function, arguments: tuple, processes: int = 3) -> list:
    """What several processes get that call the same at the same moment."""
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    gate, answers = context.Barrier(processes), context.SimpleQueue()
    started = [context.Process(target=_one, args=(gate, answers, function, arguments)) for _ in range(processes)]
    [process.start() for process in started]
    got = [answers.get() for _ in started]
    [process.join() for process in started]
    return got


def _one(gate, answers, function, arguments):
    gate.wait()
    try:
        answers.put(function(*arguments))
    except BaseException as error:
        answers.put(repr(error))


def test_two_kernels_that_want_the_same_file_fetch_it_once(tmp_path):
    content = np.random.default_rng(0).bytes(200_000)
    (tmp_path / "expected").write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.content, server.asked = content, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/data"
        got = together(_fetch, (url, tmp_path / "set" / "data", file_sum(tmp_path / "expected")))
        server.shutdown()
    assert got == [content[:100]] * 3 and server.asked == ["/data"]
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["data"]


def _fetch(url, path, checksum):
    return download([url], path, checksum).read_bytes()[:100]


def test_two_kernels_that_unpack_the_same_set_both_read_it(tmp_path):
    import io
    import zipfile

    from PIL import Image

    folder = tmp_path / "sets" / "kvasir_seg"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "kvasir-seg.zip", "w") as archive:
        for i in range(30):
            for kind in ("images", "masks"):
                stream = io.BytesIO()
                Image.fromarray(np.full((16, 16, 3), 8 * i, np.uint8)).save(stream, "JPEG")
                archive.writestr(f"Kvasir-SEG/{kind}/{i:02}.jpg", stream.getvalue())
    got = together(_count, (tmp_path / "sets", file_sum(folder / "kvasir-seg.zip")))
    assert got == [24] * 3
    assert sorted(path.name for path in folder.iterdir()) == ["Kvasir-SEG", "kvasir-seg.zip"]


def _count(folder, checksum):
    return len(load_named("kvasir_seg", folder, progress=False, checksums={"kvasir-seg.zip": checksum}))


def test_two_kernels_that_stage_the_same_data_end_with_whole_files(tmp_path):
    for i in range(20):
        (tmp_path / "input").mkdir(exist_ok=True)
        (tmp_path / "input" / f"{i}.bin").write_bytes(bytes([i]) * 300_000)
    got = together(_staged, (tmp_path / "input", tmp_path / "work"))
    assert got == [[300_000] * 20] * 3
    assert len(list((tmp_path / "work").iterdir())) == 20


def _staged(source, target):
    return [path.stat().st_size for path in sorted(stage(source, target).iterdir()) if path.suffix == ".bin"]


# ---------------------------------------------------------------- damage

@pytest.mark.parametrize("how", ["gone", "cut"])
@pytest.mark.parametrize("checkpoint_every, warns", [(None, False), (1, True)])
def test_a_damaged_file_of_best_weights_does_not_stop_a_run(tmp_path, recwarn, how, checkpoint_every, warns):
    """At the end of the best epoch the checkpoint has the same weights; in the middle of the next, they are lost, and it is said."""
    calls = [0]

    def loss(output, target):
        calls[0] += torch.is_grad_enabled()
        if calls[0] == 6:
            raise KeyboardInterrupt
        return F.cross_entropy(output, target)

    whole = go()
    loss.__qualname__, loss.__module__ = "cross_entropy", F.cross_entropy.__module__
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", loss=loss, checkpoint_every=checkpoint_every)
    best = tmp_path / "run" / "best.safetensors"
    best.unlink() if how == "gone" else os.truncate(best, 40)
    result = go(tmp_path / "run", checkpoint_every=checkpoint_every)
    said = [str(w.message) for w in recwarn if "expected the weights of epoch 1 in" in str(w.message)]
    assert bool(said) == warns and result.history == whole.history
    assert len(list_checkpoints(tmp_path / "run")) == 2


# ---------------------------------------------------------------- a session that is lost

SESSION = """
import os, sys
sys.path.insert(0, {tests!r})
import test_bad_conditions as t
from dlnotes import platforms
here = platforms.detect(root={root!r})
assert here.name == "kaggle", here
result = t.go(platforms.run_folder("unet-1", here), epochs=3, checkpoint_every=1, time_limit=here.time_left(),
              loss=t.slow if len(sys.argv) > 1 else t.F.cross_entropy)
print(here.persistent, result.finished, result.updates, flush=True)
"""


def slow(output, target):
    print("update", flush=True)
    time.sleep(0.05)
    return F.cross_entropy(output, target)


slow.__qualname__, slow.__module__ = "cross_entropy", F.cross_entropy.__module__


@posix
def test_on_kaggle_a_lost_session_goes_on_with_the_same_call(tmp_path):
    """Two sessions of an imitated Kaggle; the first is killed in the middle, the second ends as one that was never cut."""
    (tmp_path / "kaggle/working").mkdir(parents=True)
    code = SESSION.format(tests=str(Path(__file__).parent), root=str(tmp_path))
    variables = os.environ | {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
    with subprocess.Popen([sys.executable, "-c", code, "slowly"], stdout=subprocess.PIPE, text=True, env=variables) as first:
        [first.stdout.readline() for _ in range(5)]
        first.send_signal(signal.SIGKILL)
    run = tmp_path / "kaggle/working/runs/unet-1"
    stood = int(list_checkpoints(run)[-1].name)
    assert 1 <= stood < 9
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
    assert done.stdout.split() == [str(tmp_path / "kaggle/working"), "True", "9"], done.stderr
    assert read_log(run) == go(tmp_path / "alone", epochs=3, checkpoint_every=1).history
