"""Train the small ViT of the widgets on digits that lie on photographed textures, and write its weights and their card.

    python tools/train_digits_vit.py

15 to 25 minutes on one CPU core. Every step draws new pictures, so no picture is seen twice; the held-out set is
made of digits and parts of the photographs that training never touches. Two helps make it that fast: the texture grows from
flat grey to the full photograph during the first third, and the patch tokens learn from the masks which digit they show,
through a second head that is thrown away.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dlnotes.attention import sinusoidal_positions_2d
from dlnotes.device import pick_device, seed_everything
from dlnotes.digits import DigitsOnTextures
from dlnotes.models import create

WEIGHTS = Path(__file__).parent.parent / "dlnotes" / "weights" / "vit_digits.safetensors"
HELD_OUT = 2000
MEAN, STD = 0.5, 0.2


@torch.no_grad()
def accuracy(model: torch.nn.Module, size: int) -> float:
    """Share of the first ``size`` held-out pictures that the model (on the CPU) reads correctly."""
    pictures, right = DigitsOnTextures("held-out", size), 0
    for start in range(0, size, 200):
        images, labels, _ = pictures.batch(range(start, min(start + 200, size)))
        right += (model(images).argmax(dim=1) == labels).sum().item()
    return right / size


@torch.no_grad()
def folded(model: torch.nn.Module) -> torch.nn.Module:
    """A copy on the CPU that reads pictures in [0, 1]: (x - MEAN) / STD moves into the patch embedding, which is linear."""
    model = copy.deepcopy(model).cpu().eval()
    proj = model.patch_embed.proj
    proj.bias -= proj.weight.sum(dim=(1, 2, 3)) * MEAN / STD
    proj.weight /= STD
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()

    seed_everything(args.seed)
    device = pick_device()
    model = create("vit_digits")
    dim = model.pos_embed.shape[-1]
    model.pos_embed.data[0, 1:] = 0.5 * sinusoidal_positions_2d(*model.grid, dim)       # where learning starts from
    patch_head = torch.nn.Linear(dim, 11)                           # only for training: which digit a patch shows, or none
    model, patch_head = model.to(device), patch_head.to(device)
    optimizer = torch.optim.AdamW([*model.parameters(), *patch_head.parameters()], lr=args.lr, weight_decay=0.05,
                                  betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        (step + 1) / (0.05 * args.steps), 0.5 * (1 + math.cos(math.pi * step / args.steps))))
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    pictures, start = DigitsOnTextures("train", args.steps * args.batch, seed=args.seed), time.time()
    for step in range(args.steps):
        pictures.texture = min(1.0, step / (0.3 * args.steps))      # from flat grey to the full photograph
        images, labels, masks = pictures.batch(range(step * args.batch, (step + 1) * args.batch))
        shown = F.avg_pool2d(masks, model.patch_size).flatten(1) > 0.1                  # b n
        patch_labels = torch.where(shown, labels[:, None], 10)                          # b n
        tokens = model.forward_features((images.to(device) - MEAN) / STD)               # b 1+n d
        loss = F.cross_entropy(model.head(tokens[:, 0]), labels.to(device), label_smoothing=0.05)
        patch_loss = F.cross_entropy(patch_head(tokens[:, 1:]).flatten(0, 1), patch_labels.flatten().to(device))
        optimizer.zero_grad()
        (loss + patch_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        if (step + 1) % 200 == 0:
            print(f"step {step + 1:5d}  loss {loss.item():.3f}  patches {patch_loss.item():.3f}  "
                  f"held-out {accuracy(folded(average.module), 400):.3f}  {time.time() - start:.0f} s", flush=True)

    model = folded(average.module)                                  # the running average of the weights is what ships
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().contiguous() for key, value in model.state_dict().items()}, args.out)
    card = {
        "model": "vit_digits",
        "parameters": sum(p.numel() for p in model.parameters()),
        "command": f"python tools/train_digits_vit.py --steps {args.steps} --batch {args.batch} --lr {args.lr} "
                   f"--seed {args.seed}",
        "seed": args.seed,
        "data": "dlnotes.digits.DigitsOnTextures: scikit-learn's handwritten digits (UCI optical recognition of handwritten "
                "digits) on scikit-image's photographs brick, grass and gravel; training and held-out pictures share no "
                "digit and no pixel of texture",
        "training_pictures": args.steps * args.batch,
        "held_out_accuracy": accuracy(model, HELD_OUT),
        "held_out_pictures": HELD_OUT,
        "held_out_accuracy_first_400": accuracy(model, 400),
    }
    args.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"held-out accuracy {card['held_out_accuracy']:.4f} on {HELD_OUT} pictures, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
