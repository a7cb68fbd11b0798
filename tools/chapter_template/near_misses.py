"""Plausible wrong answers of chapter TITLE, each with words that its hint must contain."""

NEAR_MISSES = {
    "MODULE.numbers": [(lambda x: x[0].numel(), "left an axis out"), (lambda x: len(x), "left an axis out")],
    "MODULE.size": [(lambda x: x.numel(), "counted numbers"), (lambda x: 4 * x.numel(), "depend on the dtype")],
    "MODULE.mirror": [(lambda x: x.flip(1), "top and bottom"), (lambda x: x.flip(0), "exchanged the colours")],
    "MODULE.grey": [(lambda x: x.mean(0), "channel axis is gone"), (lambda x: x.sum(0, keepdim=True), "the sum")],
    "MODULE.middle": [(lambda x, k: x[:, :k, :k], "the corner"), (lambda x, k: x[:, -k:, -k:], "rounded down")],
    "MODULE.stretch": [(lambda x: (x - x.min()) / (x.max() - x.min()), "all channels together"),
                       (lambda x: x / x.amax((1, 2), keepdim=True), "subtract it first")],
}
