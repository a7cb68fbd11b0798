"""What attention costs: bytes and multiply-adds from the sizes alone, and a peak of memory measured in a fresh process.

The explicit form stores a matrix of scores of tokens² per head and sample, and its softmax beside it. A fused kernel (Rabe
& Staats, arXiv 2112.05682, 2021; Dao et al., "FlashAttention", NeurIPS 2022) goes through it in blocks and stores the
output and one number per query; the arithmetic stays the same.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

import torch

from ._check import check_count

__all__ = ["AttentionCost", "attention_cost", "measure_peak"]


@dataclass(frozen=True)
class AttentionCost:
    """Cost of one attention, forward, without gradients. Made by :func:`attention_cost`; sizes in bytes.

    Attributes:
        score_bytes: one matrix of scores, (batch, heads, tokens, tokens).
        qkv_bytes: queries, keys and values together.
        out_bytes: the output.
        explicit_extra_bytes: what the explicit form holds at its peak above q, k, v: scores and weights.
        fused_extra_bytes: what the fused form needs above q, k, v: output, and one float32 per query.
        multiply_adds: of q kᵀ and of weights · v; the softmax is not counted.
    """

    tokens: int
    head_dim: int
    heads: int
    batch: int
    dtype: torch.dtype
    score_bytes: int
    qkv_bytes: int
    out_bytes: int
    explicit_extra_bytes: int
    fused_extra_bytes: int
    multiply_adds: int

    def __str__(self) -> str:
        def gib(size: int) -> str:
            return f"{size / 2**30:>12,.3f} GiB"

        kind = str(self.dtype).removeprefix("torch.")
        return "\n".join([
            f"attention, scores ({self.batch}, {self.heads}, {self.tokens}, {self.tokens}), {kind}, "
            f"head width {self.head_dim}",
            f"  q, k, v             {gib(self.qkv_bytes)}",
            f"  scores              {gib(self.score_bytes)}",
            f"  extra, explicit     {gib(self.explicit_extra_bytes)}",
            f"  extra, fused        {gib(self.fused_extra_bytes)}",
            f"  multiply-adds       {self.multiply_adds / 1e9:>12,.3f} G",
        ])


def attention_cost(tokens: int, head_dim: int, heads: int, batch: int = 1,
                   dtype: torch.dtype = torch.float32) -> AttentionCost:
    """Predict the cost of one self-attention.

    Args:
        tokens: number of queries, equal to that of keys.
        head_dim: width of one head.
        heads: number of heads.
        batch: number of samples.
        dtype: of q, k, v and the scores.

    Raises:
        ValueError: if a size is not a positive integer.
        TypeError: if ``dtype`` is not a floating dtype of torch.

    >>> attention_cost(tokens=32768, head_dim=8, heads=8, batch=10).score_bytes == 320 * 2**30
    True
    >>> print(attention_cost(tokens=32768, head_dim=8, heads=8, batch=10))
    attention, scores (10, 8, 32768, 32768), float32, head width 8
      q, k, v                    0.234 GiB
      scores                   320.000 GiB
      extra, explicit          640.000 GiB
      extra, fused               0.088 GiB
      multiply-adds          1,374.390 G
    """
    check_count("attention_cost", tokens=tokens, head_dim=head_dim, heads=heads, batch=batch)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"attention_cost: expected a floating dtype such as torch.float32, got {dtype!r}; "
                        "pass one of torch's")
    rows = batch * heads * tokens
    scores, tensor = rows * tokens * dtype.itemsize, rows * head_dim * dtype.itemsize
    return AttentionCost(tokens, head_dim, heads, batch, dtype, score_bytes=scores, qkv_bytes=3 * tensor, out_bytes=tensor,
                         explicit_extra_bytes=2 * scores, fused_extra_bytes=tensor + 4 * rows,
                         multiply_adds=2 * rows * tokens * head_dim)


def measure_peak(statement: str, setup: str = "", device: str = "cpu", timeout: float = 600.0) -> int:
    """Peak memory that one statement needs above what was held before it, measured in a fresh Python process.

    Used like ``timeit``: both arguments are source text, ``torch`` is imported, and gradients are off. On the CPU it is the
    resident set of the process, exact to a few MiB (what loads at first use counts, unless the setup uses it before); on
    CUDA the allocator's count.

    Args:
        statement: what to measure, for example ``"explicit_attention(q, k, v)"``.
        setup: runs before; its memory is not counted.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``: whose memory to watch. Nothing is moved there.
        timeout: seconds after which the process is ended.

    Returns:
        Bytes, at least 0.

    Raises:
        ValueError: if ``statement`` or ``setup`` is not text, or the device is another one.
        RuntimeError: if the statement fails (with its last line of error), takes too long, or the platform cannot tell.

    >>> measure_peak("torch.ones(64, 2**20)") > 240 * 2**20         # 64 Mi numbers of four bytes: 256 MiB
    True
    """
    if not isinstance(statement, str) or not isinstance(setup, str):
        raise ValueError("measure_peak: expected the statement and the setup as source text, like timeit, "
                         f"got {type(statement).__name__} and {type(setup).__name__}; put what to run in quotes")
    if not isinstance(device, str) or device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"measure_peak: expected device 'cpu', 'cuda' or 'cuda:N', got {device!r}; choose one")
    job = json.dumps({"statement": statement, "setup": setup, "device": device})
    try:
        done = subprocess.run([sys.executable, "-c", _CHILD, job], capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"measure_peak: {statement!r} took longer than {timeout:g} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}, as when killed for memory"]
        raise RuntimeError(f"measure_peak: {statement!r} failed: {last[0]}")
    return max(0, int(done.stdout.strip().splitlines()[-1]))


_CHILD = '''
import json, sys
import torch

job = json.loads(sys.argv[1])


def peak():
    try:
        lines = open("/proc/self/status").read().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):
        pass
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    except ImportError:
        pass
    try:
        import psutil
    except ImportError:
        raise SystemExit("this platform cannot tell a peak of memory; pip install psutil")
    return psutil.Process().memory_info().peak_wset


names = {"torch": torch}
cuda = job["device"].startswith("cuda")
with torch.no_grad():
    x = torch.ones(1, 1, 600, 8)                # libraries that load at the first product would be counted otherwise
    torch.nn.functional.scaled_dot_product_attention(x, x, x), (x @ x.mT).softmax(-1) @ x
    del x
    exec(job["setup"], names)
    if cuda:
        torch.cuda.synchronize(job["device"])
        torch.cuda.reset_peak_memory_stats(job["device"])
        before = torch.cuda.memory_allocated(job["device"])
    else:
        try:
            with open("/proc/self/clear_refs", "w") as reset:
                reset.write("5")                # forget the peak of the set-up (Linux)
        except OSError:
            pass
        before = peak()
    exec(job["statement"], names)
    if cuda:
        torch.cuda.synchronize(job["device"])
    print((torch.cuda.max_memory_allocated(job["device"]) if cuda else peak()) - before)
'''
