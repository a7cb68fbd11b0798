"""Checkers of chapter 2c (training a CNN)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ._core import Hint, exercise, expect_equal, expect_number


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _classes(n: int, classes: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


def _same(got, expected: torch.Tensor, atol: float = 1e-8) -> bool:
    return isinstance(got, torch.Tensor) and got.shape == expected.shape and torch.allclose(got.detach().to(expected), expected,
                                                                                          atol=atol)


@exercise("training.updates")
def updates(answer):
    for samples, batch, epochs, accumulate, drop in [(1000, 50, 8, 1, False), (1003, 50, 2, 1, False), (1003, 50, 2, 1, True),
                                                     (1103, 50, 3, 4, False), (1040, 50, 3, 4, True), (90, 100, 5, 2, False)]:
        got = expect_number(answer(samples, batch, epochs, accumulate, drop), "the number of updates")
        batches = samples // batch if drop else math.ceil(samples / batch)
        want = epochs * math.ceil(batches / accumulate)
        case = (f"{samples} pictures, batch {batch}, {epochs} epochs, accumulate={accumulate}, drop_last={drop}: expected {want}, "
                f"got {got}.")
        if got == want:
            continue
        if got == epochs * batches and accumulate > 1:
            raise Hint(f"{case} That counts the batches; {accumulate} of them share one update.")
        if not drop and got == epochs * math.ceil(samples // batch / accumulate):
            raise Hint(f"{case} The smaller batch at the end of an epoch counts too, unless it is dropped.")
        if drop and got == epochs * math.ceil(math.ceil(samples / batch) / accumulate):
            raise Hint(f"{case} With drop_last the incomplete batch is left out.")
        if got in (epochs * (batches // accumulate), epochs * batches / accumulate):
            raise Hint(f"{case} A group of fewer than {accumulate} batches at the end of an epoch makes an update too.")
        if got in (math.ceil(epochs * batches / accumulate), epochs * batches // accumulate):
            raise Hint(f"{case} Groups do not reach over the end of an epoch: round up in each epoch, then multiply.")
        if got in (math.ceil(epochs * samples / batch), epochs * samples // batch, epochs * samples / batch):
            raise Hint(f"{case} Round in each epoch, then multiply: the order of the pictures begins anew.")
        raise Hint(f"{case} First the batches of an epoch, then the updates of an epoch, then all epochs.")
    return "An 'epoch' is no measure of work: compare runs by their updates, and by the pictures that they have seen."


@exercise("training.cross_entropy")
def cross_entropy(answer):
    for b, classes, scale in [(6, 4, 1.0), (5, 10, 3.0), (4, 3, 1000.0)]:
        z, t = scale * _noise(b, classes, seed=b), _classes(b, classes, seed=b)
        expected = F.cross_entropy(z, t)
        got = answer(z.clone(), t.clone())
        value = expect_number(got, "the loss")
        rows = torch.arange(b)
        if math.isclose(value, expected.item(), rel_tol=1e-6):
            continue
        if scale > 100 and not math.isclose(value, expected.item(), rel_tol=1e-6):
            raise Hint(f"With logits near 1000 you got {value}, expected {expected.item():.4g}: exp() overflows, or log(0) is "
                       "taken. Use logsumexp, or subtract the largest logit first.")
        wrong = {
            "That is the sum over the batch: take the mean.": expected * b,
            "The sign is wrong: the loss is minus the logarithm of a probability.": -expected,
            "That is the mean probability of the truth: its logarithm is missing.": -z.softmax(1)[rows, t].mean(),
            "You took the mean over all classes: only the logit of the true class counts.": -z.log_softmax(1).mean(),
            "You divided by the number of classes as well: the mean is over the pictures.": expected / classes,
            "That is the softmax of a softmax: use the logits as they are.": F.cross_entropy(z.softmax(1), t),
            "You normalised over the batch: the classes are axis 1.": -z.log_softmax(0)[rows, t].mean(),
            "The logarithm has base 2: natural logarithms are used here.": expected / math.log(2),
        }
        for hint, mistake in wrong.items():
            if math.isclose(value, mistake.item(), rel_tol=1e-6):
                raise Hint(hint)
        raise Hint(f"Expected {expected.item():.4f}, got {value:.4f}: logsumexp over the classes, minus the logit of the true "
                   "class, mean over the batch.")
    z = _noise(3, 4).requires_grad_()
    loss = answer(z, torch.tensor([0, 1, 2]))
    if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        raise Hint("The loss carries no gradient: return a tensor, without .item() or .detach().")
    return "Adding a constant to all logits of a picture changes nothing: the loss sees differences only."


@exercise("training.linear_gradients")
def linear_gradients(answer):
    for n, k, classes in [(5, 7, 3), (1, 4, 6), (8, 3, 3)]:
        x, W, b = _noise(n, k, seed=1), _noise(k, classes, seed=2), _noise(classes, seed=3)
        t = _classes(n, classes, seed=4)
        leaves = [W.clone().requires_grad_(), b.clone().requires_grad_()]
        expected = torch.autograd.grad(F.cross_entropy(x @ leaves[0] + leaves[1], t), leaves)
        got = answer(x.clone(), W.clone(), b.clone(), t.clone())
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Hint(f"Expected a pair (dW, db), got {type(got).__name__}.")
        dW, db = got
        if not isinstance(dW, torch.Tensor) or not isinstance(db, torch.Tensor):
            raise Hint("Expected two tensors.")
        if _same(dW, expected[0]) and _same(db, expected[1]):
            continue
        p, truth = (x @ W + b).softmax(1), F.one_hot(t, classes)
        if n > 1 and _same(dW, expected[0] * n):
            raise Hint("The gradients are too large by the size of the batch: the loss is a mean, so divide by n.")
        if _same(dW, -expected[0]):
            raise Hint("The sign is wrong: the gradient of the logits is probability minus truth.")
        if _same(dW, x.T @ p / n):
            raise Hint("The truth is missing: subtract one from the probability of the true class.")
        if _same(dW, x.T @ ((x @ W + b) - truth) / n):
            raise Hint("You subtracted the truth from the logits: take their softmax first.")
        if tuple(dW.shape) == (classes, k) and classes != k:
            raise Hint("dW has the shape of W transposed: it is x.T @ dz, (k, classes).")
        if _same(dW, expected[0]) and tuple(db.shape) == (n, classes):
            raise Hint("db must be summed over the batch: b was added to every row.")
        if n > 1 and _same(dW, expected[0]) and _same(db, expected[1] / n):
            raise Hint("dW is right; db is divided by n twice: sum over the rows of dz, which is divided already.")
        expect_equal(dW, expected[0], hint="dW is x.T @ dz with dz = (softmax(z) - one_hot(t)) / n.")
        expect_equal(db, expected[1], hint="db is the sum of dz over the batch.")
    return "Where probability equals truth the gradient is zero. On paper a softmax never reaches 1; in float32 a lead of 20 is enough."


@exercise("training.adam")
def adam(answer):
    from dlnotes.optim import Adam

    w = torch.nn.Parameter(_noise(5, seed=1))
    optimizer = Adam([w], lr=0.02, betas=(0.8, 0.95), eps=1e-3)
    mine, m, v = w.detach().clone(), torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for t in range(1, 5):
        g = _noise(5, seed=10 + t) * torch.tensor([1e-4, 0.1, 1.0, 10.0, 1e3], dtype=torch.float64)
        w.grad = g.clone()
        before, old = mine.clone(), (m.clone(), v.clone())
        got = answer(mine.clone(), g.clone(), m.clone(), v.clone(), t, 0.02, 0.8, 0.95, 1e-3)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not isinstance(got, (tuple, list)) or len(got) != 3:
            raise Hint(f"Expected three tensors (w, m, v), got {type(got).__name__}.")
        optimizer.step()
        m, v = (optimizer.state[w][name].clone() for name in "mv")
        mine, step = w.detach().clone(), w.detach() - before
        new, m_got, v_got = got
        a, c = 1 - 0.8**t, 1 - 0.95**t
        if _same(v_got, v / c) or (t > 1 and _same(m_got, m / a)):
            raise Hint("Return the running means as they are: the corrected ones are for the step alone, and must not be "
                       "corrected again at the next one.")
        if not _same(m_got, m):
            if _same(m_got, 0.8 * old[0] + g):
                raise Hint("m lacks the factor (1 - b1) on the gradient: it is a mean, not a sum.")
            raise Hint("m is not right: b1 times the old mean plus (1 - b1) times the gradient.")
        if not _same(v_got, v):
            if _same(v_got, 0.95 * old[1] + 0.05 * g):
                raise Hint("v must average the squares of the gradient.")
            raise Hint("v is not right: b2 times the old mean plus (1 - b2) times the squared gradient.")
        if _same(new, mine, 1e-10):
            continue
        wrong = {
            "The correction is missing: divide m by 1 - b1**t and v by 1 - b2**t in the step.": -0.02 * m / (v.sqrt() + 1e-3),
            "You added eps under the root: it belongs beside the root.": -0.02 * (m / a) / (v / c + 1e-3).sqrt(),
            "The step goes up the slope: the sign is wrong.": -step,
            "The root is missing: divide by the root of the mean square.": -0.02 * (m / a) / (v / c + 1e-3),
            "The step must use m, not the gradient alone.": -0.02 * g / ((v / c).sqrt() + 1e-3),
        }
        for hint, mistake in wrong.items():
            if _same(new - before, mistake, 1e-10):
                raise Hint(hint)
        raise Hint("m and v are right, w is not: lr * m_hat / (sqrt(v_hat) + eps), with m_hat = m / (1 - b1**t) and the same for v.")
    return "At t = 1 the corrected means are g and g squared, so the first step has the length lr for any gradient well above eps."


@exercise("training.accumulate")
def accumulate(answer):
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    torch.set_rng_state(torch_state)
    batches = [(_noise(n, 4, seed=n), _classes(n, 3, seed=n)) for n in (2, 6, 1)]
    x, t = (torch.cat(part) for part in zip(*batches))

    def grads(loss):
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])

    expected = grads(F.cross_entropy(model(x), t))
    losses = [grads(F.cross_entropy(model(a), b)) for a, b in batches]
    for p in model.parameters():
        p.grad = torch.full_like(p, 0.5)                            # what an earlier update has left
    before = [p.detach().clone() for p in model.parameters()]
    calls = []
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    try:
        answer(model, [(a.clone(), b.clone()) for a, b in batches])
    finally:
        handle.remove()
    if any(not torch.equal(p, q) for p, q in zip(model.parameters(), before)):
        raise Hint("Your function changed the weights: fill p.grad, and leave the step to the optimiser.")
    if any(p.grad is None for p in model.parameters()):
        raise Hint("Some p.grad is None: call backward on every batch, after the zero_grad.")
    got = torch.cat([p.grad.flatten() for p in model.parameters()])
    if torch.equal(got, torch.full_like(got, 0.5)):
        raise Hint("Nothing has happened to p.grad yet: replace the ... with your loop.")
    if _same(got, expected, 1e-10):
        if len(calls) == 1:
            raise Hint("Right, but in one pass over all pictures: that is what the memory cannot hold. Go batch by batch.")
        return "fit(accumulate=...) weighs in the same way, so that a short last batch does not count more per picture."
    wrong = {
        "What was in p.grad before still counts: clear it first.": expected + 0.5,
        "Each batch has the same weight, so the pictures of small batches count more: weigh by the size of the batch.":
            sum(losses) / 3,
        "The losses are added without weights: each is a mean, so weigh it by its share of the pictures.": sum(losses),
        "That is the gradient of the last batch alone: zero_grad belongs before the loop, not into it.": losses[-1],
        "The weights are right, but the last batch alone is left: zero_grad belongs before the loop.": losses[-1] / 9,
        "You weigh by the number of pictures, without dividing by all of them: this is their sum.": 9 * expected,
    }
    for hint, mistake in wrong.items():
        if _same(got, mistake, 1e-10):
            raise Hint(hint)
    raise Hint("The gradient is not that of all pictures together: (loss * len(y) / total).backward() for each batch.")


@exercise("training.schedule")
def schedule(answer):
    def factor(step, warmup, total, floor):
        if step < warmup:
            return (step + 1) / warmup
        done = min((step - warmup) / (total - warmup), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    for warmup, total, floor in [(5, 25, 0.0), (4, 20, 0.1), (1, 11, 0.0)]:
        for step in [*range(total + 1), total + 7]:
            got, want = expect_number(answer(step, warmup, total, floor), "the factor"), factor(step, warmup, total, floor)
            if math.isclose(got, want, abs_tol=1e-9):
                continue
            case = f"Step {step} of warmup={warmup}, total={total}, floor={floor}: expected {want:.4f}, got {got:.4f}."
            if step < warmup:
                if math.isclose(got, step / warmup, abs_tol=1e-9):
                    raise Hint(f"{case} Your climb begins at 0, so the first update would not move at all.")
                raise Hint(f"{case} The climb is (step + 1) / warmup.")
            if step > total:
                raise Hint(f"{case} After the end the factor stays at the floor: the cosine would climb again.")
            late = floor + (1 - floor) * (1 + math.cos(math.pi * step / total)) / 2
            if math.isclose(got, late, abs_tol=1e-9):
                raise Hint(f"{case} Your cosine began at step 0: it starts after the warm-up.")
            plain = (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
            if math.isclose(got, max(plain, floor), abs_tol=1e-9) or math.isclose(got, plain, abs_tol=1e-9):
                raise Hint(f"{case} The cosine must go from 1 to the floor, not to 0: stretch it.")
            short = floor + (1 - floor) * (1 + math.cos(math.pi * (step - warmup) / total)) / 2
            if math.isclose(got, short, abs_tol=1e-9):
                raise Hint(f"{case} The cosine has total - warmup steps, and yours is not down at the end.")
            if math.isclose(got, 1 - (step - warmup) / (total - warmup) * (1 - floor), abs_tol=1e-9):
                raise Hint(f"{case} That is a straight line: half a cosine is asked for.")
            raise Hint(f"{case} floor + (1 - floor) * (1 + cos(pi * done)) / 2, where done goes from 0 to 1.")
    return "Give it to LambdaLR(optimizer, lambda step: factor(step, ...)), and call scheduler.step() after each update."


class _Watched(nn.Module):
    """A small network that notes in which mode it is called."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layer = nn.Linear(4, 3).double()
        with torch.no_grad():
            for p in self.layer.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
        self.modes: list[bool] = []

    def forward(self, x):
        self.modes.append(self.training)
        return self.layer(x)


@exercise("training.train_step")
def train_step(answer):
    x, t, lr = _noise(6, 4, seed=1), _classes(6, 3, seed=2), 0.1
    model = _Watched().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    expected_loss, expected = [], []
    twin = _Watched()
    for _ in range(2):
        loss = F.cross_entropy(twin(x), t)
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for p, g in zip(twin.parameters(), gradients):
                p -= lr * g
        expected_loss.append(loss.item())
        expected.append([p.detach().clone() for p in twin.parameters()])
    model.layer.weight.grad = torch.ones_like(model.layer.weight)   # left over from somewhere else
    model.layer.bias.grad = torch.ones_like(model.layer.bias)
    start = [p.detach().clone() for p in model.parameters()]
    for update in range(2):
        model.eval()
        got = answer(model, optimizer, x.clone(), t.clone())
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the loss.")
        if not model.modes or not model.modes[-1]:
            raise Hint("The model was called in eval mode: somebody may have evaluated it before. Call model.train() first.")
        if isinstance(got, torch.Tensor):
            raise Hint("You returned a tensor, which keeps the graph alive: return loss.item().")
        value = expect_number(got, "the loss")
        now = [p.detach() for p in model.parameters()]
        if all(torch.equal(p, q) for p, q in zip(now, start)):
            raise Hint("The weights have not moved: call optimizer.step() after backward().")
        with torch.no_grad():
            stale = [p - lr for p in start]
        if update == 0 and all(torch.allclose(p, q) for p, q in zip(now, stale)):
            raise Hint("The step used the gradient that was there before: step() comes after backward().")
        leaves = [p.clone().requires_grad_() for p in start]
        z = F.linear(x, *leaves)                                    # n classes, before the first step
        kept = [p - lr * (g + 1) for p, g in zip(leaves, torch.autograd.grad(F.cross_entropy(z, t), leaves))]
        if update == 0 and all(torch.allclose(p, q) for p, q in zip(now, kept)):
            raise Hint("Old gradients were added to the new ones: call zero_grad() before backward().")
        if not math.isclose(value, expected_loss[update], rel_tol=1e-6):
            double = F.cross_entropy(z.softmax(1), t).item()
            if update == 0 and math.isclose(value, double, rel_tol=1e-6):
                raise Hint("The loss saw probabilities: cross_entropy takes logits, so leave the softmax out.")
            raise Hint(f"Expected the loss before the step, {expected_loss[update]:.4f}, got {value:.4f}.")
        if not all(torch.allclose(p, q) for p, q in zip(now, expected[update])):
            raise Hint("The weights are not where one plain step leads: forward, zero_grad, backward, step, once each.")
    return "zero_grad may stand anywhere between two backward calls, except between backward and step."


@exercise("training.noise_floor")
def noise_floor(answer):
    for start, lr, steps in [(2.0, 0.1, 0), (0.0, 0.1, 1), (2.0, 0.1, 30), (5.0, 0.5, 4), (3.0, 0.01, 100)]:
        got = expect_number(answer(start, lr, steps), "the expected square")
        q = (1 - lr) ** 2
        mean, variance = start**2 * q**steps, lr**2 * (1 - q**steps) / (1 - q)
        case = f"start {start:g}, lr {lr:g}, {steps} steps: expected {mean + variance:.4f}, got {got:.4f}."
        if math.isclose(got, mean + variance, rel_tol=1e-6, abs_tol=1e-9):
            continue
        if math.isclose(got, variance, rel_tol=1e-6, abs_tol=1e-9):
            raise Hint(f"{case} That is the variance alone: the square of the mean is missing.")
        if math.isclose(got, mean, rel_tol=1e-6, abs_tol=1e-9):
            raise Hint(f"{case} That is the square of the mean alone: the noise adds a variance.")
        if math.isclose(got, lr / (2 - lr), rel_tol=1e-6) or math.isclose(got, mean + lr / (2 - lr), rel_tol=1e-6):
            raise Hint(f"{case} lr / (2 - lr) is the variance after very many steps; here it has to be followed step by step.")
        if math.isclose(got, mean + lr**2 * steps, rel_tol=1e-6):
            raise Hint(f"{case} Old noise fades: each step multiplies the variance so far by (1 - lr)**2.")
        if math.isclose(got, mean + lr * (1 - q**steps) / (1 - q), rel_tol=1e-6):
            raise Hint(f"{case} The noise is multiplied by lr, so its variance by lr**2.")
        raise Hint(f"{case} w becomes (1 - lr) w - lr noise: mean times (1 - lr), variance times (1 - lr)**2 plus lr**2.")
    return "Its two parts are travel and noise: a large rate shrinks the first faster, and leaves more of the second."
