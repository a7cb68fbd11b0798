"""Memory of a training step, predicted against measured, part by part, for networks of this package.

    python benchmarks/memory.py [--only resnet50 unet] [--device cuda]

Nothing is timed but the prediction itself. Passes (exit status 0) if every total is within a tenth of the measured one.
"""

import argparse
import time

import torch

from dlnotes.memory import in_words, measure, predict
from dlnotes.models import create

# name: (input, batch on the CPU, batch on CUDA)
CASES = {
    "resnet50": ((3, 224, 224), 4, 64), "unet": ((3, 128, 128), 4, 64), "vit_b_16": ((3, 224, 224), 4, 64),
    "swin_t": ((3, 224, 224), 4, 64), "convnext_tiny": ((3, 224, 224), 4, 64), "mobilenet_v2": ((3, 224, 224), 4, 64),
}
BLOCKS = {"resnet50": "layer*.*", "unet": "encoder.*", "vit_b_16": "blocks.*"}


def ways(name: str) -> dict[str, dict]:
    """How each network is trained here."""
    found = {"SGD": {"optimizer": "sgd"}, "AdamW": {"optimizer": "adamw"},
             "AdamW, bf16": {"optimizer": "adamw", "autocast": torch.bfloat16}, "inference": {"training": False}}
    if name in BLOCKS:
        found["AdamW, checkpointing"] = {"optimizer": "adamw", "checkpointing": BLOCKS[name]}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    where = torch.cuda.get_device_name() if args.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}")
    print(f"{'network':14}{'batch':>6}  {'step':22}{'activations':>12}{'measured':>11}{'ratio':>7}{'total':>12}"
          f"{'measured':>11}{'ratio':>7}{'predicted in':>14}")
    worst = 0.0
    for name in args.only:
        size, on_cpu, on_cuda = CASES[name]
        batch = on_cpu if args.device == "cpu" else on_cuda
        model = create(name)
        for label, how in ways(name).items():
            start = time.perf_counter()
            predicted = predict(model, size, batch, device=args.device, **how)
            seconds = time.perf_counter() - start
            measured = measure(model, size, batch, device=args.device, **how)
            kept, total = predicted.activations / measured.activations, predicted.total / measured.total
            worst = max(worst, abs(total - 1))
            print(f"{name:14}{batch:>6}  {label:22}{in_words(predicted.activations):>12}{in_words(measured.activations):>11}"
                  f"{kept:>7.3f}{in_words(predicted.total):>12}{in_words(measured.total):>11}{total:>7.3f}"
                  f"{seconds:>12.1f} s", flush=True)
    print(f"largest difference of a total: {worst:.1%}")
    return 0 if worst <= 0.1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
