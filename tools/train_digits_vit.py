"""Train the small ViT of the widgets on digits that lie on photographed textures, and write its weights and their card.

    python tools/train_digits_vit.py

About a quarter of an hour on one CPU core. Every step draws new pictures, so no picture is seen twice; the held-out set is
made of digits and parts of the photographs that training never touches.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dlnotes.device import pick_device, seed_everything
from dlnotes.digits import DigitsOnTextures
from dlnotes.models import create

HELD_OUT = 2000


@torch.no_grad()
def accuracy(model: torch.nn.Module, size: int, device: torch.device) -> float:
    """Share of the first ``size`` held-out pictures that the model reads correctly."""
    pictures, right = DigitsOnTextures("held-out", size), 0
    model.eval()
    for start in range(0, size, 200):
        images, labels, _ = pictures.batch(range(start, min(start + 200, size)))
        right += (model(images.to(device)).argmax(dim=1).cpu() == labels).sum().item()
    model.train()
    return right / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "dlnotes" / "weights" / "vit_digits.safetensors")
    args = parser.parse_args()

    seed_everything(args.seed)
    device = pick_device()
    model = create("vit_digits")
    model.pos_embed.data[0, 1:] = 0.5 * sinusoidal_positions_2d(*model.grid, model.pos_embed.shape[-1])   # learnt from there
    finder = torch.nn.Linear(model.pos_embed.shape[-1], 1)          # says which patches hold a digit; dropped after training
    model, finder = model.to(device), finder.to(device)
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.95))
    warm_up = args.steps // 15
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        (step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * step / args.steps))))
    pictures, start = DigitsOnTextures("train", args.steps * args.batch, seed=args.seed), time.time()
    for step in range(args.steps):
        images, labels, _ = pictures.batch(range(step * args.batch, (step + 1) * args.batch))
        loss = F.cross_entropy(model(images.to(device)), labels.to(device), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            print(f"step {step + 1:5d}  loss {loss.item():.3f}  held-out {accuracy(model, 400, device):.3f}  "
                  f"{time.time() - start:.0f} s", flush=True)

    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}, args.out)
    card = {
        "model": "vit_digits",
        "parameters": sum(p.numel() for p in model.parameters()),
        "command": f"python tools/train_digits_vit.py --steps {args.steps} --batch {args.batch} --lr {args.lr} --seed {args.seed}",
        "seed": args.seed,
        "data": "dlnotes.digits.DigitsOnTextures: scikit-learn's handwritten digits (UCI optical recognition of handwritten digits) "
                "on scikit-image's photographs brick, grass and gravel; training and held-out share no digit and no pixel of texture",
        "training_pictures": args.steps * args.batch,
        "held_out_accuracy": accuracy(model, HELD_OUT, device),
        "held_out_pictures": HELD_OUT,
        "held_out_accuracy_first_400": accuracy(model, 400, device),
    }
    args.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"held-out accuracy {card['held_out_accuracy']:.4f} on {HELD_OUT} pictures, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
