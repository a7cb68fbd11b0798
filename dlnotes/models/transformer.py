"""The Transformer: an encoder reads a sequence, a decoder writes another, and nothing but attention connects the tokens.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017: figure 1 and sections 3.1 (layers), 3.3 (feed-forward),
3.4 (embeddings), 3.5 (positions, in ``dlnotes.attention.positions``) and 5.4 (dropout). Defaults: the base model of table 3.
Departures: the four maps of an attention have biases, as in ``nn.Transformer``. ``norm_first`` (Xiong et al., "On Layer
Normalization in the Transformer Architecture", ICML 2020) normalises what enters a sub-layer, not what leaves the sum, and
ends each stack with one more norm. ``nn.Transformer`` has that last norm in both orders, and more dropout: on the weights of
attention and inside the feed-forward layers.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes._check import check_divisible, check_integers, check_probability
from dlnotes.attention import MultiHeadAttention, causal_mask, sinusoidal_positions

from ._build import build

__all__ = ["Transformer", "transformer"]


class AddNorm(nn.Module):
    """What surrounds every sub-layer: norm(x + dropout(sublayer(x))), or x + dropout(sublayer(norm(x)))."""

    def __init__(self, dim: int, dropout: float, norm_first: bool):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: torch.Tensor, sublayer: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        if self.norm_first:
            return x + self.drop(sublayer(self.norm(x)))                            # b n d
        return self.norm(x + self.drop(sublayer(x)))                                # b n d


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, every token by itself (equation 2)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear2(F.relu(self.linear1(x)))                                # b n d


class EncoderLayer(nn.Module):
    """The source attends to itself; then each token by itself."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, norm_first: bool):
        super().__init__()
        self.self_attention = MultiHeadAttention(dim, heads)
        self.add1 = AddNorm(dim, dropout, norm_first)
        self.feed_forward = FeedForward(dim, hidden)
        self.add2 = AddNorm(dim, dropout, norm_first)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.add1(x, lambda y: self.self_attention(y, mask=mask))               # b n d
        return self.add2(x, self.feed_forward)                                      # b n d


class DecoderLayer(nn.Module):
    """The target attends to itself, not to its future; then to the source (``memory``); then each token by itself."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, norm_first: bool):
        super().__init__()
        self.self_attention = MultiHeadAttention(dim, heads)
        self.add1 = AddNorm(dim, dropout, norm_first)
        self.cross_attention = MultiHeadAttention(dim, heads)
        self.add2 = AddNorm(dim, dropout, norm_first)
        self.feed_forward = FeedForward(dim, hidden)
        self.add3 = AddNorm(dim, dropout, norm_first)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor, memory_mask: torch.Tensor) -> torch.Tensor:
        x = self.add1(x, lambda y: self.self_attention(y, mask=mask))               # b m d
        x = self.add2(x, lambda y: self.cross_attention(y, memory, mask=memory_mask))           # b m d
        return self.add3(x, self.feed_forward)                                      # b m d


class Transformer(nn.Module):
    """Encoder and decoder, from tokens to scores of the next token.

    Args:
        source_vocabulary: number of different source tokens.
        target_vocabulary: number of different target tokens.
        dim: token width (the paper's d_model), even, divisible by ``heads``.
        heads: attention heads (h).
        depth: layers of the encoder, and of the decoder (N).
        hidden: width inside the feed-forward layers (d_ff).
        dropout: after each sub-layer, and after the positions (P_drop).
        norm_first: normalise before each sub-layer, not after the sum.
        share_embeddings: one matrix for source tokens, target tokens and scores; needs vocabularies of one size.
        pad: the token that fills up short sequences; nobody attends to it.

    Raises:
        ValueError: if a size is not positive, does not divide as it must, or the vocabularies cannot be shared.

    >>> model = Transformer(source_vocabulary=20, target_vocabulary=20, dim=32, heads=4, depth=2, hidden=64)
    >>> source, target = torch.randint(1, 20, (2, 7)), torch.randint(1, 20, (2, 5))
    >>> model(source, target).shape
    torch.Size([2, 5, 20])
    """

    def __init__(self, source_vocabulary: int = 37_000, target_vocabulary: int = 37_000, dim: int = 512, heads: int = 8,
                 depth: int = 6, hidden: int = 2048, dropout: float = 0.1, norm_first: bool = False,
                 share_embeddings: bool = True, pad: int = 0):
        super().__init__()
        owner = "Transformer"
        check_integers(owner, source_vocabulary=source_vocabulary, target_vocabulary=target_vocabulary, dim=dim, heads=heads,
                       depth=depth, hidden=hidden)
        check_integers(owner, at_least=0, pad=pad)
        check_divisible(owner, "heads", heads, dim=dim)
        check_divisible(owner, "the two halves of the positions", 2, dim=dim)
        check_probability(owner, dropout=dropout)
        if share_embeddings and source_vocabulary != target_vocabulary:
            raise ValueError(f"{owner}: expected vocabularies of one size to share embeddings, got {source_vocabulary} and "
                             f"{target_vocabulary}; pass share_embeddings=False")
        if pad >= min(source_vocabulary, target_vocabulary):
            raise ValueError(f"{owner}: expected pad to be a token of both vocabularies, got {pad}; 0 is usual")
        self.dim, self.pad = dim, pad

        self.source_embedding = nn.Embedding(source_vocabulary, dim)
        self.source_drop = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(EncoderLayer(dim, heads, hidden, dropout, norm_first) for _ in range(depth))
        self.encoder_norm = nn.LayerNorm(dim) if norm_first else nn.Identity()
        self.target_embedding = nn.Embedding(target_vocabulary, dim)
        self.target_drop = nn.Dropout(dropout)
        self.decoder = nn.ModuleList(DecoderLayer(dim, heads, hidden, dropout, norm_first) for _ in range(depth))
        self.decoder_norm = nn.LayerNorm(dim) if norm_first else nn.Identity()
        self.head = nn.Linear(dim, target_vocabulary, bias=False)
        self._initialise()
        if share_embeddings:
            self.target_embedding.weight = self.head.weight = self.source_embedding.weight      # one tensor, three names

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=self.dim**-0.5)              # times √d: as large as the positions

    def _embed(self, tokens: torch.Tensor, embedding: nn.Embedding) -> torch.Tensor:
        x = embedding(tokens) * self.dim**0.5                                       # b n d
        return x + sinusoidal_positions(tokens.shape[1], self.dim, x.device).to(x.dtype)

    def _real(self, tokens: torch.Tensor) -> torch.Tensor:
        """Where tokens are no padding, as a mask over keys."""
        return (tokens != self.pad)[:, None, None, :]                               # b 1 1 n

    def encode(self, source: torch.Tensor) -> torch.Tensor:
        """Read source tokens (b, n) into ``memory`` (b, n, dim); raises as :meth:`forward`."""
        _check_tokens("source", source, self.source_embedding.num_embeddings)
        x, mask = self.source_drop(self._embed(source, self.source_embedding)), self._real(source)     # b n d; b 1 1 n
        for layer in self.encoder:
            x = layer(x, mask)                                                      # b n d
        return self.encoder_norm(x)                                                 # b n d

    def decode(self, target: torch.Tensor, memory: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Scores of the token after each target token, given what :meth:`encode` made of the source.

        Args:
            target: tokens (b, m) known so far, beginning with a start token.
            memory: (b, n, dim).
            source: the tokens (b, n) that memory was made from: their padding is left out again.

        Returns:
            (b, m, target_vocabulary). Row i depends on the target tokens 0 to i, and on no later one.
        """
        _check_tokens("target", target, self.target_embedding.num_embeddings)
        if len(target) != len(source):
            raise ValueError("Transformer: expected as many targets as sources, "
                             f"got {tuple(source.shape)} and {tuple(target.shape)}; pair them along the first axis")
        x = self.target_drop(self._embed(target, self.target_embedding))            # b m d
        mask, memory_mask = causal_mask(target.shape[1], target.device) & self._real(target), self._real(source)
        for layer in self.decoder:                                                  # masks b 1 m m and b 1 1 n
            x = layer(x, memory, mask, memory_mask)                                 # b m d
        return self.head(self.decoder_norm(x))                                      # b m vocabulary

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Scores of the next token at every place of the target: for training, all places at once.

        Args:
            source: tokens (b, n), int64 or int32, padded with ``pad``.
            target: tokens (b, m), beginning with a start token: the sequence to be written, moved right by one.

        Returns:
            (b, m, target_vocabulary).

        Raises:
            TypeError: if the tokens are not integers.
            ValueError: if a shape does not fit, or (checked on the CPU, uncompiled) a token is outside its vocabulary.
        """
        return self.decode(target, self.encode(source), source)

    @torch.no_grad()
    def greedy(self, source: torch.Tensor, start: int, end: int, max_length: int) -> torch.Tensor:
        """Write by taking the likeliest next token, again and again. Call ``model.eval()`` first, or dropout acts.

        The whole beginning is computed anew for every token; keeping keys and values would save that.

        Args:
            source: tokens (b, n).
            start, end: the target tokens with which every sequence begins and ends.
            max_length: number of tokens, start included, after which to stop.

        Returns:
            Tokens (b, at most max_length), beginning with ``start``; ``pad`` behind each ``end``.
        """
        check_integers("Transformer.greedy", max_length=max_length)
        memory = self.encode(source)                                                # b n d
        target = source.new_full((len(source), 1), start)                           # b 1
        ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)    # b
        while target.shape[1] < max_length and not ended.all():
            token = self.decode(target, memory, source)[:, -1].argmax(dim=-1)       # b
            target = torch.cat([target, token.masked_fill(ended, self.pad)[:, None].to(target.dtype)], dim=1)   # b m+1
            ended = ended | (token == end)
        return target


def _check_tokens(name: str, tokens: torch.Tensor, vocabulary: int) -> None:
    if not isinstance(tokens, torch.Tensor) or tokens.dtype not in (torch.int64, torch.int32):
        got = tokens.dtype if isinstance(tokens, torch.Tensor) else type(tokens).__name__
        raise TypeError(f"Transformer: expected {name} to be a tensor of int64 or int32 tokens, got {got}; "
                        "convert with tokens.long()")
    if tokens.ndim != 2 or tokens.shape[1] == 0:
        raise ValueError(f"Transformer: expected {name} of shape (b, tokens), got {tuple(tokens.shape)}; "
                         "tokens.unsqueeze(0) adds a missing batch axis")
    if tokens.device.type == "cpu" and not torch.compiler.is_compiling() and tokens.numel():
        low, high = tokens.min().item(), tokens.max().item()                        # on a GPU this would wait for it
        if low < 0 or high >= vocabulary:
            raise ValueError(f"Transformer: expected {name} tokens from 0 to {vocabulary - 1}, got {low} to {high}; "
                             "build the model for a larger vocabulary")


def transformer(**config) -> Transformer:
    """The base model with a shared vocabulary of 37,000 tokens: 63,082,496 parameters. Settings: :class:`Transformer`."""
    return build("transformer", Transformer, {}, config)
