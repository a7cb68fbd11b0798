"""Checkers for the exercises of chapter 5c, the Transformer and graphs."""

import torch
import torch.nn.functional as F

from ._core import Hint, exercise, expect_equal

__all__: list[str] = []


def _randn(*shape: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _graph(n: int, seed: int = 0) -> torch.Tensor:
    """A symmetric 0/1 adjacency without loops: a ring, so that everyone has a neighbour, and a few chords."""
    chords = (torch.rand(n, n, generator=torch.Generator().manual_seed(seed)) < 0.25).float()
    ring = torch.eye(n).roll(1, 0)
    return ((chords + chords.T + ring + ring.T) > 0).float().fill_diagonal_(0)


def _close(got, wrong: torch.Tensor) -> bool:
    """Whether the answer equals one particular wrong result."""
    return (isinstance(got, torch.Tensor) and got.shape == wrong.shape
            and torch.allclose(got.detach().to(wrong), wrong, atol=1e-5))


def _call(answer, *inputs):
    """Call the reader's function on copies and object if it changes them."""
    copies = [x.clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    got = answer(*copies)
    for copy, original in zip(copies, inputs):
        if isinstance(original, torch.Tensor) and not torch.equal(copy, original):
            raise Hint("Your function changed its input in place. The caller still needs it: write to a new tensor.")
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    return got


@exercise("graphs.shift_right")
def _shift_right(answer):
    for b, n, start in [(2, 5, 1), (3, 4, 9)]:
        tokens = torch.arange(b * n).reshape(b, n) + 20
        first = torch.full((b, 1), start)
        got = _call(answer, tokens, start)
        if _close(got, torch.cat([first, tokens], 1)):
            raise Hint("That is one token too long. The last answer is never given to the decoder: leave it out.")
        if _close(got, torch.cat([tokens[:, 1:], first], 1)):
            raise Hint("You moved left. Step i must be given answer i - 1, and step 0 the start token.")
        if _close(got, tokens.roll(1, 1)):
            raise Hint("roll puts the last answer first, so step 0 would be told how the sequence ends. Put the start token "
                       "there.")
        if _close(got, tokens):
            raise Hint("Nothing moved: each step would be given the token that it has to say.")
        if _close(got, torch.cat([first, tokens[:, 1:]], 1)):
            raise Hint("You overwrote the first answer and moved nothing: from step 1 on each step is given the token that "
                       "it has to say.")
        expect_equal(got, torch.cat([first, tokens[:, :-1]], 1), hint="Expected the start token, then answers 0 to n - 2.")
        if got.dtype != torch.int64:
            raise Hint(f"Expected integer tokens as in the answer, got {got.dtype}: an embedding cannot look those up.")
    return "Step i is given answers 0 to i - 1 and says answer i: all steps can be trained at once."


@exercise("graphs.block_parameters")
def _block_parameters(answer):
    for d, heads, ff in [(32, 4, 64), (96, 3, 200)]:
        want = 4 * d * d + 4 * d + 2 * d * ff + ff + d + 4 * d
        got = _call(answer, d, heads, ff)
        if got == want - 4 * d:
            raise Hint("You left out the two norms: each has a scale and a shift of embed_dim numbers.")
        if got == want - 4 * d - ff - d - 4 * d or got == want - 4 * d - ff - d:
            raise Hint("The biases are missing: four maps of the attention and two of the feed-forward sublayer have one.")
        if got == want + (heads - 1) * (4 * d * d + 4 * d) or got == want + (heads - 1) * (3 * d * d + 3 * d):
            raise Hint("More heads do not add weights: the heads share embed_dim between them.")
        if got == want - d * d - d:
            raise Hint("Attention has four maps: queries, keys, values, and the one that mixes the heads at the end.")
        if got != want:
            raise Hint(f"For embed_dim={d}, heads={heads}, ff_dim={ff} expected {want:,}, got {got!r}. Count four square "
                       "maps, two of the feed-forward sublayer, all biases, and two norms.")
    return "The number of heads does not enter, and for ff_dim = 4 embed_dim two thirds are in the feed-forward sublayer."


@exercise("graphs.normalize")
def _normalize(answer):
    for n in (5, 8):
        a = _graph(n, n)
        loops = a + torch.eye(n)
        d, bare = loops.sum(1), a.sum(1)
        got = _call(answer, a)
        if _close(got, a / (bare[:, None] * bare).sqrt()):
            raise Hint("The self-loops are missing: without them a node does not hear itself.")
        if _close(got, loops / d[:, None]) or _close(got, loops / d):
            raise Hint("You divided by one degree only. The result is not symmetric: divide the edge (i, j) by the root of "
                       "both degrees.")
        if _close(got, loops / (d[:, None] * d)):
            raise Hint("You divided by the degrees, not by their roots.")
        if _close(got, loops / (bare[:, None] * bare).sqrt()):
            raise Hint("The degrees must count the self-loop too: sum the rows of A + I.")
        if _close(got, loops.softmax(-1)) or _close(got, a.softmax(-1)):
            raise Hint("A softmax makes every pair adjacent. Zeros must stay zeros.")
        expect_equal(got, loops / (d[:, None] * d).sqrt(), hint="Expected (A + I)[i, j] / sqrt(d[i] d[j]).")
    return "It is symmetric with largest eigenvalue 1, so no number of layers makes the features explode."


@exercise("graphs.neighbour_weights")
def _neighbour_weights(answer):
    for n in (5, 7):
        a, scores = _graph(n, n), 2 * _randn(n, n) - 1
        loops = (a + torch.eye(n)) > 0
        got = _call(answer, scores, a)
        if _close(got, scores.softmax(-1)):
            raise Hint("You did not use the adjacency: these are weights over all pairs.")
        if _close(got, scores.softmax(-1) * loops) or _close(got, scores.softmax(-1) * a):
            raise Hint("You masked after the softmax, so the rows no longer sum to one. Put minus infinity before it.")
        if _close(got, (scores * loops).softmax(-1)) or _close(got, (scores * a).softmax(-1)):
            raise Hint("A score of zero is not a closed door: exp(0) = 1. Put minus infinity where there is no edge.")
        if _close(got, scores.masked_fill(a == 0, float("-inf")).softmax(-1)):
            raise Hint("A node belongs to its own neighbourhood: allow the diagonal.")
        if _close(got, scores.masked_fill(~loops, float("-inf")).softmax(0)):
            raise Hint("The softmax runs over the wrong axis: each row must sum to one.")
        expect_equal(got, scores.masked_fill(~loops, float("-inf")).softmax(-1),
                     hint="Expected a softmax over the neighbours and the node itself, zero elsewhere.")
        if (got[~loops] != 0).any():
            raise Hint("Weights outside the neighbourhood must be exactly zero: use float('-inf'), not a large number.")
    return "With no edges at all, the result is the identity: each node hears itself."


@exercise("graphs.pair_scores")
def _pair_scores(answer):
    for n, d in [(5, 3), (7, 4)]:
        h, a = _randn(n, d), _randn(2 * d, seed=17)         # scores of both signs
        s, t = h @ a[:d], h @ a[d:]
        got = _call(answer, h, a)
        if _close(got, s[:, None] + t):
            raise Hint("The LeakyReLU is missing. Without it the part of the asking node cancels in the softmax.")
        if _close(got, F.leaky_relu(t[:, None] + s, 0.2)):
            raise Hint("Transposed: the first half of a belongs to the asking node i, which is the row.")
        if _close(got, F.leaky_relu(s[:, None] + t, 0.01)):
            raise Hint("That is PyTorch's default slope of 0.01. The exercise asks for 0.2.")
        if _close(got, F.leaky_relu(s, 0.2)[:, None] + F.leaky_relu(t, 0.2)):
            raise Hint("The LeakyReLU comes after the sum, not before it.")
        expect_equal(got, F.leaky_relu(s[:, None] + t, 0.2), hint="Expected leaky_relu(h[i] @ a[:d] + h[j] @ a[d:], 0.2).")
    return "n + n numbers make n² scores: the pairs side by side are never built."


@exercise("graphs.grid")
def _grid(answer):
    for h, w in [(3, 5), (4, 3)]:
        index = torch.arange(h * w)
        dy, dx = (index[:, None] // w - index // w).abs(), (index[:, None] % w - index % w).abs()
        want = (dy + dx == 1).float()
        got = _call(answer, h, w)
        if isinstance(got, torch.Tensor) and got.dtype == torch.bool:
            raise Hint("Expected floats: a graph layer multiplies with its adjacency.")
        if _close(got, (dy + dx <= 1).float()):
            raise Hint("The loops are in: no pixel is tied to itself here.")
        if _close(got, (torch.maximum(dy, dx) == 1).float()):
            raise Hint("Those are eight neighbours, corners included. Tie only above, below, left and right.")
        number = (index[:, None] - index).abs()
        if _close(got, ((number == 1) | (number == w)).float()):
            raise Hint("You compared token numbers: the last pixel of a row is tied to the first of the next.")
        wy, wx = torch.minimum(dy, h - dy), torch.minimum(dx, w - dx)
        if _close(got, (wy + wx == 1).float()):
            raise Hint("Your grid wraps at the border, as a torus does.")
        expect_equal(got, want, hint="Entry (i, j) is 1 where the distances in rows and columns add up to 1.")
    return f"It has h(w - 1) + w(h - 1) edges: for 4 x 3 that is {4 * 2 + 3 * 3}."


@exercise("graphs.linear_attention")
def _linear_attention(answer):
    for n, d, e in [(6, 4, 3), (9, 5, 2)]:
        q, k, v = _randn(n, d), _randn(n, d, seed=6), _randn(n, e, seed=7) + 1
        fq, fk = F.elu(q) + 1, F.elu(k) + 1
        weights = fq @ fk.T
        got = _call(answer, q, k, v)
        if _close(got, weights @ v):
            raise Hint("The rows are not normalised: divide by the sum of the weights, phi(q) times the sum of all phi(k).")
        if _close(got, (q @ k.T * d**-0.5).softmax(-1) @ v) or _close(got, (q @ k.T).softmax(-1) @ v):
            raise Hint("That is softmax attention. Replace the exponential by phi(q) @ phi(k).")
        if _close(got, (q @ k.T) / (q @ k.T).sum(-1, keepdim=True) @ v):
            raise Hint("Without phi weights can be negative, and their sum can be zero. Use elu + 1 on q and k.")
        wrong = F.elu(q) @ F.elu(k).T
        if _close(got, wrong / wrong.sum(-1, keepdim=True) @ v):
            raise Hint("elu alone goes down to -1. Add 1, so that every feature is positive.")
        expect_equal(got, weights / weights.sum(-1, keepdim=True) @ v, atol=1e-4,
                     hint="Expected phi(q) @ (phi(k).T @ v), divided by phi(q) @ phi(k).sum(0).")
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            shapes = [tuple(x.shape) for x in args if isinstance(x, torch.Tensor)]
            if len(shapes) >= 2 and shapes[0][-2:-1] == (20_000,) and shapes[1][-1:] == (20_000,) and "mm" in str(function):
                raise Hint("The numbers are right, but your code makes the n x n matrix: with 20,000 tokens that is 1.5 GiB. "
                           "Multiply keys and values first.")
            return function(*args, **(kwargs or {}))

    with Watch():
        answer(torch.zeros(20_000, 4), torch.zeros(20_000, 4), torch.zeros(20_000, 2))
    return "Keys and values meet first, in a d x e matrix that does not grow with n."


@exercise("graphs.propagate")
def _propagate(answer):
    for n, steps in [(7, 1), (9, 4)]:
        a = _graph(n, n)
        known = torch.zeros(n, dtype=torch.bool)
        known[[0, n // 2]] = True
        labels = torch.zeros(n, 2)
        labels[0, 0] = labels[n // 2, 1] = 1
        degree = a.sum(1, keepdim=True)

        def run(step, back=True, count=steps):
            share = labels
            for _ in range(count):
                share = step(share)
                share = torch.where(known[:, None], labels, share) if back else share
            return share

        got = _call(answer, a, labels, known, steps)
        if _close(got, run(lambda s: a @ s / degree, back=False)):
            raise Hint("The known labels were washed out: put them back after every step.")
        if _close(got, run(lambda s: a @ s)):
            raise Hint("You summed over the neighbours. Take the mean: divide by the degree.")
        if _close(got, run(lambda s: a @ (s / degree))):
            raise Hint("You divided by the neighbours' degrees. A mean divides by the number of terms: each node's own degree.")
        if _close(got, torch.where(known[:, None], labels, run(lambda s: a @ s / degree, back=False))) and steps > 1:
            raise Hint("You put the known labels back only at the end. Do it after every step.")
        if steps > 1 and _close(got, run(lambda s: a @ s / degree, count=1)):
            raise Hint("That is one step; the exercise asks for steps of them.")
        expect_equal(got, run(lambda s: a @ s / degree), hint="Each step: mean over neighbours, then the known put back.")
    return "Each unknown value ends as the mean of its neighbours: a harmonic function on the graph."
