"""Checkers of chapter 10b, memory, speed, debugging."""

import copy

import torch
from torch import nn

from ._core import Hint, exercise

__all__: list[str] = []

_NOTHING = "Your function returned nothing: end it with a return."


def _whole(got, what):
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, bool) or not isinstance(got, (int, float)) or got != int(got):
        raise Hint(f"Expected {what} as a whole number, got {got!r}.")
    return int(got)


@exercise("memory.budget")
def budget(answer):
    state = {"adamw": 2, "momentum": 1, "sgd": 0}
    for count in (1000, 25_557_032):
        for optimizer, numbers in state.items():
            expected = 4 * count * (2 + numbers)
            got = _whole(answer(count, optimizer), "a number of bytes")
            if got == expected:
                continue
            if got * 4 == expected:
                raise Hint("You counted numbers: a float32 has 4 bytes.")
            if got == expected - 4 * count:
                raise Hint(f"{optimizer}: one share is missing. Weights, gradients and what the optimizer keeps: nothing for "
                           "plain SGD, one number for each weight with momentum, two for AdamW.")
            if got == expected / 2:
                raise Hint("Two bytes a number would be half precision: the weights are in float32.")
            raise Hint(f"{count} weights with {optimizer}: expected {expected}, got {got}.")
    return "16 bytes for each weight with AdamW, before the first picture."


@exercise("memory.fit_batch")
def fit_batch(answer):
    for one, two, room, expected in ((500, 700, 2000, 8), (500, 700, 1900, 8), (500, 700, 499, 0), (100, 350, 1000, 4), (500, 700, 500, 1)):
        got = _whole(answer(one, two, room), "a number of samples")
        if got == expected:
            continue
        if got == room // one:
            raise Hint("The weights are there once, not once for each sample: a sample costs two - one.")
        if got == room // (two - one):
            raise Hint("You forgot what is there without any sample: one - (two - one).")
        if got == expected + 1:
            raise Hint(f"one={one}, two={two}, room={room}: {got} samples do not fit; round down.")
        if got < 0 or (expected == 0 and got):
            raise Hint("Not even one sample fits: return 0.")
        raise Hint(f"one={one}, two={two}, room={room}: expected {expected}, got {got}.")
    return "dlnotes.memory.largest_batch follows this line and then checks, because the peak may move to another moment."


@exercise("memory.accumulate")
def accumulate(answer):
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(4, 1).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
    x, y = (torch.randn(10, width, generator=generator, dtype=torch.float64) for width in (4, 1))
    whole = copy.deepcopy(model)
    nn.functional.mse_loss(whole(x), y).backward()
    expected = [p.grad for p in whole.parameters()]
    for sizes in ((5, 5), (6, 3, 1)):
        twin, parts = copy.deepcopy(model), list(zip(x.split(list(sizes)), y.split(list(sizes))))
        for p in twin.parameters():
            p.grad = torch.ones_like(p)                             # of an earlier update
        answer(twin, parts)
        got = [p.grad for p in twin.parameters()]
        if any(g is None for g in got):
            raise Hint("There are no gradients afterwards: call backward() on each part, and do not clear them at the end.")
        if all(torch.allclose(g, e) for g, e in zip(got, expected)):
            continue
        left = [g - 1 for g in got]
        if all(torch.allclose(g, e) for g, e in zip(left, expected)):
            raise Hint("Gradients of the update before are still in the sum: model.zero_grad() once, at the beginning.")
        if all(torch.equal(g, torch.ones_like(g)) for g in got):
            raise Hint("Nothing happened to the gradients: run the model, the loss, and backward() on each part.")
        last = copy.deepcopy(model)
        nn.functional.mse_loss(last(parts[-1][0]), parts[-1][1]).backward()
        ratio = [g / p.grad for g, p in zip(got, last.parameters())]
        if all(torch.allclose(r, r.flatten()[0].expand_as(r)) for r in ratio):
            raise Hint("Only the last part is left: zero_grad() belongs before the loop.")
        if len(set(sizes)) == 1:
            raise Hint("The sum is too large: each part's mean loss counts by its share of the samples, len(x) / all.")
        raise Hint("Right for parts of one size only: weigh each part by len(x) / all, not by 1 / parts.")
    return "Equal to one batch of all samples. Batch norm is the exception: it sees the parts."


@exercise("memory.history")
def history(answer):
    losses = []
    for k in range(3):
        w = torch.tensor(float(k), requires_grad=True)
        losses.append((w + 1) ** 2)
    got = answer(losses)
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, list) or len(got) != 3:
        raise Hint(f"Expected a list of 3 numbers, got {got!r}.")
    if any(isinstance(x, torch.Tensor) and x.requires_grad for x in got):
        raise Hint("These are still tensors with a graph behind them: every activation of every step stays alive.")
    if any(isinstance(x, torch.Tensor) for x in got):
        raise Hint("detach() cuts the graph, but the numbers stay on the device: plain Python numbers come from item().")
    if got != [1.0, 4.0, 9.0]:
        raise Hint(f"Expected [1.0, 4.0, 9.0], got {got}.")
    return "item() waits for the GPU. Where that hurts, collect detached tensors and read them once an epoch."


@exercise("memory.gpu_log")
def gpu_log(answer):
    text = ("timestamp, index, utilization.gpu [%], memory.used [MiB], memory.total [MiB]\n"
            "2025/01/01 10:00:00.000, 0, 98 %, 20000 MiB, 24564 MiB\n2025/01/01 10:00:00.000, 1, 0 %, 300 MiB, 24564 MiB\n"
            "2025/01/01 10:00:01.000, 0, 12 %, 22000 MiB, 24564 MiB\n2025/01/01 10:00:01.000, 1, 0 %, 300 MiB, 24564 MiB\n"
            "2025/01/01 10:00:02.000, 0, [N/A], 21000 MiB, 24564 MiB\n")
    expected = {0: (55.0, 22000), 1: (0.0, 300)}
    got = answer(text)
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, dict):
        raise Hint(f"Expected a dict from GPU to (mean utilisation, peak memory), got {type(got).__name__}.")
    if set(got) == {"0", "1"}:
        raise Hint("The keys are numbers: int(index).")
    if set(got) != {0, 1}:
        raise Hint(f"Expected GPUs 0 and 1, got {sorted(map(str, got))}: the first line names the columns.")
    for gpu, (mean, peak) in expected.items():
        if tuple(got[gpu]) == (mean, peak):
            continue
        a, b = got[gpu]
        if b != peak:
            raise Hint(f"GPU {gpu}: the peak of memory is {peak} MiB, got {b}: the largest, not the last and not the mean.")
        if gpu == 0 and abs(a - 110 / 3) < 0.1:
            raise Hint("'[N/A]' is no zero: leave it out of the mean.")
        raise Hint(f"GPU {gpu}: expected a mean utilisation of {mean}, got {a}.")
    return "55 % on average: 98, then 12. Look at the row of values before you trust a mean."


@exercise("memory.registry")
def registry(answer):
    made = answer()
    if made is None or made is ...:
        raise Hint("Your class makes nothing: define register, get and names.")
    for method in ("register", "get", "names"):
        if not callable(getattr(made, method, None)):
            raise Hint(f"The registry has no method {method}.")

    class Net:
        pass

    if made.register(Net) is not Net:
        raise Hint("register must return the class: it is used as a decorator, and what it returns takes the name.")
    if made.get("Net") is not Net:
        raise Hint("get('Net') must give the class that was registered.")
    if answer().names():
        raise Hint("A second registry already knows names: the dict belongs to the object, not to the class.")
    other = type("Net", (), {})
    try:
        made.register(other)
    except (KeyError, ValueError, AssertionError):
        pass
    else:
        raise Hint("A second class of the same name was accepted: a config that says Net would get either of the two.")
    try:
        made.get("Nett")
    except (KeyError, ValueError) as error:
        if "Net" not in str(error).replace("Nett", ""):
            raise Hint("The error should name what is there: a typing error in a config is found by reading.") from None
    else:
        raise Hint("An unknown name gave no error: raise a KeyError or ValueError.")
    if list(made.names()) != ["Net"]:
        raise Hint(f"names() should be ['Net'], got {made.names()!r}.")
    return "Thirty lines of BasicSR do the same, with a suffix and a loop that imports every file named *_arch.py."


@exercise("memory.key_report")
def key_report(answer):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    right = model.state_dict()
    cases = [(dict(right), ([], [], [])),
             ({f"params.{k}": v for k, v in right.items()}, (sorted(right), sorted(f"params.{k}" for k in right), [])),
             ({**right, "2.weight": torch.zeros(5, 2), "3.bias": torch.zeros(1)}, ([], ["3.bias"], ["2.weight"]))]
    cases[2][0].pop("0.bias")
    cases[2] = (cases[2][0], (["0.bias"], ["3.bias"], ["2.weight"]))
    for state, expected in cases:
        before = {k: v.clone() for k, v in model.state_dict().items()}
        got = answer(model, dict(state))
        if got is None or got is ...:
            raise Hint(_NOTHING)
        if not isinstance(got, (tuple, list)) or len(got) != 3:
            raise Hint(f"Expected three lists (missing, unexpected, misshapen), got {got!r}.")
        if any(not torch.equal(v, before[k]) for k, v in model.state_dict().items()):
            raise Hint("The model was changed: compare names and shapes, load nothing.")
        got = tuple(sorted(x) for x in got)
        if got == expected:
            continue
        if (got[1], got[0]) == expected[:2]:
            raise Hint("Missing and unexpected are swapped: missing is what the model has and the file does not.")
        if got[:2] == expected[:2] and not got[2]:
            raise Hint("'2.weight' is in both, with another shape: compare shapes, too.")
        raise Hint(f"Expected {expected}, got {got}.")
    return "Three empty lists are the only result that deserves a training run."
