"""Plausible wrong answers of chapter 2c, each with words that its hint must contain."""

import math

import torch
import torch.nn.functional as F


def _updates(samples, batch, epochs, accumulate=1, drop_last=False, *, short=math.ceil, group=math.ceil, per_epoch=True,
             dropped=True):
    batches = samples // batch if drop_last and dropped else short(samples / batch)
    return epochs * group(batches / accumulate) if per_epoch else group(epochs * batches / accumulate)


def _loss(z, t, *, axis=1, reduce=torch.mean, sign=-1.0, log=torch.log, probabilities=lambda z: z):
    p = probabilities(z).exp() / probabilities(z).exp().sum(axis, keepdim=True)
    return sign * reduce(log(p[torch.arange(len(z)), t]))


def _gradients(x, W, b, t, *, mean=True, truth=1.0, logits=False, sign=1.0, bias=lambda dz: dz.sum(0), turn=False):
    z = x @ W + b
    dz = sign * ((z if logits else z.softmax(1)) - truth * F.one_hot(t, W.shape[1])) / (len(x) if mean else 1)
    return dz.T @ x if turn else x.T @ dz, bias(dz)


def _adam(w, g, m, v, t, lr, b1, b2, eps, *, correct=True, inside=False, up=False, mean=True, square=True, store=False):
    m, v = b1 * m + ((1 - b1) if mean else 1) * g, b2 * v + (1 - b2) * (g**2 if square else g)
    mh, vh = (m / (1 - b1**t), v / (1 - b2**t)) if correct else (m, v)
    step = lr * mh / ((vh + eps).sqrt() if inside else vh.sqrt() + eps)
    return w + step if up else w - step, mh if store else m, vh if store else v


def _accumulate(model, batches, *, clear="before", weight="share", once=False, move=False):
    if clear == "before":
        model.zero_grad()
    total = sum(len(y) for _, y in batches)
    if once:
        F.cross_entropy(model(torch.cat([x for x, _ in batches])), torch.cat([y for _, y in batches])).backward()
        return
    for x, y in batches:
        if clear == "inside":
            model.zero_grad()
        by = {"share": len(y) / total, "even": 1 / len(batches), "none": 1.0, "count": len(y)}[weight]
        (F.cross_entropy(model(x), y) * by).backward()
    if move:
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad


def _factor(step, warmup, total, floor=0.0, *, first=1, begin=True, clip=True, stretch=True, whole=False, line=False):
    if step < warmup:
        return (step + first) / warmup
    done = (step - warmup * begin) / (total if whole or not begin else total - warmup)
    done = min(done, 1.0) if clip else done
    wave = 1 - done if line else (1 + math.cos(math.pi * done)) / 2
    return floor + (1 - floor) * wave if stretch else max(wave, floor)


def _step(model, optimizer, x, y, *, train=True, clear=True, soft=False, early=False, step=True, item=True):
    if train:
        model.train()
    if early:
        optimizer.step()
    z = model(x)
    loss = F.cross_entropy(z.softmax(1) if soft else z, y)
    if clear:
        optimizer.zero_grad()
    loss.backward()
    if step and not early:
        optimizer.step()
    return loss.item() if item else loss


def _square(start, lr, steps, *, mean=True, noise=lambda lr, k, q: lr**2 * (1 - q**k) / (1 - q)):
    q = (1 - lr) ** 2
    return mean * start**2 * q**steps + noise(lr, steps, q)


NEAR_MISSES = {
    "training.updates": [
        (lambda s, b, e, a=1, d=False: e * _updates(s, b, 1, 1, d), "share one update"),
        (lambda *a: _updates(*a, short=math.floor), "smaller batch at the end"),
        (lambda *a: _updates(*a, dropped=False), "incomplete batch is left out"),
        (lambda *a: _updates(*a, group=math.floor), "makes an update too"),
        (lambda *a: _updates(*a, per_epoch=False), "Groups do not reach over"),
        (lambda s, b, e, a=1, d=False: "many", "as a number"),
    ],
    "training.cross_entropy": [
        (lambda z, t: _loss(z, t), "exp() overflows"),
        (lambda z, t: _loss(z, t, reduce=torch.sum), "take the mean"),
        (lambda z, t: _loss(z, t, sign=1.0), "sign is wrong"),
        (lambda z, t: _loss(z, t, log=lambda p: p), "logarithm is missing"),
        (lambda z, t: -z.log_softmax(1).mean(), "only the logit of the true class"),
        (lambda z, t: F.cross_entropy(z.softmax(1), t), "softmax of a softmax"),
        (lambda z, t: _loss(z, t, axis=0), "classes are axis 1"),
        (lambda z, t: F.cross_entropy(z, t).item(), "carries no gradient"),
    ],
    "training.linear_gradients": [
        (lambda *a: _gradients(*a, mean=False), "divide by n"),
        (lambda *a: _gradients(*a, sign=-1.0), "probability minus truth"),
        (lambda *a: _gradients(*a, truth=0.0), "truth is missing"),
        (lambda *a: _gradients(*a, logits=True), "take their softmax first"),
        (lambda *a: _gradients(*a, turn=True), "transposed"),
        (lambda *a: _gradients(*a, bias=lambda dz: dz), "summed over the batch"),
        (lambda *a: _gradients(*a, bias=lambda dz: dz.mean(0)), "divided by n twice"),
        (lambda *a: _gradients(*a)[0], "pair"),
    ],
    "training.adam": [
        (lambda *a: _adam(*a, correct=False), "correction is missing"),
        (lambda *a: _adam(*a, inside=True), "under the root"),
        (lambda *a: _adam(*a, up=True), "up the slope"),
        (lambda *a: _adam(*a, mean=False), "it is a mean, not a sum"),
        (lambda *a: _adam(*a, square=False), "squares"),
        (lambda *a: _adam(*a, store=True), "Return the running means"),
        (lambda *a: _adam(*a)[0], "three tensors"),
    ],
    "training.accumulate": [
        (lambda m, b: _accumulate(m, b, clear="never"), "clear it first"),
        (lambda m, b: _accumulate(m, b, clear="inside"), "belongs before the loop"),
        (lambda m, b: _accumulate(m, b, weight="even"), "small batches count more"),
        (lambda m, b: _accumulate(m, b, weight="none"), "without weights"),
        (lambda m, b: _accumulate(m, b, weight="count"), "without dividing"),
        (lambda m, b: _accumulate(m, b, once=True), "batch by batch"),
        (lambda m, b: _accumulate(m, b, move=True), "changed the weights"),
    ],
    "training.schedule": [
        (lambda *a: _factor(*a, first=0), "would not move at all"),
        (lambda *a: _factor(*a, begin=False), "starts after the warm-up"),
        (lambda *a: _factor(*a, clip=False), "climb again"),
        (lambda *a: _factor(*a, stretch=False), "not to 0"),
        (lambda *a: _factor(*a, whole=True), "not down at the end"),
        (lambda *a: _factor(*a, line=True), "straight line"),
    ],
    "training.train_step": [
        (lambda *a: _step(*a, train=False), "eval mode"),
        (lambda *a: _step(*a, clear=False), "Old gradients"),
        (lambda *a: _step(*a, soft=True), "takes logits"),
        (lambda *a: _step(*a, early=True), "after backward()"),
        (lambda *a: _step(*a, step=False), "not moved"),
        (lambda *a: _step(*a, item=False), "loss.item()"),
    ],
    "training.noise_floor": [
        (lambda *a: _square(*a, mean=False), "variance alone"),
        (lambda *a: _square(*a, noise=lambda lr, k, q: 0.0), "mean alone"),
        (lambda *a: _square(*a, noise=lambda lr, k, q: lr / (2 - lr) if k else 0.0), "very many steps"),
        (lambda *a: _square(*a, noise=lambda lr, k, q: lr**2 * k), "Old noise fades"),
        (lambda *a: _square(*a, noise=lambda lr, k, q: lr * (1 - q**k) / (1 - q)), "lr**2"),
    ],
}
