"""Checkers for the exercises of chapter 5, attention."""

import math

import torch

from ._core import Hint, exercise, expect_equal

__all__: list[str] = []


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=_generator())


def _close(got, wrong: torch.Tensor) -> bool:
    """Whether the answer equals one particular wrong result."""
    return (isinstance(got, torch.Tensor) and got.shape == wrong.shape
            and torch.allclose(got.detach().to(wrong), wrong, atol=1e-5))


def _call(answer, *inputs, **options):
    """Call the reader's function on copies and object if it changes them."""
    copies = [x.clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    got = answer(*copies, **options)
    for copy, original in zip(copies, inputs):
        if isinstance(original, torch.Tensor) and not torch.equal(copy, original):
            raise Hint("Your function changed its input in place (an operation such as /=, *= or masked_fill_). "
                       "The caller still needs it: write to a new tensor.")
    return got


def _boolean(got, shape: tuple[int, ...]) -> torch.Tensor:
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the mask.")
    if not isinstance(got, torch.Tensor):
        raise Hint(f"Expected a tensor, got {type(got).__name__}.")
    if tuple(got.shape) != shape:
        raise Hint(f"Expected a mask of shape {shape}, got {tuple(got.shape)}.")
    if got.dtype != torch.bool:
        raise Hint(f"Expected a boolean mask, got {got.dtype}. scaled_dot_product_attention adds a float mask to the "
                   "scores, so ones and zeros would mean something else: use comparisons or .bool().")
    return got.cpu()


@exercise("attention.soft_lookup")
def _soft_lookup(answer):
    for d, n, m, sharpness in [(3, 5, 2, 1.0), (4, 7, 3, 2.5)]:
        query, keys, values = _randn(d), _randn(n, d).flip(0), _randn(n, m) + 1
        scores = keys @ query
        got = _call(answer, query, keys, values, sharpness)
        if _close(got, (sharpness * scores) @ values):
            raise Hint("You weighted the values with the raw scores. Weights of an average are positive and sum to one: "
                       "put a softmax between the scores and the values.")
        if _close(got, values[scores.argmax()]):
            raise Hint("That is the hard look-up: it returns the value of the best key alone and passes no gradient to the "
                       "keys. Weight all values with a softmax.")
        if sharpness != 1 and _close(got, scores.softmax(0) @ values):
            raise Hint("Your function ignores sharpness. Multiply the scores with it before the softmax.")
        if sharpness != 1 and _close(got, (scores / sharpness).softmax(0) @ values):
            raise Hint("You divided by sharpness. A larger sharpness must make the weights more unequal: multiply.")
        expect_equal(got, (sharpness * scores).softmax(0) @ values,
                     hint="Expected softmax(sharpness * (keys @ query)) over the n keys, then the weighted sum of the "
                          "values.")
    return "The result is a weighted average of values, so each coordinate stays between the smallest and the largest value."


@exercise("attention.scaled_scores")
def _scaled_scores(answer):
    for b, heads, n, m, d in [(2, 4, 5, 3, 16), (1, 3, 2, 7, 8)]:
        q, k = _randn(b, heads, n, d), _randn(b, heads, m, d).flip(2) + 0.5
        raw = q @ k.transpose(-2, -1)
        got = _call(answer, q, k)
        if _close(got, raw):
            raise Hint("You did not scale. Divide by the square root of the number of terms in each dot product.")
        if _close(got, raw / math.sqrt(heads * d)):
            raise Hint("You divided by the square root of the embedding width (heads x d). One head's dot product has "
                       "only d terms, so the divisor is the square root of d.")
        if _close(got, raw / d):
            raise Hint("You divided by d. The standard deviation of a sum of d independent terms grows with the square root "
                       "of d, not with d.")
        if _close(got, raw / math.sqrt(n)) or _close(got, raw / math.sqrt(m)):
            raise Hint("You took the square root of a number of tokens. The sum in the dot product runs over d.")
        expect_equal(got, raw / math.sqrt(d), hint="Expected q @ k^T over the last axis, divided by sqrt(d).")
    return ("The number of heads did not enter. scaled_dot_product_attention reads d from q.shape[-1], so it scales "
            "rightly only if the heads were split before the call.")


@exercise("attention.causal")
def _causal(answer):
    for n in (3, 5, 8):
        got = _boolean(answer(n), (n, n))
        i = torch.arange(n)
        want = i[None, :] <= i[:, None]
        if torch.equal(got, want.T):
            raise Hint("Your mask is transposed: token 0 may see everything and the last token only itself. Rows are "
                       "queries, columns are keys.")
        if torch.equal(got, i[None, :] < i[:, None]):
            raise Hint("You left out the diagonal: row 0 may attend to nothing, and a softmax over nothing is not a number. "
                       "A token may see itself.")
        if torch.equal(got, ~want):
            raise Hint("Your mask is inverted: here True means may attend, as in scaled_dot_product_attention. "
                       "(nn.MultiheadAttention uses the opposite meaning.)")
        if not torch.equal(got, want):
            raise Hint("Entry (i, j) must be True exactly where j <= i: query i sees key j and nothing later.")
    return f"Of n^2 entries, n(n+1)/2 are True: for n = 8 that is {8 * 9 // 2} of 64."


@exercise("attention.split_heads")
def _split_heads(answer):
    for b, n, heads, d in [(2, 5, 3, 4), (1, 6, 2, 7), (3, 4, 5, 2)]:
        x = torch.arange(b * n * heads * d, dtype=torch.float32).reshape(b, n, heads * d)
        want = x.reshape(b, n, heads, d).permute(0, 2, 1, 3)
        got = _call(answer, x, heads)
        if _close(got, x.reshape(b, heads, n, d)):
            raise Hint("A bare reshape to (b, heads, n, d) has the right shape and mixes tokens: head 0 now holds the "
                       "first tokens with all their features. Split the last axis first, then move the head axis.")
        if _close(got, x.reshape(b, n, d, heads).permute(0, 3, 1, 2)):
            raise Hint("You split the width as (d heads). PyTorch's modules use (heads d): head 0 owns the first d "
                       "features, not every heads-th one.")
        if isinstance(got, torch.Tensor) and tuple(got.shape) == (b, n, heads, d):
            raise Hint("You split the last axis, but the head axis must come before the token axis: (b, heads, n, d).")
        expect_equal(got, want, hint="Expected rearrange(x, 'b n (heads d) -> b heads n d', heads=heads).")
    return "No number was computed. Splitting heads is a view, and the number of parameters does not depend on it."


@exercise("attention.cross_shapes")
def _cross_shapes(answer):
    for b, n, m, heads, d in [(2, 5, 9, 3, 4), (1, 49, 7, 2, 8)]:
        got = answer(b, n, m, heads, d)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return a dictionary of four shapes.")
        want = {"q": (b, heads, n, d), "k": (b, heads, m, d), "weights": (b, heads, n, m), "out": (b, n, heads * d)}
        if not isinstance(got, dict) or set(got) != set(want):
            raise Hint("Expected a dictionary with the keys 'q', 'k', 'weights' and 'out'.")
        for name, shape in got.items():
            if not isinstance(shape, (tuple, list)):
                raise Hint(f"The shape of {name!r} must be a tuple of numbers, got {type(shape).__name__}.")
        got = {name: tuple(shape) for name, shape in got.items()}
        if got["weights"] == (b, heads, m, n):
            raise Hint("Your weights have keys as rows. Each query has a row of its own, which sums to one: (.., n, m).")
        if got["weights"] == (b, n, m):
            raise Hint("Each head has its own matrix of weights: the head axis is missing.")
        if got["out"] == (b, m, heads * d):
            raise Hint("Your output has one token per key. Attention returns one token per query.")
        for name in want:
            if got[name] != want[name]:
                raise Hint(f"The shape of {name!r} is not right: you gave {got[name]} for b={b}, n={n}, m={m}, "
                           f"heads={heads}, d={d}.")
    return "The context's length m appears in k and in the weights only. It leaves no trace in the shape of the output."


@exercise("attention.sinusoid")
def _sinusoid(answer):
    for n, d in [(5, 8), (12, 6)]:
        position = torch.arange(n, dtype=torch.float64)[:, None]
        rate = 10000 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)

        def table(angle):
            return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).float()

        want = table(position * rate)
        got = answer(n, d)
        if _close(got, torch.cat([(position * rate).sin(), (position * rate).cos()], -1).float()):
            raise Hint("Sines first, cosines after them: the right numbers in another order. The paper alternates: sine "
                       "in even columns, cosine in odd ones.")
        if _close(got, table((position + 1) * rate)):
            raise Hint("Your positions start at 1. They start at 0, so row 0 is 0, 1, 0, 1, ...")
        if _close(got, table(position * 10000 ** (-torch.arange(d // 2, dtype=torch.float64) / d))):
            raise Hint("Your exponent runs over i/d instead of 2i/d, so the slowest wave is too fast. Use arange(0, d, 2) "
                       "/ d.")
        if _close(got, table(position / rate)):
            raise Hint("Your waves get faster with the column, by up to 10000 radians a step. Divide by 10000 ** (2i/d).")
        if isinstance(got, torch.Tensor) and got.shape == want.shape and _close(got[:, 1::2], want[:, 0::2]):
            raise Hint("Sine and cosine changed places: sine belongs in the even columns.")
        expect_equal(got, want, atol=1e-4, hint="Column 2i is sin(position / 10000 ** (2i/d)), column 2i + 1 its cosine.")
    return ("Sine and cosine of one frequency side by side: a shift by k positions is a rotation of each pair, whatever "
            "the position.")


@exercise("attention.score_bytes")
def _score_bytes(answer):
    for batch, heads, tokens, size in [(10, 8, 32768, 4), (2, 3, 1000, 2), (1, 12, 197, 4)]:
        got = answer(batch, heads, tokens, size)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return a number of bytes.")
        want = batch * heads * tokens * tokens * size
        if got == batch * heads * tokens * size:
            raise Hint("You counted one number per token. Every token has a score with every token: tokens squared.")
        if got == batch * tokens * tokens * size:
            raise Hint("Each head has a matrix of its own: multiply by heads.")
        if got == want * 8:
            raise Hint("Bits and bytes: float32 has 32 bits, which are 4 bytes. The argument is in bytes already.")
        if got == batch * heads * tokens * tokens:
            raise Hint("That is how many numbers there are. Multiply by the bytes of each.")
        if isinstance(got, float) and abs(got * 2**30 - want) < 1:
            raise Hint("That is in GiB. The exercise asks for bytes.")
        if got != want:
            raise Hint(f"For batch={batch}, heads={heads}, tokens={tokens}, {size} bytes each, expected {want:,}, got "
                       f"{got:,}.")
    return "The width of the tokens does not enter: halving it leaves this tensor as it was."


@exercise("attention.local_mask")
def _local_mask(answer):
    for h, w, radius in [(3, 5, 1), (6, 4, 2), (2, 7, 1)]:
        got = _boolean(answer(h, w, radius), (h * w, h * w))
        index = torch.arange(h * w)
        row, column = index // w, index % w
        apart = (row[:, None] - row).abs(), (column[:, None] - column).abs()
        want = torch.maximum(*apart) <= radius
        if torch.equal(got, (index[:, None] - index).abs() <= radius):
            raise Hint("You compared token numbers. The last pixel of a row and the first pixel of the next are "
                       "neighbours in that list and far apart in the picture: compare rows and columns.")
        if torch.equal(got, apart[0] + apart[1] <= radius):
            raise Hint("That is a diamond (row distance plus column distance). A window is a square: both distances at "
                       "most radius.")
        wrong = torch.maximum((index[:, None] // h - index // h).abs(), (index[:, None] % h - index % h).abs()) <= radius
        if torch.equal(got, wrong):
            raise Hint("You exchanged h and w: in row-major order the row of token i is i // w and its column i % w.")
        if torch.equal(got, ~want):
            raise Hint("Your mask is inverted: True means may attend.")
        if torch.equal(got, torch.maximum(*apart) < radius):
            raise Hint("Your window is one pixel too small on each side: radius 1 means 3 x 3.")
        if not torch.equal(got, want):
            raise Hint("Entry (i, j) is True where the rows and the columns of pixels i and j both differ by at most "
                       "radius.")
    return "A pixel in the corner has (radius + 1)^2 neighbours, one in the middle (2 radius + 1)^2."


@exercise("attention.rollout")
def _rollout(answer):
    for layers, heads, n in [(3, 4, 5), (2, 3, 7)]:
        weights = (2 * _randn(layers, heads, n, n)).softmax(-1)
        eye = torch.eye(n)

        def chain(matrices):
            total = eye
            for matrix in matrices:
                total = matrix @ total
            return total

        mixed = [0.5 * layer.mean(0) + 0.5 * eye for layer in weights]
        got = _call(answer, weights)
        if _close(got, chain(layer.mean(0) for layer in weights)):
            raise Hint("You left out the skip connection: mix each layer's matrix with the identity, half and half.")
        if _close(got, chain(reversed(mixed))):
            raise Hint("The order of the product is reversed. The last layer reads the output of the layers before it, so "
                       "its matrix stands on the left: A_L @ ... @ A_1.")
        if _close(got, chain(layer.mean(0) + eye for layer in weights)):
            raise Hint("You added the identity but did not normalise: rows must sum to one, so halve the sum.")
        if _close(got, chain(0.5 * layer.sum(0) + 0.5 * eye for layer in weights)):
            raise Hint("You summed over the heads. Take their mean, or the rows no longer sum to one.")
        if _close(got, weights[-1].mean(0)) or _close(got, mixed[-1]):
            raise Hint("That is the last layer alone. Rollout multiplies the matrices of all layers.")
        expect_equal(got, chain(mixed), hint="Expected the product, last layer on the left, of (mean over heads + "
                                             "identity) / 2.")
    return ("Each factor has rows that sum to one, hence so has the product: rollout is again a distribution over input "
            "tokens.")


@exercise("attention.temperature")
def _temperature(answer):
    for n, target in [(6, 1.0), (10, 2.0), (16, 0.5)]:
        logits = 3 * _randn(n)
        got = _call(answer, logits, target)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the temperature.")
        got = float(got)

        def entropy(t):
            p = (logits.double() / t).softmax(0)
            return -(p * p.clamp_min(1e-300).log()).sum().item()

        if not got > 0:
            raise Hint(f"A temperature is positive; you returned {got:g}.")
        reached = entropy(got)
        if abs(reached - target) > 1e-3:
            if abs(entropy(1 / got) - target) < 1e-3:
                raise Hint("You returned the inverse temperature: the logits are divided by it, so a larger one means "
                           "more entropy.")
            if abs(reached / math.log(2) - target) < 1e-3:
                raise Hint("That reaches the entropy in bits. Use the natural logarithm: the target is in nats.")
            if abs(reached - min(target, 1.0) * math.log(n)) < 1e-3:
                raise Hint("You normalised the entropy by log n. The target is in nats.")
            raise Hint(f"With your temperature the entropy is {reached:.3f} nats, the target is {target:.3f}. "
                       "Entropy rises with temperature, so halve an interval until it is small, and keep the half that "
                       "holds the target.")
    return ("Entropy rises with temperature whenever the logits are not all equal, which is why halving an interval cannot "
            "miss.")
