"""CAMixerSR and its mixer: the authors' figures, which windows attend, what that costs, and that evaluation is certain."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from authors_tensors import authors_tensors
from dlnotes.capture import record
from dlnotes.checkpoints import load_weights
from dlnotes.models.camixersr import CAMixerSR, camixersr
from dlnotes.restoration.camixer import CAMixer, Predictor, hard_windows, ratio_loss, warp
from fixtures import assert_figures, wave


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------- counts and figures

@pytest.mark.parametrize(("scale", "count"), [(4, 765_322), (3, 753_961), (2, 745_846)])
def test_parameters(scale, count):
    with torch.device("meta"):
        assert parameters(camixersr(scale=scale)) == count


def test_parameters_of_the_parts():
    assert parameters(Predictor(60)) == 6_537
    assert parameters(CAMixer(60)) == 22_377
    assert parameters(camixersr().groups[0].blocks[0]) == 34_497


@pytest.mark.parametrize(("ratio", "printed"), [(0.0, "2.0674"), (1.0, "5.1738")])
def test_multiply_adds_where_no_window_attends_and_where_all_do(ratio, printed):
    model = camixersr(ratio=ratio).eval()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    assert f"{counter.get_total_flops() / 2e9:.4f}" == printed
    assert printed in CAMixerSR.__doc__


def test_figures_of_the_whole_network():
    """The figures come from the authors' code (icandle/CAMixerSR), run with the same tensors, its draw replaced by arg-max.

    By the shared rule no window would attend. So the first layer of the scores looks at differences, it and the second are
    ten times larger, and neither has a bias; a part of the picture is flat. Each block then finds 17 to 58 % of them hard.
    """
    tensors = authors_tensors("camixersr")
    for key, value in tensors.items():
        if "out_mask.0.weight" in key:
            value.sub_(value.mean(dim=1, keepdim=True))
        if "out_mask" in key:
            value.mul_(0 if key.endswith("bias") else 10)
    model = camixersr().double().eval()
    report = load_weights(model, tensors)
    assert report.dialect == "authors" and not report.dropped and not report.reshaped
    x = wave(1, 3, 40, 53)
    x[..., 32:] = 0
    with torch.no_grad():
        out, shares = model(x, routing=True)
    assert 0.16 < shares.min() < shares.max() < 0.59
    assert_figures(out, 2.046311357e-01, 3.164540830, 6.852060227e-01, 3.622266777)


# ---------------------------------------------------------------- which windows attend

@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=3))
def test_the_ratio_of_training_leaves_the_choice_to_the_arg_max(probability):
    probability = torch.tensor(probability, dtype=torch.float64)
    assert torch.equal(hard_windows(probability), probability >= 0.5)
    assert hard_windows(probability, ratio=1.0).all()
    assert not hard_windows(probability, ratio=0.0).any()


def test_a_smaller_ratio_keeps_the_hardest():
    probability = torch.tensor([[0.6, 0.9, 0.1, 0.7, 0.8]])
    assert hard_windows(probability, ratio=0.25).tolist() == [[False, True, False, False, True]]
    assert hard_windows(probability, ratio=0.75).all()                  # 1.5 * 4 = 6, more than there are


def test_evaluation_is_deterministic():
    model, x = tiny().eval(), torch.rand(2, 3, 16, 20)
    with torch.no_grad():
        once, shares = model(x, routing=True)
        again, same = model(x, routing=True)
    assert torch.equal(once, again) and torch.equal(shares, same)
    assert 0 < shares.mean() < 1


def test_training_draws():
    model, x = tiny().train(), torch.rand(4, 3, 32, 32)
    shares = {tuple(model(x, routing=True)[1].flatten().tolist()) for _ in range(5)}
    assert len(shares) > 1


def test_attention_runs_in_the_hard_windows_and_nowhere_else():
    model, x = tiny().eval(), torch.rand(2, 3, 16, 20)
    with torch.no_grad(), record(model, attention=True) as seen:
        _, shares = model(x, routing=True)
    n = 2 * 4 * 5
    attended = [weights.shape[0] * weights.shape[1] for weights in seen.attention]
    assert attended == [round(share * n) for share in shares.mean(dim=0).tolist()]
    assert all(weights.shape[-2:] == (16, 16) for weights in seen.attention)


def test_choosing_windows_gives_what_both_branches_everywhere_and_a_mask_give():
    mixer = tiny().groups[0].blocks[0].mixer.double()
    x, hint = torch.randn(2, 12, 8, 12, dtype=torch.float64), torch.randn(2, 2, 8, 12, dtype=torch.float64)
    mixer.router.eval()
    with torch.no_grad():
        everywhere, hard = mixer(x, hint)                               # the mixer trains, its router evaluates
        chosen, same = mixer.eval()(x, hint)
    assert 0 < hard.mean() < 1 and torch.equal(hard, same)
    assert torch.allclose(chosen, everywhere, atol=1e-12)


def test_a_simple_window_without_the_last_convolution_is_its_values_weighed_by_place():
    torch.manual_seed(0)
    mixer, x, hint = CAMixer(12, 4, ratio=0.0).eval(), torch.randn(1, 12, 8, 8), torch.zeros(1, 2, 8, 8)
    seen = {}
    mixer.near.register_forward_pre_hook(lambda module, args: seen.update(mixed=args[0]))
    mixer.predictor.register_forward_hook(lambda module, args, out: seen.update(spatial=out.spatial))
    with torch.no_grad():
        mixer(x, hint)
        assert torch.equal(seen["mixed"], mixer.value(x) * seen["spatial"])


def test_the_bias_of_the_keys_has_no_effect():
    """It adds the same to all scores of a query, which the softmax takes away."""
    torch.manual_seed(0)
    mixer = CAMixer(12, 4, ratio=1.0).double().eval()
    x, hint = torch.randn(1, 12, 8, 8, dtype=torch.float64), torch.zeros(1, 2, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        before = mixer(x, hint)[0]
        mixer.key.bias.add_(1)
        assert torch.allclose(mixer(x, hint)[0], before, atol=1e-10)


# ---------------------------------------------------------------- the draw, the loss, the warp

def test_probabilities_fed_to_the_gumbel_softmax_leave_a_certain_window_undecided():
    torch.manual_seed(0)
    certain = torch.tensor([10.0, -10.0]).expand(20_000, 2)
    by_logits = F.gumbel_softmax(certain, hard=True)[:, 1].mean().item()
    by_probabilities = F.gumbel_softmax(certain.softmax(-1), hard=True)[:, 1].mean().item()
    assert by_logits == 0
    assert by_probabilities == pytest.approx(1 / (1 + math.e), abs=0.015) and 1 / (1 + math.e) > 0.25


def test_the_loss_of_the_ratio_is_least_at_a_half_and_reaches_the_scores():
    model, x = tiny().train(), torch.rand(2, 3, 8, 8)
    _, shares = model(x, routing=True)
    ratio_loss(shares + 0.1).backward()
    assert model.groups[0].blocks[0].mixer.predictor.score2.weight.grad.abs().sum() > 0
    assert ratio_loss(torch.full((3, 2), 0.5)) == 0 and ratio_loss(torch.ones(3)) == 2 * 0.5 * 0.25
    assert ratio_loss(torch.zeros(3), ratio=0.25) == 2 * 0.25 * 0.25


@settings(deadline=None, max_examples=25)
@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(1, 5), st.integers(1, 5))
def test_warping_by_whole_pixels_is_indexing(right, down, h, w):
    x = torch.randn(1, 2, h, w, dtype=torch.float64)
    offsets = torch.tensor([right, down], dtype=torch.float64).reshape(1, 2, 1, 1).expand(1, 2, h, w)
    rows, columns = (torch.arange(h) + down).clamp(0, h - 1), (torch.arange(w) + right).clamp(0, w - 1)
    assert torch.allclose(warp(x, offsets), x[:, :, rows][:, :, :, columns], atol=1e-9)


def test_offsets_stay_within_eight_pixels():
    predictor = Predictor(12, 4)
    with torch.no_grad():
        predictor.offset2.bias.fill_(100)
        assert torch.allclose(predictor(torch.randn(1, 16, 8, 8)).offsets, torch.tensor(8.0))


# ---------------------------------------------------------------- sizes and settings

@pytest.mark.parametrize("size", [(3, 4), (5, 11), (16, 4)])
def test_other_sizes_are_reflected_up_to_the_next_window(size):
    model, x = tiny().eval(), torch.rand(1, 3, *size)
    h, w = size
    with torch.no_grad():
        by_hand = model(F.pad(x, (0, -w % 4, 0, -h % 4), mode="reflect"))[..., :2 * h, :2 * w]
        assert torch.equal(model(x), by_hand) and by_hand.shape == (1, 3, 2 * h, 2 * w)


def test_it_runs_under_autocast():
    model, x = tiny(), torch.rand(1, 3, 8, 8)
    for training in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            assert model.train(training)(x).isfinite().all()


@pytest.mark.parametrize(("settings", "message"), [
    ({"ratio": 1.5}, r"expected ratio in \[0, 1\], got 1.5"),
    ({"depths": ()}, r"expected the depths of one or more groups, got \(\)"),
    ({"depths": (1, 0)}, r"expected depths\[1\] to be an integer of at least 1, got 0"),
    ({"width": 3}, "expected width to be an integer of at least 4, got 3")])
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CAMixerSR(**settings)


def tiny() -> CAMixerSR:
    """Both kinds of windows occur: the scores have no bias and look at differences."""
    torch.manual_seed(0)
    model = CAMixerSR(width=12, depths=(1, 2), scale=2, window_size=4)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Predictor):
                module.score1.weight.sub_(module.score1.weight.mean(dim=1, keepdim=True))
                module.score1.bias.zero_(), module.score2.bias.zero_()
    return model
