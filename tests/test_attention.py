"""Attention from scratch equals PyTorch's, and every mechanism equals its definition."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlnotes.attention import (
    AttentionCost, MultiHeadAttention, attention, attention_cost, attention_rollout, attention_scores, attention_weights,
    causal_mask, explicit_attention, local_attention, local_mask, measure_peak, padding_mask, sinusoidal_positions,
    sinusoidal_positions_2d, topk_attention, topk_mask,
)

sizes = st.integers(1, 9)
quick = settings(max_examples=40, deadline=None)


def tensors(*shapes, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)


def close(a, b, tolerance=1e-6):
    return a.shape == b.shape and (a - b).abs().max() < tolerance


def mask_of(kind, shape, seed):
    """A random mask in which every row has something to attend to."""
    if kind == "none":
        return None
    generator = torch.Generator().manual_seed(seed)
    allowed = torch.rand(shape, generator=generator) < 0.6
    allowed[..., 0] = True
    if kind == "boolean":
        return allowed
    return torch.randn(shape, generator=generator, dtype=torch.float64).masked_fill(~allowed, -math.inf)


# ---------------------------------------------------------------- scaled dot product

@quick
@given(lead=st.lists(st.integers(1, 3), max_size=3), n=sizes, m=sizes, d=sizes, e=sizes, seed=st.integers(0, 99),
       kind=st.sampled_from(["none", "boolean", "float"]), whole=st.booleans())
def test_explicit_and_fused_equal_pytorch(lead, n, m, d, e, seed, kind, whole):
    q, k, v = tensors((*lead, n, d), (*lead, m, d), (*lead, m, e), seed=seed)
    mask = mask_of(kind, (*lead, n, m) if whole else (n, m), seed)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out, weights = explicit_attention(q, k, v, mask)
    assert close(out, expected) and close(attention(q, k, v, mask), expected)
    assert close(weights.sum(-1), torch.ones(*lead, n, dtype=torch.float64)) and weights.min() >= 0


@pytest.mark.parametrize("shape", [(1, 1, 1, 5), (2, 1, 1, 5), (1, 3, 4, 5), (2, 1, 4, 1), (4, 5), (3, 4, 5), (1,)])
def test_masks_broadcast(shape):
    q, k, v = tensors((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6))
    mask = mask_of("boolean", shape, 0)
    expected = explicit_attention(q, k, v, mask.expand(2, 3, 4, 5))[0]
    assert close(explicit_attention(q, k, v, mask)[0], expected) and close(attention(q, k, v, mask), expected)


def test_keys_and_values_may_be_shared_by_heads():
    q, k, v = tensors((2, 3, 4, 6), (2, 1, 5, 6), (5, 6))
    assert close(attention(q, k, v), explicit_attention(q, k, v)[0])


def test_scale():
    q, k, v = tensors((2, 4, 9), (2, 5, 9), (2, 5, 3))
    assert close(attention_scores(q, k), q @ k.mT / 3, 1e-12) and close(attention_scores(q, k, 1.0), q @ k.mT, 1e-12)
    assert close(attention(q, k, v, scale=0.2), F.scaled_dot_product_attention(q, k, v, scale=0.2))
    assert close(explicit_attention(q, k, v, scale=0.2)[1], attention_weights(q, k, scale=0.2), 1e-12)


@pytest.mark.parametrize("kind", ["boolean", "float"])
def test_a_query_without_keys_gets_zeros_and_finite_gradients(kind):
    q, k, v = (x.requires_grad_() for x in tensors((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6)))
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[1] = False
    if kind == "float":
        mask = torch.zeros(4, 5, dtype=torch.float64).masked_fill(~mask, -math.inf)
    out, weights = explicit_attention(q, k, v, mask)
    fused = attention(q, k, v, mask)
    assert not weights[..., 1, :].any() and not out[..., 1, :].any() and not fused[..., 1, :].any()
    assert close(out, fused)
    for result in (out, fused):
        gradients = torch.autograd.grad(result.sum(), (q, k, v), retain_graph=True)
        assert all(g.isfinite().all() for g in gradients) and not gradients[0][..., 1, :].any()
    plain = (q @ k.mT).masked_fill(torch.ones(4, 5, dtype=torch.bool), -math.inf).softmax(-1)
    assert plain.isnan().all()                                      # what the formula alone would give


def test_gradients_of_the_fused_form():
    q, k, v = (x.requires_grad_() for x in tensors((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4)))
    mask = mask_of("boolean", (3, 5), 1)
    for a, b in zip(torch.autograd.grad(attention(q, k, v, mask).square().sum(), (q, k, v)),
                    torch.autograd.grad(explicit_attention(q, k, v, mask)[0].square().sum(), (q, k, v))):
        assert close(a, b)


def test_fused_form_stores_no_matrix_whatever_the_number_of_axes():
    """The kernel is chosen for four axes only; ours brings other shapes to that form."""
    n = 1024
    for lead in [(), (2,), (1, 2), (1, 1, 2)]:
        q, k, v = tensors(*[(*lead, n, 8)] * 3, dtype=torch.float32)
        with torch.profiler.profile(profile_memory=True) as profile, torch.no_grad():
            attention(q, k, v)
        largest = max(event.self_cpu_memory_usage for event in profile.events())
        assert largest < n * n                                      # bytes; one float32 matrix has 4 n²


def test_division_by_root_d_keeps_the_variance():
    q, k = tensors((4000, 64), (4000, 64))
    assert abs((q * k).sum(-1).std() - 8) < 0.5 and abs(((q * k).sum(-1) / 8).std() - 1) < 0.05


@pytest.mark.parametrize("call, error, words", [
    (lambda x: attention([1], x, x), TypeError, "expected q to be a tensor, got list"),
    (lambda x: attention(x, x.int(), x), TypeError, "expected k of a floating dtype, got torch.int32"),
    (lambda x: attention(x, x.float(), x), ValueError, "same dtype and device"),
    (lambda x: attention(x, x[..., :3], x), ValueError, r"same width .*q \(2, 5, 4\), k \(2, 5, 3\)"),
    (lambda x: attention(x, x, x[:, :2]), ValueError, "as many values as keys"),
    (lambda x: attention(x, x[:1].repeat(3, 1, 1), x), ValueError, "leading axes that broadcast"),
    (lambda x: attention(x[0, 0], x, x), ValueError, r"shape \(..., tokens, width\), got \(4,\)"),
    (lambda x: attention(x, x, x, [True]), TypeError, "mask to be a tensor, got list"),
    (lambda x: attention(x, x, x, torch.ones(5, 5, dtype=torch.int)), TypeError, "boolean mask .* got torch.int32"),
    (lambda x: attention(x, x, x, torch.ones(5, 5)), TypeError, r"got torch.float32; convert with mask.bool\(\)"),
    (lambda x: attention(x, x, x, torch.ones(5, 4).bool()), ValueError, r"scores \(2, 5, 5\), got \(5, 4\)"),
    (lambda x: attention(x, x, x, torch.ones(3, 2, 5, 5).bool()), ValueError, r"scores \(2, 5, 5\), got \(3, 2, 5, 5\)"),
    (lambda x: explicit_attention(x, x, x[:, :2]), ValueError, "explicit_attention: expected as many values"),
    (lambda x: attention_weights(x, x, torch.ones(4).bool()), ValueError, "attention_weights: expected a mask"),
    (lambda x: attention_scores(x, x[..., :2]), ValueError, "attention_scores: expected q and k"),
])
def test_bad_input_of_attention(call, error, words):
    with pytest.raises(error, match=words):
        call(tensors((2, 5, 4))[0])


# ---------------------------------------------------------------- multi-head

@quick
@given(b=st.integers(1, 3), n=sizes, m=sizes, heads=st.integers(1, 4), width=st.integers(1, 5), context=st.integers(1, 7),
       bias=st.booleans(), batch_first=st.booleans(), same=st.booleans(), kind=st.sampled_from(["none", "boolean", "float"]))
def test_multi_head_equals_pytorch(b, n, m, heads, width, context, bias, batch_first, same, kind):
    dim = heads * width
    context = dim if same else context
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(dim, heads, bias=bias, kdim=context, vdim=context, batch_first=batch_first).double()
    for p in theirs.parameters():
        nn.init.normal_(p, std=0.5)                                 # biases start at zero otherwise
    ours = MultiHeadAttention.from_torch(theirs)
    x, y = tensors((b, n, dim), (b, m, context))
    mask = mask_of(kind, (n, m), n)
    their_mask = ~mask if kind == "boolean" else mask               # PyTorch's layer means the opposite
    order = (lambda t: t) if batch_first else (lambda t: t.transpose(0, 1))
    expected = order(theirs(order(x), order(y), order(y), attn_mask=their_mask)[0])
    assert close(ours(x, y, mask), expected)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_self_attention_is_cross_attention_to_itself():
    layer, (x,) = MultiHeadAttention(12, 3).double(), tensors((2, 5, 12))
    assert torch.equal(layer(x), layer(x, x))


def test_padding_equals_a_shorter_sequence():
    layer, (x,) = MultiHeadAttention(12, 3).double(), tensors((2, 5, 12))
    out = layer(x, mask=padding_mask([5, 3], 5))
    assert close(out[1, :3], layer(x[1:, :3])[0])


def test_key_padding_mask_of_pytorch_is_the_opposite_of_ours():
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    (x,), real = tensors((2, 5, 12)), padding_mask([5, 3], 5)
    expected = theirs(x, x, x, key_padding_mask=~real[:, 0, 0])[0]
    assert close(MultiHeadAttention.from_torch(theirs)(x, mask=real), expected)


def test_a_causal_layer_does_not_see_the_future():
    layer, (x,) = MultiHeadAttention(12, 3).double(), tensors((1, 6, 12))
    changed = x.clone()
    changed[:, 4:] += 1
    assert close(layer(x, mask=causal_mask(6))[:, :4], layer(changed, mask=causal_mask(6))[:, :4], 1e-12)


def test_self_attention_is_permutation_equivariant_until_positions_are_added():
    layer, (x,) = MultiHeadAttention(12, 3).double(), tensors((1, 6, 12))
    order, places = torch.tensor([3, 1, 5, 0, 2, 4]), sinusoidal_positions(6, 12)
    assert close(layer(x)[:, order], layer(x[:, order]), 1e-12)
    assert not close(layer(x + places)[:, order], layer(x[:, order] + places), 1e-3)


def test_dropout_acts_in_training_only():
    layer, (x,) = MultiHeadAttention(12, 3, dropout=0.5).double(), tensors((1, 6, 12))
    torch.manual_seed(0)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_a_gradient_reaches_every_parameter():
    layer, (x, y) = MultiHeadAttention(12, 3, dim_context=7).double(), tensors((2, 5, 12), (2, 4, 7))
    layer(x, y).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in layer.named_parameters() if name != "k_proj.bias")
    assert layer.k_proj.bias.grad.abs().max() < 1e-9                # a shift of all keys moves no softmax


def test_from_torch_keeps_mode_dtype_and_dropout():
    theirs = nn.MultiheadAttention(8, 2, dropout=0.1).double().eval()
    ours = MultiHeadAttention.from_torch(theirs)
    assert not ours.training and ours.q_proj.weight.dtype == torch.float64 and ours.dropout == 0.1
    ours.q_proj.weight.data.zero_()
    assert theirs.in_proj_weight.abs().sum() > 0                    # a copy


@pytest.mark.parametrize("call, error, words", [
    (lambda: MultiHeadAttention(10, 3), ValueError, "dim divisible by heads, got dim=10, heads=3"),
    (lambda: MultiHeadAttention(0, 3), ValueError, "expected dim to be an integer of at least 1, got 0"),
    (lambda: MultiHeadAttention(12, 3, dim_context=-1), ValueError, "expected dim_context"),
    (lambda: MultiHeadAttention(12, 3, dropout=1.0), ValueError, r"dropout in \[0, 1\), got 1.0"),
    (lambda: MultiHeadAttention(12, 3)(torch.zeros(2, 5, 11)), ValueError, r"x: expected \(b, tokens, d=12\), got \(b=2, .*d=11"),
    (lambda: MultiHeadAttention(12, 3)(torch.zeros(5, 12)), ValueError, "x: expected 3 axes"),
    (lambda: MultiHeadAttention(12, 3, dim_context=4)(torch.zeros(2, 5, 12)), ValueError, "context: expected"),
    (lambda: MultiHeadAttention(12, 3)(torch.zeros(2, 5, 12), torch.zeros(3, 5, 12)), ValueError, "same batch size"),
    (lambda: MultiHeadAttention(12, 3)(torch.zeros(2, 5, 12), mask=causal_mask(5)[None]), ValueError, r"mask\[:, None\]"),
    (lambda: MultiHeadAttention.from_torch(nn.Linear(2, 2)), TypeError, "expected an nn.MultiheadAttention, got Linear"),
    (lambda: MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, kdim=3, vdim=4)), ValueError, "kdim=3, vdim=4"),
    (lambda: MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, add_bias_kv=True)), ValueError, "without add_bias"),
    (lambda: MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, add_zero_attn=True)), ValueError, "add_zero_attn"),
])
def test_bad_input_of_multi_head(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---------------------------------------------------------------- masks and positions

def test_causal_mask_is_that_of_pytorch():
    assert torch.equal(causal_mask(7), nn.Transformer.generate_square_subsequent_mask(7) == 0)


def test_padding_mask_counts_the_real_tokens():
    assert padding_mask(torch.tensor([4, 0, 2]), 4).sum(-1).flatten().tolist() == [4, 0, 2]
    assert (causal_mask(4) & padding_mask([4, 2], 4)).shape == (2, 1, 4, 4)


@given(h=st.integers(1, 6), w=st.integers(1, 6), radius=st.integers(0, 3))
def test_local_mask_is_a_square_around_each_position(h, w, radius):
    mask = local_mask(h, w, radius)
    for i in range(h * w):
        for j in range(h * w):
            assert mask[i, j] == (max(abs(i // w - j // w), abs(i % w - j % w)) <= radius)


def test_sinusoidal_positions_follow_the_formula():
    table = sinusoidal_positions(50, 16)
    for position, i in [(0, 0), (7, 3), (49, 7)]:
        angle = position / 10000 ** (2 * i / 16)
        assert math.isclose(table[position, 2 * i], math.sin(angle), abs_tol=1e-6)
        assert math.isclose(table[position, 2 * i + 1], math.cos(angle), abs_tol=1e-6)
    assert torch.allclose(table.norm(dim=1), torch.tensor(8**0.5))
    gram = table @ table.T                                          # depends on the distance alone
    assert torch.allclose(gram[3, 10], gram[30, 37], atol=1e-4)


def test_positions_of_a_map_are_row_then_column():
    table = sinusoidal_positions_2d(3, 5, 8)
    assert torch.equal(table[2 * 5 + 4], torch.cat([sinusoidal_positions(3, 4)[2], sinusoidal_positions(5, 4)[4]]))
    assert len({tuple(row.tolist()) for row in table}) == 15


@pytest.mark.parametrize("call, words", [
    (lambda: causal_mask(0), "expected n to be an integer of at least 1, got 0"),
    (lambda: causal_mask(2.0), "expected n"),
    (lambda: padding_mask([1, 5], 4), "lengths from 0 to n=4, got 1 to 5"),
    (lambda: padding_mask([-1], 4), "lengths from 0 to n=4"),
    (lambda: padding_mask([1.5], 4), "integer dtype"),
    (lambda: padding_mask([[1]], 4), r"shape \(b,\)"),
    (lambda: local_mask(0, 3, 1), "expected h"),
    (lambda: local_mask(3, 3, -1), "radius to be an integer of at least 0, got -1"),
    (lambda: sinusoidal_positions(3, 5), "even width d, got 5"),
    (lambda: sinusoidal_positions(0, 4), "expected n"),
    (lambda: sinusoidal_positions_2d(3, 3, 6), "divisible by 4, got 6"),
    (lambda: sinusoidal_positions_2d(3, 0, 8), "expected w"),
])
def test_bad_input_of_masks_and_positions(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---------------------------------------------------------------- local and sparse

@quick
@given(lead=st.lists(st.integers(1, 3), max_size=2), h=st.integers(1, 6), w=st.integers(1, 6), d=st.integers(1, 5),
       e=st.integers(1, 5), radius=st.integers(0, 3), seed=st.integers(0, 99))
def test_local_attention_equals_masked_dense_attention(lead, h, w, d, e, radius, seed):
    q, k, v = tensors(*[(*lead, h * w, d)] * 2, (*lead, h * w, e), seed=seed)
    expected = explicit_attention(q, k, v, local_mask(h, w, radius))[0]
    assert close(local_attention(q, k, v, h, w, 2 * radius + 1), expected)


def test_zero_keys_at_the_border_would_be_wrong():
    """Keys of a constant map fit equally well everywhere, so each output must be the constant value, at the border too."""
    q, k, v = (torch.ones(16, 2) for _ in range(3))
    assert torch.allclose(local_attention(q, k, v, 4, 4, 3), v)


def test_local_attention_depends_on_its_window_only():
    q, k, v = (x.requires_grad_() for x in tensors((64, 4), (64, 4), (64, 4)))
    local_attention(q, k, v, 8, 8, 3)[3 * 8 + 3].sum().backward()
    assert v.grad.abs().sum(-1).reshape(8, 8).nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]


@quick
@given(n=sizes, m=sizes, data=st.data())
def test_topk_attention_equals_its_definition(n, m, data):
    keep = data.draw(st.integers(1, m))
    q, k, v = tensors((2, n, 4), (2, m, 4), (2, m, 3), seed=n)
    scores = attention_scores(q, k)
    threshold = scores.sort(dim=-1, descending=True).values[..., keep - 1, None]
    weights = scores.masked_fill(scores < threshold, -math.inf).softmax(-1)
    assert close(topk_attention(q, k, v, keep), weights @ v)
    assert (topk_mask(scores, keep).sum(-1) == keep).all()


def test_topk_with_all_keys_is_attention_and_ties_keep_exactly_k():
    q, k, v = tensors((2, 5, 4), (2, 7, 4), (2, 7, 4))
    assert close(topk_attention(q, k, v, 7), attention(q, k, v))
    assert topk_mask(torch.zeros(3, 6), 2).sum(-1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("call, words", [
    (lambda x: local_attention(x, x, x, 3, 4, 2), "odd window, so that it has a centre, got 2"),
    (lambda x: local_attention(x, x, x, 3, 5, 3), r"h\*w=15.*got \(2, 12, 4\)"),
    (lambda x: local_attention(x, x[:1], x, 3, 4, 3), "equal leading axes"),
    (lambda x: local_attention(x, x, x, 0, 4, 3), "expected h"),
    (lambda x: local_attention(x, x[..., :2], x, 3, 4, 3), "same width"),
    (lambda x: topk_attention(x, x, x, 0), "keep to be an integer of at least 1, got 0"),
    (lambda x: topk_attention(x, x, x, 13), r"at least keep=13 keys, got \(2, 12, 12\)"),
    (lambda x: topk_attention(x, x, x[:, :3], 2), "as many values as keys"),
    (lambda x: topk_mask(3, 1), "expected scores .* got int"),
])
def test_bad_input_of_local_and_sparse(call, words):
    with pytest.raises(ValueError, match=words):
        call(tensors((2, 12, 4))[0])


# ---------------------------------------------------------------- rollout

def test_rollout_is_the_product_of_the_layers():
    first, second = (x.softmax(-1) for x in tensors((2, 3, 5, 5), (2, 3, 5, 5)))
    eye = torch.eye(5, dtype=torch.float64)
    expected = (0.5 * second.mean(1) + 0.5 * eye) @ (0.5 * first.mean(1) + 0.5 * eye)
    assert close(attention_rollout([first, second]), expected)
    assert close(attention_rollout([first[0], second[0]]), expected[0])
    assert close(attention_rollout([first, second]).sum(-1), torch.ones(2, 5, dtype=torch.float64))


def test_rollout_of_no_attention_is_the_token_itself():
    assert torch.equal(attention_rollout([torch.eye(4).expand(2, 4, 4)] * 3), torch.eye(4))


@pytest.mark.parametrize("layers", [
    [], [torch.zeros(4, 4)], [torch.zeros(2, 4, 5)], [torch.zeros(2, 4, 4), torch.zeros(2, 5, 5)],
])
def test_bad_input_of_rollout(layers):
    with pytest.raises(ValueError, match="attention_rollout: expected one tensor"):
        attention_rollout(layers)


# ---------------------------------------------------------------- cost

def test_the_matrix_of_the_story_is_exactly_320_gib():
    cost = attention_cost(tokens=32768, head_dim=8, heads=8, batch=10)
    assert isinstance(cost, AttentionCost) and cost.score_bytes == 320 * 2**30
    assert cost.score_bytes == math.prod((10, 8, 32768, 32768)) * 4
    assert attention_cost(32768, 8, 8, 10, torch.float16).score_bytes == 160 * 2**30
    assert attention_cost(8192, 8, 8, 10).score_bytes == 20 * 2**30         # half the height, half the width: a sixteenth
    assert "320.000 GiB" in str(cost)


def test_predicted_bytes_are_those_of_real_tensors():
    q, k, v = tensors(*[(2, 3, 40, 5)] * 3, dtype=torch.float32)
    cost = attention_cost(tokens=40, head_dim=5, heads=3, batch=2)
    out, weights = explicit_attention(q, k, v)
    assert (cost.qkv_bytes, cost.out_bytes, cost.score_bytes) == (3 * q.nbytes, out.nbytes, weights.nbytes)


def test_predicted_multiply_adds_are_those_counted():
    from torch.utils.flop_counter import FlopCounterMode
    q, k, v = tensors(*[(2, 3, 40, 5)] * 3)
    with FlopCounterMode(display=False) as counter:
        explicit_attention(q, k, v)
    assert counter.get_total_flops() == 2 * attention_cost(40, 5, 3, 2).multiply_adds


def test_measured_peaks_agree_with_the_prediction():
    setup = "from dlnotes.attention import attention, explicit_attention\nq, k, v = torch.randn(3, 1, 4, 2048, 16)"
    cost = attention_cost(tokens=2048, head_dim=16, heads=4)        # scores: 64 MiB
    explicit = measure_peak("explicit_attention(q, k, v)", setup)
    fused = measure_peak("attention(q, k, v)", setup)
    assert 0.8 * cost.explicit_extra_bytes < explicit < 1.4 * cost.explicit_extra_bytes
    assert fused < cost.score_bytes / 2


@pytest.mark.cuda
def test_measured_peaks_on_cuda():
    setup = ("from dlnotes.attention import attention, explicit_attention\n"
             "q, k, v = torch.randn(3, 1, 8, 4096, 64, device='cuda', dtype=torch.float16)\nattention(q, k, v); q @ k.mT")
    cost = attention_cost(tokens=4096, head_dim=64, heads=8, dtype=torch.float16)
    assert 0.9 * cost.explicit_extra_bytes < measure_peak("explicit_attention(q, k, v)", setup, device="cuda")
    assert measure_peak("attention(q, k, v)", setup, device="cuda") < 3 * cost.fused_extra_bytes


@pytest.mark.parametrize("call, error, words", [
    (lambda: attention_cost(0, 8, 8), ValueError, "expected tokens to be an integer of at least 1, got 0"),
    (lambda: attention_cost(8, 8, 8, batch=1.5), ValueError, "expected batch"),
    (lambda: attention_cost(8, 8, 8, dtype=torch.int8), TypeError, "expected a floating dtype"),
    (lambda: measure_peak(len), ValueError, "source text, like timeit"),
    (lambda: measure_peak("1", device="tpu"), ValueError, "expected device 'cpu', 'cuda' or 'cuda:N', got 'tpu'"),
    (lambda: measure_peak("1 / 0"), RuntimeError, "'1 / 0' failed: ZeroDivisionError"),
    (lambda: measure_peak("import time; time.sleep(9)", timeout=0.2), RuntimeError, "took longer than 0.2 s"),
])
def test_bad_input_of_cost(call, error, words):
    with pytest.raises(error, match=words):
        call()
