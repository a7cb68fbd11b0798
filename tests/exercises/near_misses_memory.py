"""Plausible wrong answers of chapter 10b, each with words that its hint must contain."""

import torch.nn.functional as F


def _accumulate(model, parts, weight=None, clear=True, inside=False):
    if clear:
        model.zero_grad()
    total = sum(len(x) for x, _ in parts)
    for x, y in parts:
        if inside:
            model.zero_grad()
        (F.mse_loss(model(x), y) * (weight(len(x), total, len(parts)) if weight else 1)).backward()


def _gpus(text, *, key=int, keep=max, na=None, skip=1):
    found = {}
    for line in text.splitlines()[skip:]:
        _, gpu, use, used, _ = (cell.strip() for cell in line.split(","))
        share, memory = found.setdefault(key(gpu), ([], []))
        if use[0].isdigit():
            share.append(int(use.split()[0]))
        elif na is not None:
            share.append(na)
        memory.append(int(used.split()[0]))
    return {gpu: (sum(a) / len(a), keep(b)) for gpu, (a, b) in found.items()}


class _Registry:
    def __init__(self):
        self.known = {}

    def register(self, cls):
        if cls.__name__ in self.known:
            raise KeyError(cls.__name__)
        self.known[cls.__name__] = cls
        return cls

    def get(self, name):
        if name not in self.known:
            raise KeyError(f"{name} is none of {list(self.known)}")
        return self.known[name]

    def names(self):
        return list(self.known)


class _Overwrites(_Registry):
    def register(self, cls):
        self.known[cls.__name__] = cls
        return cls


class _Nothing(_Registry):
    def register(self, cls):
        super().register(cls)


class _Silent(_Registry):
    def get(self, name):
        return self.known.get(name)


def _report(model, state, swap=False, shapes=True):
    ours = model.state_dict()
    missing, unexpected = [k for k in ours if k not in state], [k for k in state if k not in ours]
    wrong = [k for k in ours if k in state and shapes and ours[k].shape != state[k].shape]
    return (unexpected, missing, wrong) if swap else (missing, unexpected, wrong)


NEAR_MISSES = {
    "memory.budget": [(lambda n, o: n * (2 + {"sgd": 0, "momentum": 1, "adamw": 2}[o]), "4 bytes"),
                      (lambda n, o: 4 * n * (1 + {"sgd": 0, "momentum": 1, "adamw": 2}[o]), "one share is missing"),
                      (lambda n, o: 2 * n * (2 + {"sgd": 0, "momentum": 1, "adamw": 2}[o]), "half precision")],
    "memory.fit_batch": [(lambda a, b, room: room // a, "once for each sample"), (lambda a, b, room: room // (b - a), "without any sample"),
                         (lambda a, b, room: 1 + (room - a) // (b - a) + 1, "round down"),
                         (lambda a, b, room: 1 + (room - a) // (b - a) if room != 499 else -1, "Not even one")],
    "memory.accumulate": [(lambda m, p: _accumulate(m, p), "share of the samples"),
                          (lambda m, p: _accumulate(m, p, lambda n, all_, k: 1 / k), "one size only"),
                          (lambda m, p: _accumulate(m, p, lambda n, all_, k: n / all_, clear=False), "update before"),
                          (lambda m, p: _accumulate(m, p, lambda n, all_, k: n / all_, inside=True), "Only the last")],
    "memory.history": [(lambda losses: list(losses), "with a graph"), (lambda losses: [x.detach() for x in losses], "item()"),
                       (lambda losses: sum(x.item() for x in losses), "a list of 3")],
    "memory.gpu_log": [(lambda t: _gpus(t, key=str), "int(index)"), (lambda t: _gpus(t, na=0), "no zero"),
                       (lambda t: _gpus(t, keep=lambda b: b[-1]), "peak")],
    "memory.registry": [(_Overwrites, "second class"), (_Nothing, "return the class"), (_Silent, "no error")],
    "memory.key_report": [(lambda m, s: _report(m, s, swap=True), "swapped"), (lambda m, s: _report(m, s, shapes=False), "another shape"),
                          (lambda m, s: (lambda r: (list(r.missing_keys), list(r.unexpected_keys), []))(
                              m.load_state_dict({k: v for k, v in s.items() if k != "2.weight"}, strict=False)), "")],
}
