"""Platforms are recognised by their variables; staging, run folders and arguments behave as each of them needs."""

import argparse
import errno
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from dlnotes import platforms
from dlnotes.platforms import PLATFORMS, detect, launch, parse_arguments, run_folder, stage


@pytest.mark.parametrize(("variables", "name"), [
    ({"COLAB_RELEASE_TAG": "release-colab_20260101"}, "colab"), ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, "kaggle"),
    ({"AutoDLContainerUUID": "1"}, "autodl"), ({"BINDER_SERVICE_HOST": "10.0.0.1"}, "binder"), ({"JUPYTERHUB_USER": "me"}, "jupyterhub"),
    ({"PATH": "/usr/bin"}, "local")])
def test_a_platform_is_known_by_its_variables(variables, name, tmp_path):
    found = detect(variables, root=tmp_path)
    assert found.name == name and found.survives == PLATFORMS[name][-1] and found.work.is_absolute()


def test_a_place_that_is_not_mounted_does_not_count_as_persistent(tmp_path):
    colab = {"COLAB_RELEASE_TAG": "x"}
    assert detect(colab, root=tmp_path).persistent is None
    assert "nothing here outlives the session" in str(detect(colab, root=tmp_path))
    (tmp_path / "content/drive/MyDrive").mkdir(parents=True)
    assert detect(colab, root=tmp_path).persistent == tmp_path / "content/drive/MyDrive"
    assert run_folder("unet-1", detect(colab, root=tmp_path)) == tmp_path / "content/drive/MyDrive/runs/unet-1"


def test_kaggle_reads_from_input_and_keeps_working(tmp_path):
    (tmp_path / "kaggle/working").mkdir(parents=True)
    kaggle = detect({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, root=tmp_path)
    assert kaggle.read_only == (tmp_path / "kaggle/input",) and kaggle.session_seconds == 12 * 3600
    assert run_folder("a", kaggle).is_dir()
    assert "Files only" in kaggle.survives and "Variables and Files" in kaggle.survives


@pytest.mark.parametrize(("hours", "left"), [(1, 11 * 3600 - 600), (11.9, 1), (13, 1)])
def test_time_is_counted_from_the_start_of_the_machine(tmp_path, hours, left):
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/stat").write_text(f"cpu 1 2\nbtime {int(time.time() - 50 * 3600)}\n")
    ticks = int((50 - hours) * 3600 * os.sysconf("SC_CLK_TCK"))
    (tmp_path / "proc/1/stat").write_text(f"1 (a (strange) name) S {' '.join(['0'] * 18)} {ticks} 0 0\n")
    assert detect({"COLAB_RELEASE_TAG": "x"}, root=tmp_path).time_left() == pytest.approx(left, abs=5)


def test_where_nothing_tells_the_age_the_session_counts_as_new_and_home_has_no_limit(tmp_path):
    colab = detect({"COLAB_RELEASE_TAG": "x"}, root=tmp_path)
    assert colab.started is None and colab.time_left(reserve=0) == 12 * 3600
    assert detect({}, root=tmp_path).time_left() is None
    for wrong in (-1, "600", True, float("nan")):
        with pytest.raises(ValueError, match="expected reserve as seconds from 0 up"):
            colab.time_left(wrong)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
def test_a_run_has_a_plain_name(name, tmp_path):
    with pytest.raises(ValueError, match="expected a name of letters"):
        run_folder(name, detect({}, root=tmp_path))


# ---------------------------------------------------------------- staging

def folder(path, files):
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_staging_copies_once_and_takes_up_what_was_cut_off(tmp_path, monkeypatch):
    source = folder(tmp_path / "input", {"a.txt": "one", "图/b.txt": "two", "c.txt": "three"})
    for path in source.rglob("*.txt"):
        path.chmod(0o444)
    target, copied, real = tmp_path / "work", [], shutil.copyfile

    def copyfile(a, b):
        if len(copied) == 2:
            copied.append(a)
            raise OSError(errno.EIO, "the network drive went away")
        copied.append(a)
        return real(a, b)

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(OSError, match="network drive"):
        stage(source, target)
    assert stage(source, target) == target and len(copied) == 4
    stage(source, target)
    assert len(copied) == 4
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()) == ["a.txt", "c.txt", "图/b.txt"]
    assert (target / "图/b.txt").read_text() == "two" and os.access(target / "a.txt", os.W_OK)


def test_a_changed_file_is_copied_again_and_others_are_left_alone(tmp_path):
    source, target = folder(tmp_path / "s", {"a.txt": "one"}), folder(tmp_path / "t", {"mine.txt": "mine"})
    stage(source, target)
    (source / "a.txt").write_text("other")
    stage(source, target)
    assert (target / "a.txt").read_text() == "other" and (target / "mine.txt").read_text() == "mine"
    assert stage(source / "a.txt", tmp_path / "single.txt").read_text() == "other"


def test_what_cannot_be_staged_is_said_before_anything_is_copied(tmp_path, monkeypatch):
    source = folder(tmp_path / "pets", {"a.txt": "one"})
    with pytest.raises(FileNotFoundError, match="got .*pest, which is not there; beside it are pets"):
        stage(tmp_path / "pest", tmp_path / "t")
    for inside in (source, source / "sub", tmp_path):
        with pytest.raises(ValueError, match="expected two separate folders"):
            stage(source, inside)
    monkeypatch.setattr(platforms.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(OSError, match="free space"):
        stage(source, tmp_path / "t")
    assert not (tmp_path / "t").exists()


# ---------------------------------------------------------------- several GPUs

NOTEBOOK = """
import os, torch
from dlnotes import platforms
from dlnotes.training import fit

def train(epochs):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    result = fit(torch.nn.Linear(3, 1), data, loss=torch.nn.functional.mse_loss, epochs=epochs, progress=False)
    return torch.distributed.get_world_size(), result.updates, os.environ["RANK"]

def fail():
    if os.environ["RANK"] == "1":
        raise KeyError("a column that is not there")

print(platforms.launch(train, 2, processes=2))
try:
    platforms.launch(fail, processes=2)
except RuntimeError as error:
    print(error)
"""


def test_two_processes_train_together_and_hand_back_the_result_or_the_error():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "DLNOTES_DEVICE": "cpu", "GLOO_SOCKET_IFNAME": "lo"})
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "(2, 4, '0')" in said
    assert "launch: process 1 of 2 failed:" in said and said[-2].startswith("KeyError: 'a column that is not there'")


def test_on_one_device_the_function_simply_runs_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert launch(lambda a, b: (a + b, os.getpid()), 1, 2) == (3, os.getpid())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert launch(os.getpid) == os.getpid()


@pytest.mark.parametrize(("initialised", "forked"), [(True, False), (False, True)])
def test_a_notebook_that_has_touched_cuda_is_told_before_anything_is_started(monkeypatch, initialised, forked):
    """``pick_device()`` and ``is_available()`` are enough: CUDA then refuses in every process that is split off."""
    monkeypatch.delenv("DLNOTES_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: forked)
    monkeypatch.setattr("accelerate.notebook_launcher", lambda *_, **__: pytest.fail("started"))
    with pytest.raises(RuntimeError, match="expected a notebook that has not touched CUDA yet.*Restart the kernel"):
        launch(os.getpid)


def test_as_many_processes_as_there_are_gpus(monkeypatch):
    asked = {}

    def launcher(worker, arguments, **options):
        asked.update(options)
        monkeypatch.setenv("RANK", "0")
        worker(*arguments)

    monkeypatch.delenv("DLNOTES_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    monkeypatch.setattr("accelerate.notebook_launcher", launcher)
    assert launch(divmod, 7, 2) == (3, 1) and asked["num_processes"] == 2 and int(asked["use_port"]) > 0
    with pytest.raises(ValueError, match="expected processes from 1 to 2, got 3; None takes all GPUs"):
        launch(divmod, 7, 2, processes=3)
    for wrong in (0, True, "2"):
        with pytest.raises(ValueError, match="expected processes from 1 to 2"):
            launch(divmod, 7, 2, processes=wrong)
    with pytest.raises(TypeError, match=r"got tuple; launch\(train, 50\), not launch\(train\(50\)\)"):
        launch((3, 1))


# ---------------------------------------------------------------- arguments

def parser():
    made = argparse.ArgumentParser()
    made.add_argument("--epochs", type=int, default=10)
    made.add_argument("--folder", default="runs")
    made.add_argument("-v", action="store_true")
    return made


@pytest.mark.parametrize("kernel", [["-f", "/root/kernel-1.json"], ["--f=/tmp/k.json"], ["-f", "k.json", "--HistoryManager.hist_file=:memory:"]])
def test_in_a_notebook_the_kernels_arguments_are_dropped(monkeypatch, kernel):
    monkeypatch.setattr(sys, "argv", ["/usr/lib/ipykernel_launcher.py", *kernel])
    assert parse_arguments(parser()) == argparse.Namespace(epochs=10, folder="runs", v=False)


def test_in_a_script_everything_counts(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--epochs", "3", "-v"])
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert parse_arguments(parser()) == argparse.Namespace(epochs=3, folder="runs", v=True)


@pytest.mark.parametrize(("argv", "words"), [(["--epoch_s", "50"], "got --epoch_s 50; did you mean --epochs"), (["--foldr=x"], "did you mean --folder"),
                                             (["what"], "got what")])
def test_a_misspelt_option_is_an_error_that_names_the_nearest(argv, words):
    with pytest.raises(ValueError, match=words):
        parse_arguments(parser(), argv)
    assert parser().parse_known_args(argv)[0].epochs == 10                          # what it would have trained with
