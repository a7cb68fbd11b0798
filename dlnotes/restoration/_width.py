"""The hidden width of a feed-forward layer, whose expansion need not be whole."""

__all__ = ["hidden_width"]


def hidden_width(owner: str, channels: int, expansion: float) -> int:
    """``channels * expansion``, rounded down; raises ValueError if that leaves no channel."""
    number = isinstance(expansion, (int, float)) and not isinstance(expansion, bool)
    if not number or not 1 <= channels * expansion < float("inf"):
        raise ValueError(f"{owner}: expected an expansion of {channels} channels to at least 1, got {expansion!r}; "
                         "pass a number such as 2.0")
    return int(channels * expansion)
