"""torch's build against the driver and the GPU, and a small computation on every device whose result is compared.

A process that has used CUDA once keeps some hundred megabytes of the GPU and can no longer be split for several GPUs. So where
there is a GPU and this process has not touched it, another one looks.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .report import Finding

__all__ = ["build", "devices", "torch_and_devices"]


def _nvidia_smi() -> str | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        done = subprocess.run([command], capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "no answer in 20 seconds"
    except OSError as error:
        return str(error)
    return done.stdout + done.stderr


def driver() -> tuple[str, str] | None:
    """Version of the NVIDIA driver and the newest CUDA it serves, from ``nvidia-smi``; None if there is none."""
    match = re.search(r"Driver Version:\s*([\d.]+).*?CUDA Version:\s*([\d.]+)", _nvidia_smi() or "")
    return (match.group(1), match.group(2)) if match else None


def complaint() -> tuple[str, str] | None:
    """What ``nvidia-smi`` says instead of an answer, and the cure; None if there is no such command."""
    said = _nvidia_smi()
    if said is None:
        return None
    line = next((line.strip() for line in said.splitlines() if line.strip()), "nothing")
    if "mismatch" in said:
        return line, "restart the machine: the driver was renewed while it ran"
    return line, "on a rented machine, start it with a GPU; on your own, install the driver again and restart"


def torch_and_devices() -> Iterator[Finding]:
    """:func:`build` and :func:`devices`; in another process where there is a GPU that this one has not touched yet."""
    torch = sys.modules.get("torch")
    if driver() is None or (torch is not None and torch.cuda.is_initialized()):
        yield from build()
        yield from devices()
        return
    code = ("import json; from dataclasses import asdict; from dlnotes.doctor import torch_build as t; "
            "print(json.dumps([asdict(f) for check in (t.build, t.devices) for f in check()]))")
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    except subprocess.TimeoutExpired:
        yield Finding("error", "torch", "a small computation on the GPU did not come to its end in 5 minutes",
                      "look at nvidia-smi; end what occupies the GPU, or start the machine again")
        return
    if done.returncode == 0:
        for finding in json.loads(done.stdout.splitlines()[-1]):
            yield Finding(**finding)
        return
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    how = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with status {done.returncode}"
    yield Finding("error", "torch", f"a process that imports torch and computes {how}: {last}",
                  f"{sys.executable} -m pip install --force-reinstall torch, of a build that suits the driver")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def build() -> Iterator[Finding]:
    """Version and build of torch; whether driver, GPU and build fit; torchvision beside it."""
    try:
        import torch
    except Exception as error:
        yield Finding("error", "torch", f"import torch failed: {str(error).splitlines()[0]}", f"{sys.executable} -m pip install torch")
        return
    found, cuda = driver(), torch.version.cuda
    kind = f"CUDA {cuda}" if cuda else f"ROCm {torch.version.hip}" if getattr(torch.version, "hip", None) else "CPU only"
    text = f"torch {torch.__version__}, {kind}"
    if _number(torch.__version__) < (2, 4):
        yield Finding("error", "torch", f"{text}: 2.4 or newer is needed", f"{sys.executable} -m pip install --upgrade torch")
    elif cuda is None and found:
        yield Finding("error", "torch", f"{text}, but there is an NVIDIA driver {found[0]}: the GPU lies idle",
                      "install a CUDA build: choose it on PyTorch's start page, and pip uninstall torch first")
    elif found is None and (trouble := complaint()):
        yield Finding("warning", "torch", f"{text}, but nvidia-smi says: {trouble[0]}", trouble[1])
    elif cuda and found is None:
        yield Finding("warning", "torch", f"{text}, but no NVIDIA driver answers",
                      "run nvidia-smi; on a rented machine, start it with a GPU; on your own, install the driver")
    elif cuda and _number(found[1])[0] < _number(cuda)[0]:
        yield Finding("error", "torch", f"{text}, but driver {found[0]} serves CUDA {found[1]} at most",
                      "renew the driver, or install a build of torch for that CUDA")
    elif cuda and os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        yield Finding("error", "torch", f"{text}: CUDA_VISIBLE_DEVICES hides every GPU",
                      "unset CUDA_VISIBLE_DEVICES and start the kernel again")
    elif cuda and not torch.cuda.is_available():
        yield Finding("error", "torch", f"{text}, driver {found[0]}, but torch sees no GPU",
                      "start the kernel again; if that does not help, the machine: the driver was renewed while it ran")
    else:
        yield Finding("good", "torch", text)
    if cuda and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            major, minor = torch.cuda.get_device_capability(index)
            built = torch.cuda.get_arch_list()
            if built and not any(serves(arch, (major, minor)) for arch in built):
                yield Finding("error", "GPU", f"{torch.cuda.get_device_name(index)} has compute capability {major}.{minor}; this build "
                              f"serves {', '.join(built)}", "install a build of torch that serves it")
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if cuda else ():
        if found_there := next((p.name for p in sorted(Path(folder).glob("libcu*.so*")) if re.match("libcu(dnn|blas)", p.name)), None):
            yield Finding("warning", "torch", f"LD_LIBRARY_PATH puts {folder}/{found_there} before the libraries that torch brings with it",
                          "unset LD_LIBRARY_PATH and start the kernel again")
            break
    yield from torchvision_beside(torch.__version__)


def serves(arch: str, capability: tuple[int, int]) -> bool:
    """Whether code for ``arch`` runs on a GPU: machine code (``sm_80``) within its major version, PTX (``compute_80``) on any later one.

    >>> serves("sm_80", (8, 6)), serves("sm_80", (9, 0)), serves("compute_80", (9, 0)), serves("sm_90", (8, 9))
    (True, False, True, False)
    """
    kind, number = arch.split("_")
    major, minor = divmod(int(re.sub(r"\D", "", number)), 10)
    if kind == "compute":
        return (major, minor) <= capability
    return major == capability[0] and minor <= capability[1]


def torchvision_beside(torch_version: str) -> Iterator[Finding]:
    """A torchvision of another release or build fails at import, or later."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        other = version("torchvision")
    except PackageNotFoundError:
        return
    expected = (0, _number(torch_version)[1] + 15) if _number(torch_version)[0] == 2 else None
    builds = [text.partition("+")[2] for text in (torch_version, other)]
    if expected and _number(other) != expected:
        yield Finding("warning", "torchvision", f"torchvision {other} beside torch {torch_version}: expected {expected[0]}.{expected[1]}",
                      f"{sys.executable} -m pip install torchvision=={expected[0]}.{expected[1]}")
    elif all(builds) and builds[0] != builds[1]:
        yield Finding("note", "torchvision", f"torchvision {other} beside torch {torch_version}: another build; `import torchvision` may "
                      "say that operator torchvision::nms does not exist, and dlnotes works round it")


def devices() -> Iterator[Finding]:
    """A product of matrices and a convolution on every device, compared with float64 on the CPU, and timed."""
    import torch

    generator = torch.Generator().manual_seed(0)
    a = torch.randn(256, 256, generator=generator, dtype=torch.float64)
    x = torch.randn(1, 8, 64, 64, generator=generator, dtype=torch.float64)
    kernel = torch.randn(8, 8, 3, 3, generator=generator, dtype=torch.float64)
    expected = [a @ a, torch.nn.functional.conv2d(x, kernel, padding=1)]
    for name in ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))):
        try:
            b, y, k = (t.float().to(name) for t in (a, x, kernel))
            got = [b @ b, torch.nn.functional.conv2d(y, k, padding=1)]              # loads the libraries
            got = [t.double().cpu() for t in got]
            times = []
            for compute in (lambda: b @ b, lambda: torch.nn.functional.conv2d(y, k, padding=1)):
                begin = time.perf_counter()
                compute().sum().item()                                              # waits for the GPU
                times.append(1000 * (time.perf_counter() - begin))
        except RuntimeError as error:
            cure = ("end other processes that hold its memory (nvidia-smi lists them)" if "out of memory" in str(error)
                    else "start the kernel again; run with CUDA_LAUNCH_BLOCKING=1 if it persists")
            yield Finding("error", name, f"a small computation failed: {str(error).splitlines()[0]}", cure)
            continue
        wrong = max(((g - e).abs().max() / e.abs().max()).item() for g, e in zip(got, expected))
        label = name if name == "cpu" else f"{name}, {torch.cuda.get_device_name(name)}"
        if not wrong < 5e-3:                                                        # TF32 keeps about three digits
            yield Finding("error", name, f"{label} computes wrong results: relative difference {wrong:.1e}",
                          "run it again; if it stays, use another device: this one is broken or overclocked")
        else:
            memory = ""
            if name != "cpu":
                free, whole = torch.cuda.mem_get_info(name)
                memory = f", {free / 2**30:.1f} of {whole / 2**30:.1f} GiB free"
            yield Finding("good", name, f"{label} computes right (256 × 256 product in {times[0]:.2f} ms, "
                          f"convolution in {times[1]:.2f} ms{memory})")
