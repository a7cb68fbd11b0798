"""The encoder-decoder Transformer: PyTorch's with the same weights, blind to the future and to padding."""

import copy

import pytest
import torch
from parity import randomise, relative_difference
from torch import nn

from dlnotes.attention import causal_mask, sinusoidal_positions
from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models import create
from dlnotes.models.transformer import AddNorm, Transformer

SMALL = {"source_vocabulary": 15, "target_vocabulary": 11, "dim": 24, "heads": 3, "depth": 2, "hidden": 40, "dropout": 0.0,
         "share_embeddings": False}
quiet = pytest.mark.filterwarnings("ignore:enable_nested_tensor")


def small(seed=0, **config):
    torch.manual_seed(seed)
    return create("transformer", **SMALL | config)


def sequences(batch=2, n=7, m=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 15, (batch, n), generator=generator), torch.randint(1, 11, (batch, m), generator=generator)


def of_torch(norm_first: bool) -> nn.Transformer:
    """PyTorch's, with a norm at the end of each stack where ours has one."""
    shape = dict(d_model=24, nhead=3, dim_feedforward=40, dropout=0.0, batch_first=True, norm_first=norm_first)
    def last():
        return nn.LayerNorm(24) if norm_first else None
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**shape), 2, last(), enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**shape), 2, last())
    return randomise(nn.Transformer(**shape, custom_encoder=encoder, custom_decoder=decoder))


# ---------------------------------------------------------------- sizes

@quiet
def test_the_base_model_has_the_parameters_of_its_formula():
    d, hidden, n, vocabulary = 512, 2048, 6, 37_000
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * hidden + hidden + d, 2 * d
    encoder, decoder = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    with torch.device("meta"):
        shared, separate = create("transformer"), create("transformer", share_embeddings=False)
        torchs = nn.Transformer()                                       # without embeddings, with two norms more
    def count(model):
        return sum(p.numel() for p in model.parameters())
    assert count(shared) == n * (encoder + decoder) + vocabulary * d == 63_082_496
    assert count(separate) == count(shared) + 2 * vocabulary * d
    assert count(torchs) == n * (encoder + decoder) + 2 * norm


# ---------------------------------------------------------------- the same as PyTorch's

@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["norm last", "norm first"])
def test_it_is_that_of_pytorch(norm_first, training, dtype, limit):
    theirs, ours = of_torch(norm_first), small(norm_first=norm_first)
    report = load_weights(ours, theirs.state_dict(), skip=["*_embedding.weight", "head.weight"])
    assert report.dialect == "torch" and not report.dropped and not report.reshaped
    theirs, ours = (copy.deepcopy(model).to(dtype).train(training) for model in (theirs, ours))
    for n, m in ((7, 5), (4, 9)):
        source, target = sequences(n=n, m=m)
        source[1, 3:] = target[0, 4:] = 0                               # padding, where PyTorch's masks are True
        x, y = (embedding(tokens) * 24**0.5 + sinusoidal_positions(tokens.shape[1], 24).to(dtype)
                for embedding, tokens in ((ours.source_embedding, source), (ours.target_embedding, target)))
        with torch.no_grad():
            expected = ours.head(theirs(x, y, tgt_mask=~causal_mask(m), src_key_padding_mask=source == 0,
                                        tgt_key_padding_mask=target == 0, memory_key_padding_mask=source == 0))
            assert relative_difference(ours(source, target), expected) < limit


@quiet
def test_the_last_norm_of_pytorch_in_both_orders_is_told_and_not_dropped():
    stock = nn.Transformer(24, 3, 2, 2, 40, batch_first=True)
    skip = ["*_embedding.weight", "head.weight"]
    with pytest.raises(ValueError, match=r"(?s)4 unexpected.*encoder\.norm\.weight.*decoder\.norm\.bias"):
        load_weights(small(), stock.state_dict(), skip=skip)
    assert load_weights(small(norm_first=True), stock.state_dict(), skip=skip).dialect == "torch"


def test_a_fresh_norm_after_a_fresh_norm_changes_nothing():
    """So the norm that PyTorch adds to a post-norm stack cannot be seen before training."""
    first, second, x = nn.LayerNorm(24), nn.LayerNorm(24), torch.randn(2, 5, 24)
    assert torch.allclose(second(first(x)), first(x), atol=1e-4)


# ---------------------------------------------------------------- parts

@pytest.mark.parametrize("norm_first", [False, True])
def test_where_the_norm_stands(norm_first):
    part, x = randomise(AddNorm(8, 0.0, norm_first)), torch.randn(2, 3, 8)
    expected = x + torch.tanh(part.norm(x)) if norm_first else part.norm(x + torch.tanh(x))
    assert torch.equal(part(x, torch.tanh), expected)


def test_embeddings_are_scaled_by_the_root_of_the_width_and_positions_are_not():
    model, (source, _) = small(), sequences()
    seen = {}
    model.source_drop.register_forward_hook(lambda module, args, out: seen.update(x=out))
    model.encode(source)
    rows = model.source_embedding.weight[source] * 24**0.5
    assert torch.allclose(seen["x"], rows + sinusoidal_positions(7, 24), atol=1e-6)
    assert 0.8 < rows.std() < 1.2                                       # as large as the sines beside them


def test_a_shared_embedding_is_one_tensor_under_three_names():
    model = small(source_vocabulary=11, share_embeddings=True)
    for again in (model, copy.deepcopy(model), copy.deepcopy(model).double()):
        assert again.source_embedding.weight is again.target_embedding.weight is again.head.weight
    source, target = (x.clamp(max=10) for x in sequences())
    model(source, target).sum().backward()
    assert model.head.weight.grad.abs().sum() > 0 and model.source_embedding.weight.grad is model.head.weight.grad


# ---------------------------------------------------------------- what it cannot see

@pytest.mark.parametrize("norm_first", [False, True])
def test_it_does_not_see_the_future(norm_first):
    model, (source, target) = small(norm_first=norm_first).double().eval(), sequences(m=8)
    out = model(source, target)
    for place in range(1, 8):
        changed = target.clone()
        changed[:, place:] = changed[:, place:] % 10 + 1
        again = model(source, changed)
        assert torch.equal(again[:, :place], out[:, :place]) and not torch.allclose(again[:, place:], out[:, place:])


def test_padding_equals_shorter_sequences():
    model, (source, target) = small().double().eval(), sequences(n=7, m=6)
    source[1, 4:], target[1, 3:] = 0, 0
    out = model(source, target)
    alone = model(source[1:, :4], target[1:, :3])
    assert torch.allclose(out[1:, :3], alone, atol=1e-12)


def test_padding_before_a_target_is_not_attended_to_either():
    model, (source, target) = small().double().eval(), sequences(batch=1)
    target[:, :2] = 0
    with record(model, attention=True) as seen:
        assert model(source, target).isfinite().all()
    own = [a for a in seen.attention if a.module.endswith("self_attention") and a.module.startswith("decoder")]
    assert len(own) == 2 and all((a[..., 2:, :2] == 0).all() for a in own)


def test_a_source_of_nothing_but_padding_gives_numbers_and_gradients():
    model, (source, target) = small(), sequences()
    source[1] = 0
    out = model(source, target)
    out.sum().backward()
    assert out.isfinite().all() and all(p.grad.isfinite().all() for p in model.parameters())


# ---------------------------------------------------------------- writing

def test_greedy_takes_the_likeliest_token_every_time_and_pads_behind_the_end():
    model, (source, _) = small(seed=3).eval(), sequences(batch=6)
    free = model.greedy(source, start=1, end=99, max_length=9)          # no token is 99: nothing ends early
    assert free.shape == (6, 9) and (free[:, 0] == 1).all()
    assert torch.equal(model(source, free)[:, :-1].argmax(-1), free[:, 1:])
    end = free[0, 3].item()
    written = model.greedy(source, start=1, end=end, max_length=9)
    for row, whole in zip(written.tolist(), free.tolist()):
        stop = whole.index(end, 1) + 1 if end in whole[1:] else 9
        stop = min(stop, len(row))
        assert row == whole[:stop] + [0] * (len(row) - stop)
    assert model.greedy(source[:1], start=1, end=end, max_length=9).shape[1] == free[0].tolist().index(end, 1) + 1


def test_recorded_attention_is_of_encoder_decoder_and_between():
    model, (source, target) = small().eval(), sequences()
    with record(model, attention=True) as seen:
        model(source, target)
    assert [(a.module, tuple(a.shape)) for a in seen.attention] == [
        ("encoder.0.self_attention", (2, 3, 7, 7)), ("encoder.1.self_attention", (2, 3, 7, 7)),
        ("decoder.0.self_attention", (2, 3, 5, 5)), ("decoder.0.cross_attention", (2, 3, 5, 7)),
        ("decoder.1.self_attention", (2, 3, 5, 5)), ("decoder.1.cross_attention", (2, 3, 5, 7))]
    assert (seen.attention[2].weights.triu(1) == 0).all()


# ---------------------------------------------------------------- bad input

@pytest.mark.parametrize("change, error, words", [
    (lambda s, t: (s.float(), t), TypeError, "source to be a tensor of int64 or int32 tokens, got torch.float32; convert"),
    (lambda s, t: (s, t.bool()), TypeError, "target to be a tensor of int64 or int32 tokens, got torch.bool"),
    (lambda s, t: (s.tolist(), t), TypeError, "source to be a tensor of int64 or int32 tokens, got list"),
    (lambda s, t: (s[0], t), ValueError, r"source of shape \(b, tokens\), got \(7,\); tokens.unsqueeze\(0\)"),
    (lambda s, t: (s, t[:, :0]), ValueError, r"target of shape \(b, tokens\), got \(2, 0\)"),
    (lambda s, t: (s, t[:1]), ValueError, r"as many targets as sources, got \(2, 7\) and \(1, 5\)"),
    (lambda s, t: (s + 1, t), ValueError, "source tokens from 0 to 14, got .* to 15; build the model for a larger"),
    (lambda s, t: (s, t - 3), ValueError, "target tokens from 0 to 10, got -2"),
])
def test_wrong_tokens_are_refused(change, error, words):
    source, target = sequences()
    source[0, 0], target[0, 0] = 14, 1
    with pytest.raises(error, match=words):
        small()(*change(source, target))


@pytest.mark.parametrize("config, words", [
    ({"dim": 25}, "expected dim divisible by heads, got dim=25, heads=3"),
    ({"dim": 27}, "dim divisible by the two halves of the positions"),
    ({"depth": 0}, "expected depth"), ({"hidden": 0}, "expected hidden"), ({"source_vocabulary": -1}, "source_vocabulary"),
    ({"dropout": 1.0}, r"dropout in \[0, 1\)"), ({"pad": -1}, "expected pad to be an integer of at least 0, got -1"),
    ({"pad": 11}, "pad to be a token of both vocabularies, got 11"),
    ({"share_embeddings": True}, "one size to share embeddings, got 15 and 11; pass share_embeddings=False"),
])
def test_a_wrong_configuration_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        Transformer(**SMALL | config)
