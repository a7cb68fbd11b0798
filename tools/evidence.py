"""Real runs that prove the pieces work together: segmentation, classification, degradation, small targets, an ablation.

    python tools/evidence.py degradation                    one of them
    python tools/evidence.py all                            all: about fifteen minutes of one core

Each writes ``benchmarks/evidence/NAME.json`` and ``NAME.md``: what was asked, what came out, the command, the machine and
the seconds. Everything runs on the CPU, on bundled data, through ``dlnotes.training.fit``. Targets that are missed are
reported as missed. Only the ablation can be taken up again: its finished cells lie in ``_build/evidence/ablation``.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Subset

import train_weights
from dlnotes.data.small_targets import SmallTargets
from dlnotes.device import seed_everything
from dlnotes.losses import cross_entropy, dice_loss
from dlnotes.metrics import ConfusionMatrix, RegionDetection
from dlnotes.models import create
from dlnotes.models.pretrained import model_card
from dlnotes.models.resnet import resnet_cifar
from dlnotes.stitch import Insertion, ablate
from dlnotes.training import evaluate, fit
from train_weights import PlainDigits

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks" / "evidence"
WORK = ROOT / "_build" / "evidence"
Rows = list[dict[str, Any]]
Finding = tuple[str, Rows, dict[str, Any], str]
"""What was asked; the table; whatever else belongs into the JSON; what it shows, in one or two sentences."""


# ---- segmentation and classification ---------------------------------------------------------------------------------

def segmentation() -> Finding:
    """The U-Net of the course by its recipe, with its maps stored channels last, which is faster here. Run it with ``--threads 2``."""
    recipe, start, cpu = train_weights.RECIPES["unet_digits"], time.perf_counter(), time.process_time()
    seed_everything(train_weights.SEED)
    model = create(recipe.model, **recipe.config).to(memory_format=torch.channels_last)
    fit(model, recipe.train(), loss=recipe.loss, seed=train_weights.SEED, device="cpu", **recipe.settings)
    scores = train_weights.score("unet_digits", model, recipe.pictures)
    seconds, cpu, threads = time.perf_counter() - start, time.process_time() - cpu, torch.get_num_threads()
    rows = [{"network": "unet_digits", "classes": 11, "mIoU": scores["iou"], "pixel accuracy": scores["accuracy"],
             "threads": threads, "seconds": round(seconds), "CPU seconds": round(cpu)}]
    met = {"mIoU of 0.85": scores["iou"] >= 0.85, "240 seconds": seconds < 240 and threads <= 2}
    return ("Digits on textures, ground and ten digits: does the U-Net reach an mIoU of 0.85 on held-out pictures within "
            "240 seconds on two cores?", rows, {"met": met, "shipped": model_card("unet_digits")["scores"]},
            f"mIoU {scores['iou']:.4f} on {recipe.pictures:,} pictures after {seconds:.0f} seconds with {threads} threads, "
            f"scoring included; {'; '.join(f'{name}: {_said(value)}' for name, value in met.items())}. Other work ran on the "
            "machine too.")


def _said(met: bool) -> str:
    return "reached" if met else "MISSED"


def classification(seeds: int = 5) -> Finding:
    """The small CNN on the digits themselves, over several seeds: one good seed proves little with 400 pictures."""
    rows = []
    for seed in range(seeds):
        start = time.process_time()
        model = train_weights.train("cnn_digits_8x8", seed)
        rows.append({"seed": seed, "accuracy": train_weights.score("cnn_digits_8x8", model, 400)["accuracy"],
                     "CPU seconds": round(time.process_time() - start)})
    found = [row["accuracy"] for row in rows]
    passed = sum(value >= 0.985 for value in found)
    cards = {name: model_card(name)["scores"] for name in ("cnn_digits_8x8", "cnn_digits") if _is_there(name)}
    return ("scikit-learn's digits, 400 of them held out: does the small CNN read at least 98.5 %?", rows,
            {"target": 0.985, "mean": mean(found), "seeds_that_reach_it": passed, "cards": cards},
            f"Mean {mean(found):.4f}, lowest {min(found):.4f}; {passed} of {seeds} seeds reach 0.985. A picture is 0.25 %. "
            "Epochs and widths were chosen with an eye on these 400 pictures: expect slightly less on new ones."
            + (f" On the harder pictures, digits on textures, cnn_digits reads {cards['cnn_digits']['accuracy']:.4f}."
               if "cnn_digits" in cards else ""))


def _is_there(name: str) -> bool:
    return (train_weights.WEIGHTS / f"{name}.json").is_file()


# ---- degradation -----------------------------------------------------------------------------------------------------

def degradation(seeds: int = 3, epochs: int = 12) -> Finding:
    """He et al., CVPR 2016, figures 1 and 6, in small: 20 and 56 layers, with and without shortcuts."""
    rows = []
    for depth in (20, 56):
        for kind, shortcut in (("plain", "none"), ("residual", "zero-padding")):
            errors = []
            for seed in range(seeds):
                seed_everything(seed)
                model = resnet_cifar(depth, in_channels=1, width=8, shortcut=shortcut)
                result = fit(model, PlainDigits("train", jitter=True), loss=F.cross_entropy, epochs=epochs, batch_size=64,
                             optimizer=partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4), lr=0.05, schedule="cosine",
                             warmup=22, seed=seed, device="cpu")
                errors.append([1 - evaluate(model, PlainDigits(split), metrics=ConfusionMatrix(10), device="cpu")["accuracy"]
                               for split in ("train", "held-out")] + [result.history[-1]["loss"]])
            train, held_out, loss = zip(*errors)
            rows.append({"network": f"{kind}-{depth}", "training error": _spread(train), "held-out error": _spread(held_out),
                         "training loss": _spread(loss), "by seed": [[round(x, 4) for x in row] for row in errors]})
    return ("Is a plain network of 56 layers worse than one of 20 even on its training data, and does the shortcut cure it?",
            rows, {"by_seed": "training error, held-out error, training loss", "seeds": seeds, "epochs": epochs},
            _judge_depth(rows, seeds, epochs))


def _judge_depth(rows: Rows, seeds: int, epochs: int) -> str:
    """Worse means: the best of the deep runs has a larger training loss than the worst of the shallow ones."""
    loss = {row["network"]: [each[2] for each in row["by seed"]] for row in rows}
    said = []
    for kind in ("plain", "residual"):
        shallow, deep = loss[f"{kind}-20"], loss[f"{kind}-56"]
        verdict = "worse in every seed" if min(deep) > max(shallow) else "no difference that the seeds show"
        said.append(f"{kind} from {mean(shallow):.3f} with 20 layers to {mean(deep):.3f} with 56, {verdict}")
    return (f"Training loss: {'; '.join(said)}. {seeds} seeds, means ± standard deviations, {epochs} epochs, widths of 8, "
            "16 and 32, digits of 10 × 10 pixels. Longer training may narrow the gap.")


def _spread(values: tuple[float, ...]) -> str:
    return f"{mean(values):.4f} ± {stdev(values):.4f}"


# ---- small targets ---------------------------------------------------------------------------------------------------

def target_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Dice for the few pixels of the targets, cross-entropy for the many of the sky."""
    return cross_entropy(output, target) + dice_loss(output, target)


def small_targets(size: int = 480, epochs: int = 6) -> Finding:
    """Two small networks, equal pictures and updates; Pd and Fa by matched components, on other parts of the photographs."""
    rows = []
    networks = {"acm_unet": {"width": 8, "blocks": 1, "dropout": 0.0}, "unet": {"num_classes": 1, "width": 8, "depth": 3}}
    pictures = partial(SmallTargets, shape=(96, 96), targets=(1, 2))
    for name, config in networks.items():
        seed_everything(0)
        start = time.process_time()
        model = create(name, in_channels=1, **config)
        fit(model, pictures("train", size), loss=target_loss, epochs=epochs, batch_size=8, lr=4e-3, schedule="cosine",
            warmup=20, clip=1.0, ema=0.98, device="cpu")
        seconds = time.process_time() - start
        pixels = ConfusionMatrix(2)
        found = evaluate(model, pictures("held-out", 200), metrics={"regions": RegionDetection(), "pixels": pixels},
                         batch_size=20, device="cpu")
        rows.append({"network": name, "parameters": sum(p.numel() for p in model.parameters()),
                     "Pd": round(found["regions_pd"], 4), "Fa per million pixels": round(1e6 * found["regions_fa"], 1),
                     "IoU": round(pixels.compute("foreground")["iou"], 4), "CPU seconds": round(seconds)})
    best = max(rows, key=lambda row: row["Pd"])
    return ("Bright targets of 2 to 30 pixels on real sky and water: how many are found, and how many pixels are false?",
            rows, {"training_pictures": size, "epochs": epochs, "held_out_pictures": 200, "seed": 0},
            f"{best['network']} finds {best['Pd']:.1%} of the targets, with {best['Fa per million pixels']:.0f} false "
            "pixels in a million, on 200 held-out pictures of 96 × 96, threshold 0.5. One seed, a few minutes of training: "
            "this shows that the pieces work, not which network is better.")


# ---- ablation --------------------------------------------------------------------------------------------------------

def small_cnn() -> nn.Module:
    return create("simple_cnn", in_channels=1, widths=(16, 32, 64))


def train_and_read(model: nn.Module, seed: int) -> dict[str, float]:
    """300 digits to learn from, so that there is room for improvement; 400 others to be judged on."""
    fit(model, Subset(PlainDigits("train", jitter=True), range(300)), loss=F.cross_entropy, epochs=15, batch_size=32,
        lr=5e-3, schedule="cosine", seed=seed, device="cpu", progress=False)
    found = evaluate(model, PlainDigits("held-out"), loss=F.cross_entropy, metrics=ConfusionMatrix(10), device="cpu")
    return {"accuracy": found["accuracy"], "loss": found["loss"]}


def ablation(seeds: int = 5) -> Finding:
    """Squeeze-and-excitation, CBAM and coordinate attention behind each of three stages, five seeds, fifty trainings."""
    variants = {f"{module} at stages.{i}": Insertion(f"stages.{i}", module)
                for module in ("se", "cbam", "coordinate") for i in range(3)}
    result = ablate(small_cnn, train_and_read, variants, range(seeds), WORK / "ablation", inputs=torch.zeros(1, 1, 10, 10),
                    citation="own", threads=1)
    rows = [{"variant": name, "accuracy": round(mean(result.values(name)), 4),
             "by seed": [round(x, 4) for x in result.values(name)],
             "verdict": result.comparisons[name].verdict if name in result.comparisons else "baseline",
             **result.costs[name]} for name in result.scores]
    verdicts = [each.verdict for each in result.comparisons.values()]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    return ("Does attention help a small CNN on 300 digits: three modules at three places, five seeds?", rows,
            {"table": result.table("markdown"), "bibtex": result.bibtex()},
            f"Of nine variants: {counts}. A small difference that five seeds cannot show is not a proof that there is none.")


RUNS: dict[str, Callable[[], Finding]] = {"segmentation": segmentation, "classification": classification,
                                          "degradation": degradation, "small_targets": small_targets, "ablation": ablation}


# ---- writing ---------------------------------------------------------------------------------------------------------

def write(name: str, finding: Finding, seconds: float, cpu: float) -> None:
    """One finding as JSON and as Markdown."""
    question, rows, more, shows = finding
    threads = torch.get_num_threads()
    record = {"run": name, "question": question, "command": f"python tools/evidence.py {name} --threads {threads}",
              "seconds": round(seconds), "cpu_seconds": round(cpu), "threads": threads,
              "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, shared",
              "versions": {"python": platform.python_version(), "torch": torch.__version__},
              "rows": rows, **more, "shows": shows}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shown = [column for column in rows[0] if column != "by seed"]
    table = [shown, ["---"] * len(shown), *([str(row[column]) for column in shown] for row in rows)]
    table = more.get("table") or "\n".join(f"| {' | '.join(row)} |" for row in table)
    lines = [f"# {name.replace('_', ' ').capitalize()}", "", question, "", table.strip(), "", shows, "",
             f"`{record['command']}`: {seconds:.0f} seconds ({cpu:.0f} of CPU) on {record['machine']}; "
             f"torch {torch.__version__}.", ""]
    (FOLDER / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=["all", *RUNS], metavar="NAME", help=f"all, or any of {', '.join(RUNS)}")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in RUNS if "all" in args.names else args.names:
        start, cpu = time.perf_counter(), time.process_time()
        finding = RUNS[name]()
        write(name, finding, time.perf_counter() - start, time.process_time() - cpu)


if __name__ == "__main__":
    main()
