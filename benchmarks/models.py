"""Our models beside those of torchvision and timm, with the same weights, in one run: time, memory, and their ratios.

    python benchmarks/models.py [--only swin_t] [--runs 9] [--batch 4] [--threads 2] [--device cuda]

Runs alternate (ours, theirs, theirs, ours, ...), so that a busy machine slows both. Printed are the medians, the ratio of the
medians (below 1: ours is faster), and the smallest and largest ratio of a neighbouring pair. "Memory" is the peak that torch's
allocator handed out above weights and input. On CUDA each model is also timed in bfloat16 and compiled.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import torchvision_shim  # noqa: E402, F401  (before torchvision and timm)

import timm  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import nn  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from dlnotes.checkpoints import load_weights  # noqa: E402
from dlnotes.models import create  # noqa: E402


class PlainUNet(nn.Module):
    """The layers of the padded U-Net in ``nn.Sequential`` blocks, without a check and without an option."""

    def __init__(self):
        super().__init__()
        widths = (64, 128, 256, 512, 1024)

        def double(i, o):
            return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                                 nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
        self.down = nn.ModuleList([double(i, o) for i, o in zip((3, *widths), widths)])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList([nn.ConvTranspose2d(i, o, 2, 2) for i, o in zip(widths[:0:-1], widths[-2::-1])])
        self.merge = nn.ModuleList([double(2 * o, o) for o in widths[-2::-1]])
        self.head = nn.Conv2d(64, 2, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1]):
            x = merge(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


def vision(name, **config):
    """A maker of torchvision's model, without the random leaving out of blocks, which would give each run other work."""
    def make():
        model = getattr(torchvision.models, name)(weights=None, **config)
        for module in model.modules():
            if isinstance(module, torchvision.ops.StochasticDepth):
                module.p = 0.0
        return model
    return make


# our name: (the peer's name, its maker, our settings, input without batch)
PICTURE = (3, 224, 224)
PEERS = {
    "resnet50": ("torchvision", vision("resnet50"), {}, PICTURE),
    "resnext50_32x4d": ("torchvision", vision("resnext50_32x4d"), {}, PICTURE),
    "convnext_tiny": ("torchvision", vision("convnext_tiny"), {"drop_path": 0.0}, PICTURE),
    "mobilenet_v2": ("torchvision", vision("mobilenet_v2", dropout=0.0), {"dropout": 0.0}, PICTURE),
    "vit_b_16": ("torchvision", vision("vit_b_16"), {}, PICTURE),
    "swin_t": ("torchvision", vision("swin_t"), {"drop_path": 0.0}, PICTURE),
    "resnest50": ("timm", lambda: timm.create_model("resnest50d"), {}, PICTURE),
    "unet": ("plain U-Net", PlainUNet, {}, (3, 256, 256)),
}


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def clock(run, device: str) -> float:
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    return 1000 * (time.perf_counter() - start)


def alternate(ours, theirs, runs: int, device: str) -> tuple[list[float], list[float]]:
    """Milliseconds of either, in pairs of which every second one is turned round; two pairs of warm-up are dropped."""
    pairs = []
    for i in range(runs + 2):
        first, second = (ours, theirs) if i % 2 == 0 else (theirs, ours)
        a, b = clock(first, device), clock(second, device)
        pairs.append((a, b) if i % 2 == 0 else (b, a))
    return tuple(zip(*pairs[2:]))


@contextlib.contextmanager
def quiet():
    """The profiler announces itself on the process's standard error, below Python."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept), os.close(nowhere)


def peak(run, device: str) -> int:
    """Bytes that torch's allocator held at most during one run, above what it held before."""
    if device == "cuda":
        wait(device)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        wait(device)
        return torch.cuda.max_memory_allocated() - before
    with quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    sizes = [e["args"]["Bytes"] for e in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"])]
    held = highest = 0
    for size in sizes:
        held += size
        highest = max(highest, held)
    return highest


def compare(name: str, args, dtype: torch.dtype, compiled: bool) -> list[dict]:
    who, maker, config, shape = PEERS[name]
    torch.manual_seed(0)
    theirs, ours = maker(), create(name, **config)
    if not isinstance(theirs, PlainUNet):
        load_weights(ours, theirs.state_dict())
    ours, theirs = (m.to(args.device) for m in (ours, theirs))
    x = torch.randn(args.batch, *shape, device=args.device)
    if not isinstance(theirs, PlainUNet) and dtype == torch.float32:
        with torch.no_grad():
            a, b = ours.eval()(x), theirs.eval()(x)
        assert (a - b).abs().max() <= 1e-3 * b.abs().max(), f"{name}: outputs differ, the comparison would mean nothing"
    cast = torch.autocast(args.device, dtype) if dtype != torch.float32 else contextlib.nullcontext()
    run_ours, run_theirs = (torch.compile(m) if compiled else m for m in (ours, theirs))

    def forward(model):
        def run():
            with torch.no_grad(), cast:
                model(x)
        return run

    def both(model):
        def run():
            model.zero_grad(set_to_none=True)
            with cast:
                loss = model(x).float().square().mean()
            loss.backward()
        return run

    label, rows = f"{name} / {who}", []
    for phase, make in (("forward", forward), ("forward+backward", both)):
        for m in (ours, theirs):
            m.train(phase != "forward")
        times = alternate(make(run_ours), make(run_theirs), args.runs, args.device)
        ms = [statistics.median(t) for t in times]
        ratios = [a / b for a, b in zip(*times)]
        for m in (ours, theirs):
            m.zero_grad(set_to_none=True)
        memory = []
        for m, run in ((ours, run_ours), (theirs, run_theirs)):
            memory.append(peak(make(run), args.device) / 2**20)
            m.zero_grad(set_to_none=True)
        print(f"{label:30} {phase:17} {ms[0]:9.1f} {ms[1]:9.1f} {ms[0] / ms[1]:6.2f}  ({min(ratios):.2f} to {max(ratios):.2f})"
              f" {memory[0]:9.1f} {memory[1]:9.1f} {memory[0] / memory[1]:6.2f}", flush=True)
        label = ""
        rows.append({"model": name, "peer": who, "phase": phase, "ours_ms": ms[0], "peer_ms": ms[1], "ratio": ms[0] / ms[1],
                     "lowest": min(ratios), "highest": max(ratios), "memory_ratio": memory[0] / memory[1]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--save", action="store_true", help="write benchmarks/models.json, which the API pages show")
    args = parser.parse_args()
    args.batch = args.batch or (32 if args.device == "cuda" else 4)
    torch.set_num_threads(args.threads)
    what = torch.cuda.get_device_name() if args.device == "cuda" else f"CPU, {args.threads} threads"
    tables = []
    for dtype, compiled in [(torch.float32, False)] + [(torch.float32, True), (torch.bfloat16, False),
                                                       (torch.bfloat16, True)] * (args.device == "cuda"):
        title = (f"{what}, torch {torch.__version__}, batch {args.batch}, {str(dtype)[6:]}, "
                 f"{'compiled' if compiled else 'eager'}, {args.runs} interleaved pairs")
        print(title)
        print(f"{'':30} {'':17} {'ours ms':>9} {'peer ms':>9} {'ratio':>6}  {'(pairs)':14} {'ours MiB':>9} {'peer MiB':>9} {'ratio':>6}")
        rows = []
        for name in args.only:
            rows += compare(name, args, dtype, compiled)
            torch._dynamo.reset()
        tables.append({"what": title, "rows": rows})
    if args.save:
        Path(__file__).with_suffix(".json").write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
