"""The doctor finds what is broken, names the cure, changes nothing, tells no secret: environments are broken here on purpose."""

import json
import os
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conditions import bound_by_modes, home, proxy, read_only, snapshot

from dlnotes.doctor import Finding, Report, diagnose, machine, network, packages, report, torch_build

GIB = 2**30


def only(findings, topic=None):
    found = [finding for finding in findings if topic in (None, finding.topic)]
    assert len(found) == 1, found
    return found[0]


def script(path, first_line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(first_line + "\n")
    path.chmod(0o755)
    return path


# ---------------------------------------------------------------- the report

def test_findings_come_worst_first_and_carry_cures():
    made = Report([Finding("good", "a", "fine"), Finding("error", "b", "bad", "mend it"), Finding("note", "c", "hm")])
    assert [f.severity for f in made] == ["error", "note", "good"]
    assert str(made).startswith("error    b: bad\n         cure: mend it\n") and str(made).endswith("1 error, 0 warning, 1 note, 1 good")
    assert json.loads(made.json())[0] == {"severity": "error", "topic": "b", "text": "bad", "cure": "mend it"}
    assert "<code>mend it</code>" in made._repr_html_()
    with pytest.raises(ValueError, match="expected a cure"):
        Finding("error", "x", "no idea")


def test_here_nothing_is_broken_nothing_changes_and_no_secret_is_told(monkeypatch, tmp_path):
    secret = "hunter2-in-a-proxy"
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{secret}@proxy.example:3128")
    monkeypatch.setenv("KAGGLE_KEY", secret)
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ), list(sys.path)
    found = diagnose()
    assert found.errors == []
    assert (dict(os.environ), list(sys.path)) == before and not list(tmp_path.iterdir())
    for text in (str(found), found.json(), found._repr_html_()):
        assert secret not in text
    assert {"interpreter", "torch", "cpu", "disk", "platform", "clock"} <= {f.topic for f in found}


def test_secrets_are_masked_wherever_they_stand(monkeypatch):
    def careless():
        raise OSError("cannot reach https://me:hunter2pass@mirror.example/simple with token hf_abcdefgh")
        yield

    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    monkeypatch.setenv("HARMLESS", "simple")
    monkeypatch.setattr(report, "checks", lambda: [careless])
    said = only(diagnose()).text
    assert "https://***@mirror.example/simple with token ***" in said and "hunter2pass" not in said
    made = Report([Finding("error", "x", "y", "pip install --index-url https://u:p4ssw0rd@h/ z")])
    assert made[0].cure == "pip install --index-url https://***@h/ z"


def test_the_notebook_report_folds_what_is_good_and_shows_text_as_text():
    made = Report([Finding("good", "a", "fine"), Finding("warning", "b", "<script>alert(1)</script> in `x<y`", 'say "no" & go')])
    page = made._repr_html_()
    first, folded = page.split("<details>")
    assert "1 warning." in first and "fine" in folded and "fine" not in first and "<summary>1 good</summary>" in folded
    assert "&lt;script&gt;" in first and "<script" not in page and "<code>x&lt;y</code>" in first
    assert "<b class='warning'>warning</b>" in first and "<code>say &quot;no&quot; &amp; go</code>" in first
    assert "Nothing to mend." in Report([Finding("good", "a", "fine")])._repr_html_() and made.__repr__() == str(made)


def test_nothing_is_written_and_a_home_that_cannot_be_written_is_no_hindrance(tmp_path):
    """The whole tree of home and working folder, before and after; then once more where nothing can be written at all."""
    mine, here = tmp_path / "home", tmp_path / "here"
    mine.mkdir(), here.mkdir()
    (here / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    done = subprocess.run([sys.executable, "-m", "dlnotes.doctor", "--json"], capture_output=True, text=True, cwd=here, env=home(mine))
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path) == before
    with read_only(tmp_path):
        done = bound_by_modes("-m", "dlnotes.doctor", "--json", cwd=here, env=home(mine))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert any(f["topic"] == "torch" for f in found)
    assert [f["text"] for f in found if "could not be looked at" in f["text"]] == []
    assert {(f["severity"], f["text"]) for f in found} >= {("warning", f"{here} cannot be written"), ("note", f"{mine} cannot be written")}


def test_the_command_speaks_json_and_its_status_tells(monkeypatch, capsys):
    from dlnotes.doctor import __main__ as command

    monkeypatch.setattr(command, "diagnose", lambda: Report([Finding("error", "b", "bad", "mend it")]))
    assert command.main(["--json"]) == 1 and json.loads(capsys.readouterr().out)[0]["cure"] == "mend it"
    monkeypatch.setattr(command, "diagnose", lambda: Report([Finding("good", "b", "fine")]))
    assert command.main([]) == 0 and "fine" in capsys.readouterr().out
    assert command.main(["--fix"]) == 2 and "expected nothing or --json, got --fix" in capsys.readouterr().err


def test_dlnotes_doctor_is_the_same_command(monkeypatch, capsys):
    from dlnotes import __main__ as entry
    from dlnotes.doctor import __main__ as command

    monkeypatch.setattr(command, "diagnose", lambda: Report([Finding("note", "b", "hm")]))
    assert entry.main(["doctor"]) == 0 and "hm" in capsys.readouterr().out
    assert entry.main(["docter"]) == 2 and "expected `dlnotes doctor`" in capsys.readouterr().err


def test_a_check_that_fails_becomes_a_note_and_the_others_go_on(monkeypatch):
    def broken():
        raise KeyError("MemAvailable")
        yield

    monkeypatch.setattr(report, "checks", lambda: [broken, packages.interpreter])
    found = diagnose()
    assert "could not be looked at: KeyError" in only(found, "broken").text and only(found, "interpreter")


# ---------------------------------------------------------------- interpreter and packages

def test_conda_base_and_an_old_python_are_named(monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "base")
    assert only(packages.interpreter()).severity == "warning"
    monkeypatch.setattr(sys, "version_info", (3, 8, 10))
    assert "3.10 or newer is needed" in only(packages.interpreter()).text


def test_a_pip_of_another_interpreter_is_found_in_the_order_of_the_path(monkeypatch, tmp_path):
    other, own = tmp_path / "usr/bin", tmp_path / "own/bin"
    script(other / "python", "#!/bin/sh")
    script(other / "pip", f"#!{other}/python")
    own.mkdir(parents=True)
    (own / "python").symlink_to(sys.executable)
    script(own / "pip", f"#!{own}/python")
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", f"{own}{os.pathsep}{other}")
    assert [f.severity for f in packages.commands()] == ["good", "good"]
    monkeypatch.setenv("PATH", f"{other}{os.pathsep}{own}")
    found = only(packages.commands(), "pip")
    assert found.severity == "warning" and found.cure == f"{own}/python -m pip install ..."
    assert f"{other}/pip, {own}/pip" in found.text
    script(other / "pip", "#!/usr/bin/env bash")
    assert "a launcher" in only(packages.commands(), "pip").text
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [f.severity for f in packages.commands()] == ["note", "note"]


def test_a_real_environment_first_on_the_path_says_itself_where_it_lies(monkeypatch, tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    folder = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    found = only(packages.commands(), "python")
    assert found.severity == "warning" and f"belongs to {tmp_path / 'env'}, but {sys.executable} runs" in found.text
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert [f.severity for f in packages.commands() if f.topic == "python"] == ["good"]


def test_a_launcher_is_asked_which_packages_it_fills(monkeypatch, tmp_path):
    script(tmp_path / "bin/pip", "#!/bin/sh\necho 'pip 24.0 from /opt/old/lib/python3.9/site-packages/pip (python 3.9)'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin")
    found = only(packages.commands(), "pip")
    assert found.severity == "warning" and "belongs to /opt/old/lib/python3.9/site-packages, but" in found.text
    mine = __import__("sysconfig").get_paths()["purelib"]
    script(tmp_path / "bin/pip", f"#!/bin/sh\necho 'pip 24.0 from {mine}/pip (python 3.11)'")
    assert only(packages.commands(), "pip").severity == "good"


def test_a_jupyter_of_another_environment_is_noted(monkeypatch, tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    script(tmp_path / "bin/jupyter", f"#!{tmp_path}/env/bin/python")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = only(packages.commands(), "jupyter")
    assert found.severity == "note" and f"belongs to {tmp_path / 'env'}" in found.text and found.cure.endswith("-m jupyterlab")


def test_packages_of_another_python_on_the_list_of_places(monkeypatch, tmp_path):
    old = tmp_path / "lib/python3.6/site-packages"
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr(sys, "path", [str(old), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(old))
    found = only(packages.paths())
    assert found.severity == "warning" and "(from PYTHONPATH) holds packages of python3.6" in found.text
    assert found.cure.startswith("unset PYTHONPATH")
    monkeypatch.setattr(sys, "path", sys.path[1:])
    assert list(packages.paths()) == []
    monkeypatch.setenv("PYTHONHOME", "/opt/python")
    assert "unset PYTHONHOME" in only(packages.paths()).cure
    monkeypatch.delenv("PYTHONHOME")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert list(packages.paths()) == []
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    assert f"{tmp_path} was activated, but the interpreter of {sys.prefix} runs" in only(packages.paths()).text


def test_a_kernel_that_begins_with_another_program_is_not_started(monkeypatch, tmp_path):
    docker = script(tmp_path / "docker", f"#!/bin/sh\ntouch {tmp_path}/started")
    (tmp_path / "share/kernels/boxed").mkdir(parents=True)
    (tmp_path / "share/kernels/boxed/kernel.json").write_text(json.dumps({"argv": [str(docker), "-m", "ipykernel_launcher"], "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    assert "warning" in {f.severity for f in packages.kernels() if "'boxed'" in f.text} and not (tmp_path / "started").exists()


def test_long_shebangs_are_read(tmp_path):
    path = tmp_path / "pip"
    path.write_bytes(b"#!/bin/sh\n'''exec' /a/very/long/path/bin/python3 \"$0\" \"$@\"\n' '''\n")
    assert packages.pip_interpreter(str(path)) == "/a/very/long/path/bin/python3"


def test_kernels_that_start_nothing_or_something_else(monkeypatch, tmp_path):
    for name, python in (("gone", "/nowhere/bin/python"), ("other", str(script(tmp_path / "bin/python3.9", "#!/bin/sh"))), ("same", sys.executable)):
        folder = tmp_path / "share/kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps({"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                                                        "display_name": name, "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    found = {f.text.split("'")[1]: f for f in packages.kernels()}
    assert (found["gone"].severity, found["other"].severity, found["same"].severity) == ("error", "warning", "good")
    assert "which is not there" in found["gone"].text and "jupyter kernelspec remove gone" in found["gone"].cure


def test_kernels_without_ipykernel_and_with_a_damaged_file(monkeypatch, tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    python = str(tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    bare = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    for name, content in (("bare", json.dumps(bare)), ("torn", '{"argv": [')):
        (tmp_path / "share/kernels" / name).mkdir(parents=True)
        (tmp_path / "share/kernels" / name / "kernel.json").write_text(content)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    found = {f.text.split("'")[1]: f for f in packages.kernels()}
    assert found["bare"].severity == "error" and found["bare"].cure == f"{python} -m pip install ipykernel"
    assert found["torn"].severity == "error" and "cannot be read" in found["torn"].text


@pytest.mark.parametrize("name", ["torch", "random"])
def test_a_file_of_mine_in_front_of_a_package(monkeypatch, tmp_path, name):
    assert not [f for f in packages.shadowed() if f.severity == "error"]
    (tmp_path / f"{name}.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = only(packages.shadowed(), "shadowed")
    assert found.severity == "error" and found.cure.startswith(f"rename {tmp_path / name}.py")
    monkeypatch.setattr(sys, "path", [*sys.path[1:], str(tmp_path)])                # behind, it does no harm
    assert not [f for f in packages.shadowed() if f.severity == "error"]


def test_a_missing_package_is_named_as_pip_calls_it(monkeypatch):
    monkeypatch.setattr(packages, "NEEDED", ("skimage", "torch"))
    real = packages.PathFinder.find_spec
    monkeypatch.setattr(packages, "PathFinder", SimpleNamespace(find_spec=lambda name, path: None if name == "skimage" else real(name, path)))
    found = only(packages.shadowed())
    assert found.severity == "error" and found.cure.endswith("-m pip install scikit-image")


def dist_info(folder, name, version, files=("METADATA", "RECORD")):
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    for file in files:
        (info / file).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" if file == "METADATA" else "")


def test_packages_that_are_there_twice_and_records_that_are_gone(monkeypatch, tmp_path):
    dist_info(tmp_path / "a", "Toy_Wheel", "1.0")
    dist_info(tmp_path / "b", "toy-wheel", "2.0")
    dist_info(tmp_path / "a", "half", "1.0")
    dist_info(tmp_path / "a", "half", "2.0")
    dist_info(tmp_path / "a", "lost", "1.5", files=("METADATA",))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b")])
    twice, cut = sorted(packages.duplicated(), key=lambda f: "records" in f.text)
    assert "toy-wheel is installed twice: 1.0 in" in twice.text and "half has several records" in cut.text
    found = only(packages.records())
    assert "lost 1.5 has no RECORD" in found.text and "--ignore-installed --no-deps lost==1.5" in found.cure


def test_two_packages_that_bring_the_same_module_and_remains_of_a_broken_installation(monkeypatch, tmp_path):
    place = tmp_path / "site-packages"
    dist_info(place, "opencv_python", "4.10.0")
    dist_info(place, "opencv-python-headless", "4.9.0")
    (place / "~orch").mkdir()
    monkeypatch.setattr(sys, "path", [str(place)])
    found = only(packages.duplicated())
    assert "opencv-python and opencv-python-headless are both installed and bring the same module cv2" in found.text
    assert f"{place / '~orch'} was left" in only(packages.records()).text


# ---------------------------------------------------------------- torch

@pytest.mark.parametrize(("driver", "cuda", "visible", "available", "severity", "words"), [
    (None, None, None, False, "good", "CPU only"),
    (("550.1", "12.4"), None, None, False, "error", "the GPU lies idle"),
    (None, "12.4", None, False, "warning", "no NVIDIA driver answers"),
    (("470.1", "11.4"), "12.4", None, False, "error", "driver 470.1 serves CUDA 11.4 at most"),
    (("550.1", "12.4"), "12.4", "", False, "error", "CUDA_VISIBLE_DEVICES hides every GPU"),
    (("550.1", "12.4"), "12.4", None, False, "error", "torch sees no GPU"),
])
def test_build_driver_and_gpu_have_to_fit(monkeypatch, driver, cuda, visible, available, severity, words):
    monkeypatch.setattr(torch_build, "driver", lambda: driver)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = only(torch_build.build(), "torch")
    assert found.severity == severity and words in found.text


def test_the_driver_is_read_from_nvidia_smi(monkeypatch, tmp_path):
    script(tmp_path / "nvidia-smi", "#!/bin/sh\necho '| NVIDIA-SMI 550.54   Driver Version: 550.54.15   CUDA Version: 12.4 |'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")
    assert torch_build.driver() == ("550.54.15", "12.4")
    monkeypatch.setenv("PATH", "")
    assert torch_build.driver() is None


@pytest.mark.parametrize(("says", "cure"), [
    ("Failed to initialize NVML: Driver/library version mismatch", "restart the machine"),
    ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver", "install the driver again")])
def test_a_driver_that_is_there_and_does_not_answer(monkeypatch, tmp_path, says, cure):
    script(tmp_path / "nvidia-smi", f'#!/bin/sh\necho "{says}"; exit 9')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")
    found = only(torch_build.build(), "torch")
    assert found.severity == "warning" and says in found.text and cure in found.cure


def test_libraries_of_cuda_in_front_of_those_of_torch(monkeypatch, tmp_path):
    (tmp_path / "libcudnn.so.8").touch()
    monkeypatch.setattr(torch_build, "driver", lambda: ("550.1", "12.4"))
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere{os.pathsep}{tmp_path}")
    found = [f for f in torch_build.build() if "LD_LIBRARY_PATH" in f.text]
    assert f"{tmp_path}/libcudnn.so.8" in only(found).text


def test_where_there_is_a_gpu_another_process_touches_it(monkeypatch, tmp_path):
    """So that the doctor keeps no memory of it, and the notebook can still be split for several."""
    script(tmp_path / "nvidia-smi", "#!/bin/sh\necho '| Driver Version: 550.54.15   CUDA Version: 12.4 |'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")
    monkeypatch.setattr(torch_build, "devices", lambda: pytest.fail("computed here"))
    found = list(torch_build.torch_and_devices())
    assert only(found, "cpu").severity == "good" and only(found, "torch").severity in ("error", "good")
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "python", "#!/bin/sh\nkill -SEGV $$")))
    found = only(torch_build.torch_and_devices())
    assert found.severity == "error" and "was ended by signal 11" in found.text
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)                 # then it may as well look here
    with pytest.raises(pytest.fail.Exception, match="computed here"):
        list(torch_build.torch_and_devices())


@pytest.mark.parametrize(("capability", "built"), [((6, 1), ["sm_75", "sm_90"]), ((8, 9), ["sm_75", "sm_90"]), ((12, 0), ["sm_80", "sm_90"])])
def test_a_gpu_that_the_build_does_not_serve(monkeypatch, capability, built):
    monkeypatch.setattr(torch_build, "driver", lambda: ("550.1", "12.8"))
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    for name, value in {"is_available": True, "device_count": 1, "get_device_capability": capability, "get_device_name": "GTX 1080",
                        "get_arch_list": built}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    found = only(torch_build.build(), "GPU")
    assert found.severity == "error" and f"capability {capability[0]}.{capability[1]}" in found.text
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: [*built, "compute_50"])
    assert not [f for f in torch_build.build() if f.topic == "GPU"]


@pytest.mark.parametrize(("torch_version", "vision", "severity"), [("2.13.0+cpu", "0.28.0+cpu", None), ("2.13.0", "0.19.0", "warning"),
                                                                   ("2.13.0+cpu", "0.28.0+cu130", "note")])
def test_torchvision_beside_torch(monkeypatch, torch_version, vision, severity):
    monkeypatch.setattr("importlib.metadata.version", lambda name: vision)
    assert [f.severity for f in torch_build.torchvision_beside(torch_version)] == ([severity] if severity else [])


def test_a_device_that_computes_wrongly_or_not_at_all(monkeypatch):
    assert only(torch_build.devices(), "cpu").severity == "good"
    real = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda x, k, padding: real(x, k, padding=padding) * (1.1 if x.dtype == torch.float32 else 1))
    assert "computes wrong results" in only(torch_build.devices(), "cpu").text

    def full(x, k, padding):
        if x.dtype == torch.float32:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(x, k, padding=padding)

    monkeypatch.setattr(torch.nn.functional, "conv2d", full)
    found = only(torch_build.devices(), "cpu")
    assert found.severity == "error" and "other processes" in found.cure


# ---------------------------------------------------------------- the machine

def test_memory_is_that_of_the_container(tmp_path, monkeypatch):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: {64 * 2**20} kB\nMemAvailable: {32 * 2**20} kB\n")
    assert machine.memory_available(tmp_path) == 32 * GIB
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{4 * GIB}\n")
    (tmp_path / "sys/fs/cgroup/memory.current").write_text(f"{3 * GIB}\n")
    assert machine.memory_available(tmp_path) == GIB
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert machine.memory_available(tmp_path) == 32 * GIB
    monkeypatch.setattr(machine, "memory_available", lambda: GIB)
    assert only(machine.memory()).severity == "warning"


def test_memory_is_that_of_a_group_inside_the_machine(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(f"MemAvailable: {32 * 2**20} kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/user.slice/job-7/step\n")
    job = tmp_path / "sys/fs/cgroup/user.slice/job-7"
    job.mkdir(parents=True)
    (job / "memory.max").write_text(f"{3 * GIB}\n")
    (job / "memory.current").write_text(f"{GIB}\n")
    assert machine.memory_available(tmp_path) == 2 * GIB


MOUNTS = """\
overlay / overlay rw,relatime 0 0
/dev/sda1 {root}/disk ext4 rw 0 0
tmpfs {root}/disk/quick\\040one tmpfs rw 0 0
nas:/share {root}/disk/net nfs4 rw 0 0
/dev/sdb {root}/disk/in ext4 ro 0 0
drive {root}/disk/drive fuse rw 0 0
"""


@pytest.mark.parametrize(("folder", "severity", "words"), [
    ("disk", "good", "disks of this machine: this folder on {root}/disk (ext4)"), ("disk/quick one", "warning", "in memory, gone when"),
    ("disk/net/deep", "note", "a network disk"), ("disk/in", "note", "can only be read"), ("disk/drive", "note", "a network disk"),
    ("elsewhere", "note", "container's own layer")])
def test_mounts_are_read_and_the_longest_counts(monkeypatch, tmp_path, folder, severity, words):
    (tmp_path / "mounts").write_text(MOUNTS.format(root=tmp_path))
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    found = only([f for f in machine.mounts(str(tmp_path / "mounts")) if "this folder" in f.text])
    assert found.severity == severity and words.format(root=tmp_path) in found.text
    assert list(machine.mounts(str(tmp_path / "none"))) == []


def test_disks_that_are_full_and_shared_memory_that_is_small(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: SimpleNamespace(free=GIB // 20, total=64 * 2**20))
    assert {f.severity for f in machine.disk()} == {"error"}
    found = only(machine.shared_memory(str(tmp_path)))
    assert found.severity == "warning" and "64 MiB" in found.text and "num_workers=0" in found.cure
    assert list(machine.shared_memory(str(tmp_path / "none"))) == []


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine.os, "access", lambda place, mode: place != str(tmp_path))
    assert [f.severity for f in machine.disk() if str(tmp_path) in f.text.split(" cannot")[0]] == ["warning"]


def test_what_survives_is_said_where_it_matters(monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "x")
    found = only(machine.survival())
    assert found.severity == "warning" and "drive.mount" in found.cure


def test_a_file_from_the_future_betrays_the_clock(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").touch()
    assert only(machine.clock()).severity == "good"
    os.utime(tmp_path / "new.csv", (time.time() + 3 * 86400,) * 2)
    found = only(machine.clock())
    assert found.severity == "warning" and "new.csv in this folder is of a later day" in found.text


def test_clock_encoding_browser(monkeypatch):
    assert only(machine.clock(0.0)).severity == "error" and only(machine.clock()).severity == "good"
    monkeypatch.setattr(machine.locale, "getpreferredencoding", lambda _: "gbk")
    assert "PYTHONUTF8=1" in only(machine.encoding()).cure
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("DLNOTES_BROWSER", raising=False)
    assert only(machine.browser()).severity == "note"


def test_fonts(monkeypatch):
    from matplotlib import font_manager

    monkeypatch.setattr(machine, "_font_files", lambda: [])
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [SimpleNamespace(name="DejaVu Sans")])
    assert only(machine.fonts()).severity == "note"
    monkeypatch.setattr(machine, "_font_files", lambda: ["NotoSansCJK-Regular.ttc"])
    assert "list of fonts is older" in only(machine.fonts()).text
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [SimpleNamespace(name="Noto Sans CJK SC")])
    assert only(machine.fonts()).severity == "good"


def test_fonts_where_matplotlib_has_not_been_imported(monkeypatch, tmp_path):
    version = __import__("matplotlib.font_manager").font_manager.FontManager.__version__
    monkeypatch.delitem(sys.modules, "matplotlib.font_manager")
    monkeypatch.setattr(machine, "_font_files", lambda: ["NotoSansCJK-Regular.ttc"])
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(machine.Path, "home", lambda: tmp_path)
    assert only(machine.fonts()).severity == "good"                                 # matplotlib will make its list, and find it
    (tmp_path / f"fontlist-v{version}.json").write_text('{"ttflist": [{"name": "DejaVu Sans"}]}')
    assert only(machine.fonts()).severity == "warning"
    (tmp_path / f"fontlist-v{version}.json").write_text('{"ttflist": [{"name": "Noto Sans CJK SC"}]}')
    assert only(machine.fonts()).text == "Chinese in figures: Noto Sans CJK SC"
    assert "matplotlib.font_manager" not in sys.modules


def test_a_browser_that_is_named_and_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("DLNOTES_BROWSER", str(tmp_path / "chrome"))
    assert only(machine.browser()).severity == "warning"
    script(tmp_path / "chrome", "#!/bin/sh")
    assert only(machine.browser()).severity == "good"


@pytest.fixture
def no_proxies(monkeypatch):
    for name in network.PROXIES:
        monkeypatch.delenv(name, raising=False)


def closed_port():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return closed.getsockname()


def test_no_internet_is_a_note(no_proxies):
    found = only(network.internet(closed_port(), timeout=0.2))
    assert found.severity == "note" and "not reachable" in found.text
    with socket.socket() as open_:
        open_.bind(("127.0.0.1", 0))
        open_.listen()
        assert only(network.internet(open_.getsockname())).severity == "good"


def test_an_address_that_answers_and_a_name_that_is_not_found(monkeypatch, no_proxies):
    with socket.socket() as open_:
        open_.bind(("127.0.0.1", 0))
        open_.listen()
        monkeypatch.setattr(network, "ADDRESSES", (closed_port(), open_.getsockname()))
        found = only(network.internet(timeout=1, name="nowhere.invalid"))
    assert found.severity == "warning" and "the name nowhere.invalid is not found" in found.text


def test_a_proxy_is_tried_and_its_password_is_sent_but_not_shown(monkeypatch, no_proxies):
    outside = closed_port()
    with proxy() as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@{server.place}")
        monkeypatch.setenv("https_proxy", f"http://me:hunter2@{server.place}")
        found = list(network.internet(outside, timeout=2))
        assert server.asked == [(f"127.0.0.1:{outside[1]}", "Basic bWU6aHVudGVyMg==")]
        assert only(found, "proxy").text == f"https_proxy and HTTPS_PROXY: http://***@{server.place} leads outside"
        assert only(found, "internet").text == "reachable through the proxy only"
        server.status = 407
        assert "asks for another user and password" in only(network.internet(outside, timeout=2), "proxy").text
        server.status = 502
        assert "leads nowhere (502" in only(network.internet(outside, timeout=2), "proxy").text


@pytest.mark.parametrize(("address", "words"), [("http://127.0.0.1:{port}", "does not answer"), ("127.0.0.1:{port}", "does not answer"),
                                                ("http://:3128", "no address of the form"), ("http://a:b", "no address of the form")])
def test_a_proxy_that_is_not_there(monkeypatch, no_proxies, address, words):
    monkeypatch.setenv("http_proxy", address.format(port=closed_port()[1]))
    found = only(network.internet(closed_port(), timeout=0.5), "proxy")
    assert found.severity == "warning" and words in found.text and found.cure.startswith("unset http_proxy")
