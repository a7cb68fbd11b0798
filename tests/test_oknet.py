"""OKNet and its module: the authors' figures, dead parameters left out, and what the Fourier transform does in it."""

import pytest
import torch

from authors_tensors import authors_tensors
from dlnotes.checkpoints import load_weights
from dlnotes.models.oknet import OKNet, oknet
from dlnotes.fourier import FrequencyGate
from dlnotes.restoration.okm import OmniKernel
from fixtures import assert_figures, fill, wave


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------- counts and figures

def test_parameters_of_the_module():
    def live(c: int, k: int) -> int:
        return 6 * (c * c + c) + 2 * (k * c + c) + (k * k * c + c) + (c + c) + 2 * c
    assert parameters(OmniKernel(128)) == live(128, 63) == 624_128
    assert parameters(OmniKernel(8)) == live(8, 63) == 33_248


@pytest.mark.parametrize(("depth", "live", "as_coded"), [(4, 4_427_689, 4_722_857), (1, 2_102_569, 2_397_737)])
def test_the_released_code_counts_a_convolution_that_it_never_calls(depth, live, as_coded):
    dead = 128 * 256 * 9 + 256                                          # FGM.conv, 3 x 3, 128 to 256 channels
    with torch.device("meta"):
        assert parameters(oknet(depth=depth)) == live
    assert dead == 295_168 and live + dead == as_coded


def test_multiply_adds_of_the_small_version():
    from torch.utils.flop_counter import FlopCounterMode
    with torch.device("meta"):
        model, x = oknet(depth=1).eval(), torch.zeros(1, 3, 256, 256)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert f"{counter.get_total_flops() / 2e9:.4f}" == "14.5780"        # Fourier transforms are not counted


def test_figures_of_the_module():
    """MODELS.md, section 4: from the authors' code, without the convolution that it never calls."""
    out = fill(OmniKernel(8))(wave(1, 8, 16, 16))
    assert_figures(out, 3.140045218e-02, 1.459935397e-01, 1.673408672e-01, 2.051414971e-01)


def test_figures_of_the_whole_network():
    """The figures come from the authors' code (c-yn/OKNet), run with the same tensors; its outputs are smallest first."""
    model = oknet().double().eval()
    report = load_weights(model, authors_tensors("oknet"))
    assert report.dialect == "authors" and not report.reshaped
    assert set(report.dropped) == {"bottelneck.fgm.conv.weight", "bottelneck.fgm.conv.bias"}
    with torch.no_grad():
        full, half, quarter = model(wave(1, 3, 32, 40))
    assert_figures(full, -3.975858824e+04, 5.178871910e+04, -1.240535472e+04, 7.549599829e+03)
    assert_figures(half, -1.593478287e+04, 3.278866880e+04, -1.126526716e+04, 4.816505972e+03)
    assert_figures(quarter, 2.210182964e+04, 5.050338395e+04, -3.135019541e+03, 6.897752739e+04)


# ---------------------------------------------------------------- what it does

def test_a_gate_of_one_gives_the_absolute_value_back():
    gate, x = FrequencyGate(4), torch.randn(2, 4, 6, 7)
    with torch.no_grad():
        gate.gate.weight.zero_(), gate.gate.bias.fill_(1), gate.alpha.fill_(1), gate.beta.zero_()
    assert torch.allclose(gate(x), gate.value(x).abs(), atol=1e-5)


def test_every_output_pixel_depends_on_every_input_pixel():
    torch.manual_seed(0)
    module = OmniKernel(2, kernel_size=3)
    with torch.no_grad():
        module.dual_domain.gate.alpha.fill_(1), module.point.bias.fill_(9)         # 9: the ReLU stays open
    x = torch.randn(1, 2, 12, 12, requires_grad=True)
    module(x)[0, :, 0, 0].sum().backward()
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_a_black_picture_gives_finite_gradients():
    """The absolute value of a complex number has no derivative at 0; PyTorch takes 0 there."""
    module = OmniKernel(4, kernel_size=3)
    with torch.no_grad():
        module.project_in.bias.zero_(), module.dual_domain.gate.value.bias.zero_(), module.dual_domain.gate.alpha.fill_(1)
    x = torch.zeros(1, 4, 5, 6, requires_grad=True)
    module(x).square().sum().backward()
    assert x.grad.isfinite().all() and all(p.grad.isfinite().all() for p in module.parameters())


def test_the_module_works_at_half_precision_and_stays_near():
    """No transform takes bfloat16."""
    torch.manual_seed(0)
    module, x = OmniKernel(4, kernel_size=3), torch.randn(1, 4, 5, 6)
    with torch.no_grad():
        module.dual_domain.gate.alpha.fill_(1)
        exact = module(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.allclose(module(x).float(), exact, atol=0.05)
        assert torch.allclose(module.bfloat16()(x.bfloat16()).float(), exact, atol=0.05)


def test_each_output_is_a_correction_of_the_input_of_its_size():
    model, x = OKNet(width=8, depth=1, kernel_size=7), torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        for last in (model.out1, model.out2, model.out3):
            last.weight.zero_(), last.bias.zero_()
        full, half, quarter = model(x)
    assert torch.equal(full, x) and torch.equal(half, x[:, :, ::2, ::2]) and torch.equal(quarter, x[:, :, ::4, ::4])


def test_a_bias_before_an_instance_norm_has_no_effect():
    torch.manual_seed(0)
    model, x = OKNet(width=8, depth=1, kernel_size=7).double(), torch.rand(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        before = model(x)
        model.input2.conv4.bias.add_(1)
        assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(model(x), before))


@pytest.mark.parametrize(("settings", "message"), [
    ({"width": 5}, "expected an even width, got 5"), ({"kernel_size": 4}, "expected an odd kernel_size, got 4"),
    ({"depth": 0}, "expected depth to be an integer of at least 1, got 0")])
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        OKNet(**settings)
