"""Attention over 32,768 tokens, 8 heads of width 8, batch 1: measured extra memory beside what the explicit form would need.

    python benchmarks/attention_memory.py [--device cuda]

Each number comes from a fresh process. Passes (exit status 0) if the fused form stays under 1 GiB above its inputs.
"""

import argparse
import time

from dlnotes.attention import attention_cost, measure_peak

SETUP = """
from dlnotes.attention import attention, explicit_attention
q, k, v = (torch.randn(1, {heads}, {tokens}, {width}, device="{device}") for _ in range(3))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    heads, width, fused = 8, 8, 0
    print(f"one attention on {device}, batch 1, {heads} heads of width {width}, float32; bytes above the inputs in MiB")
    print(f"{'tokens':>8} {'explicit, predicted':>20} {'explicit, measured':>20} {'fused, predicted':>18} "
          f"{'fused, measured':>17}")
    for tokens in (2048, 4096, 32768):
        cost = attention_cost(tokens=tokens, head_dim=width, heads=heads)
        setup = SETUP.format(heads=heads, tokens=tokens, width=width, device=device)
        explicit = "not run"
        if cost.explicit_extra_bytes <= 2**30:
            explicit = f"{measure_peak('explicit_attention(q, k, v)', setup, device) / 2**20:,.0f}"
        start = time.perf_counter()
        fused = measure_peak("attention(q, k, v)", setup, device)
        seconds = time.perf_counter() - start
        print(f"{tokens:>8} {cost.explicit_extra_bytes / 2**20:>20,.0f} {explicit:>20} "
              f"{cost.fused_extra_bytes / 2**20:>18,.1f} {fused / 2**20:>17,.1f}   ({seconds:.1f} s with start-up)")
    print(f"32,768 tokens in less than 1 GiB: {'yes' if fused < 2**30 else 'NO'}")
    return 0 if fused < 2**30 else 1


if __name__ == "__main__":
    raise SystemExit(main())
