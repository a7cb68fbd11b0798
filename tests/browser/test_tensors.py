"""TensorShapes: its rules are PyTorch's and einops', and a reader reaches everything by mouse, finger and keyboard."""

import random
from math import prod

import einops
import pytest
import torch

from dlnotes import shapes
from dlnotes.widgets import TensorShapes
from dlnotes.widgets.tensors import _FUNCTIONS, _run

pytestmark = pytest.mark.browser

NAMESPACE = {"torch": torch, "rearrange": einops.rearrange, **_FUNCTIONS}


def by_torch(x, step):
    """The truth: Python evaluates the step as a reader would type it."""
    if step.startswith("x"):
        text = step
    elif step.split("(")[0] in NAMESPACE:
        text = step.replace("(", "(x, ", 1)
    else:
        text = f"x.{step}"
    return eval(text.replace("(x, )", "(x)"), {**NAMESPACE, "x": x})


def storage(x):
    return torch.empty(0, dtype=x.dtype).set_(x.untyped_storage()).tolist()


def random_factors(rng, n):
    factors = []
    while n > 1 and rng.random() < 0.7:
        d = rng.choice([k for k in range(1, n + 1) if n % k == 0])
        factors.append(d)
        n //= d
    factors.append(n)
    rng.shuffle(factors)
    return factors[:6] if prod(factors[:6]) == prod(factors) else [prod(factors)]


def random_pattern(rng, x):
    names = "abcdefgh"[: x.ndim]
    left, sizes, axes = [], {}, []
    for name, size in zip(names, x.shape):
        if rng.random() < 0.4:
            d = rng.choice([k for k in range(1, size + 1) if size % k == 0])
            left.append(f"({name} {name}2)")
            axes += [name, f"{name}2"]
            if rng.random() < 0.95:
                sizes[f"{name}2"] = d if rng.random() < 0.95 else d + 1
        elif size == 1 and rng.random() < 0.5:
            left.append("1")
        else:
            left.append(name)
            axes.append(name)
    dots = rng.random() < 0.2 and x.ndim > 1
    if dots:
        gone = left.pop()
        axes = [a for a in axes if a not in gone.strip("()").split()]
        sizes = {k: v for k, v in sizes.items() if k in axes}
        left.append("...")
        axes.append("...")
    rng.shuffle(axes)
    if rng.random() < 0.04 and axes:
        axes.pop()
    right = []
    while axes:
        take = rng.randint(1, 3)
        group, axes = axes[:take], axes[take:]
        right.append(f"({' '.join(group)})" if len(group) > 1 or rng.random() < 0.1 else group[0])
        if rng.random() < 0.1:
            right.append(rng.choice(["1", "()"]))
    words = "".join(f", {k}={v}" for k, v in sizes.items())
    return f'rearrange("{" ".join(left)} -> {" ".join(right)}"{words})'


def random_step(rng, x):
    """One step for x, mostly legal."""
    n = x.ndim
    axis = lambda: rng.randint(-n, n - 1) if rng.random() < 0.95 else rng.choice([n, n + 1, -n - 1])  # noqa: E731
    size = x.numel() if rng.random() < 0.95 else x.numel() + 1
    new = random_factors(rng, size)
    if rng.random() < 0.4:
        new[rng.randrange(len(new))] = -1
    if rng.random() < 0.15:
        new.insert(rng.randint(0, len(new)), 1)
    new = ", ".join(map(str, new))
    order = rng.sample(range(n), n)
    if rng.random() < 0.05:
        order[rng.randrange(n)] = axis()
    if rng.random() < 0.03:
        order.append(0)
    expand = [rng.choice([-1, s, s]) if s > 1 or rng.random() < 0.5 else rng.randint(1, 3) for s in x.shape]
    if rng.random() < 0.3:
        expand.insert(0, rng.randint(1, 2))
    if rng.random() < 0.05:
        expand[-1] += 1

    def item(s):
        kind = rng.random()
        if kind < 0.35:
            return ":"
        if kind < 0.5:
            return str(rng.randint(-s, s - 1) if rng.random() < 0.9 else s)
        if kind < 0.55:
            return "None"
        low, high, by = rng.randint(-s, s), rng.randint(1, s + 2), rng.randint(1, 2)
        return rng.choice([f"{low}:", f":{high}", f"::{by}", f"{rng.randint(0, 1)}::{by}", f"{low}:{high}:{by}", ":-1"])

    items = [item(s) for s in x.shape[: rng.randint(1, n)]]
    if rng.random() < 0.2:
        items.insert(rng.randint(0, len(items)), "...")
    k = rng.randint(1, 3)
    choices = [
        (f"view({new})", 4), (f"reshape({new})", 3), (f"view(({new},))", 1), (f"permute({', '.join(map(str, order))})", 5),
        (f"transpose({axis()}, {axis()})", 3), (f"flatten({axis()})", 1), (f"flatten({axis()}, {axis()})", 2),
        ("flatten()", 1),
        (f"unsqueeze({rng.randint(-n - 1, n + 1)})", 1), ("squeeze()", 1), (f"squeeze({axis()})", 1), ("contiguous()", 1),
        ("contiguous(memory_format=torch.channels_last)", 2 if n == 4 else 0.2),
        ("to(memory_format=torch.channels_last)", n == 4),
        (f"expand({', '.join(map(str, expand))})", 2), (f"x[{', '.join(items)}]", 3), ("mT", 0.5), ("t()", 0.5),
        (f"unflatten({axis()}, ({rng.randint(1, 3)}, -1))", 1), (random_pattern(rng, x), 5),
        *[(f"{name}({k})", 3 if n == 4 else 0.1) for name in ("patchify", "window_partition", "pixel_shuffle",
            "pixel_unshuffle", "channel_shuffle")],
        ("patch_merging()", 3 if n == 4 else 0.1), ("to_tokens()", n == 4),
        (f"to_map({k}, {x.shape[1] // k if n > 1 else 1})", n == 3),
    ]
    return rng.choices([c for c, _ in choices], [float(w) for _, w in choices])[0]


def random_chain(rng):
    while True:
        shape = rng.choices([1, 2, 2, 3, 4, 4, 6, 8], k=rng.choice([1, 2, 3, 3, 4, 4, 4, 5]))
        if prod(shape) <= 96:
            break
    x = torch.arange(prod(shape)).reshape(shape)
    steps, results = [], [x]
    for _ in range(rng.randint(1, 6)):
        if not x.ndim:
            break
        step = random_step(rng, x)
        try:
            y = by_torch(x, step)
        except Exception as error:
            if rng.random() < 0.6:
                continue
            return shape, [*steps, step], [*results, error]
        if not 0 < y.numel() <= 96 or y.ndim > 8:
            continue
        x = y
        steps.append(step)
        results.append(x)
    return shape, steps, results


def test_random_chains_agree_with_pytorch_and_einops(kernels, page):
    kernels("tensors")
    rng = random.Random(0)
    chains = [random_chain(rng) for _ in range(700)]
    answers = page.evaluate("""chains => chains.map(([shape, steps]) =>
        dlnotes.modules.tensors.kernels.run(shape, shape.map((_, i) => `a${i}`), steps))""", [chain[:2] for chain in chains])
    seen = {"stages": 0, "copies": 0, "errors": 0, "operations": set()}
    for (shape, steps, results), stages in zip(chains, answers, strict=True):
        before = None
        for i, (stage, y) in enumerate(zip(stages, results, strict=True)):
            told = (shape, steps, i)
            if isinstance(y, Exception):
                assert stage.get("error", {}).get("kind") == type(y).__name__, (told, y, stage)
                seen["errors"] += 1
                continue
            assert "shape" in stage, (told, stage)
            assert stage["shape"] == list(y.shape), told
            assert stage["strides"] == list(y.stride()), (told, stage["strides"], y.stride())
            assert stage["offset"] == y.storage_offset(), told
            assert stage["contiguous"] == y.is_contiguous(), told
            assert stage["channelsLast"] == (y.ndim == 4 and y.is_contiguous(memory_format=torch.channels_last)), told
            assert stage["values"] == y.flatten().tolist(), told
            assert stage["memory"] == storage(y), told
            if before is not None:
                shares = shapes.shares_storage(before, y)
                assert (stage["kind"] != "copy") == shares, (told, stage["kind"])
                seen["copies"] += not shares
                seen["operations"].add(steps[i - 1].split("(")[0].split("[")[0])
            seen["stages"] += 1
            before = y
    assert seen["stages"] > 2000 and seen["copies"] > 150 and seen["errors"] > 100 and len(seen["operations"]) >= 20, seen


def test_the_rule_of_view_agrees_with_pytorch(kernels, page):
    kernels("tensors")
    rng = random.Random(1)
    cases, expected = [], []
    for _ in range(300):
        base = torch.arange(96).reshape(random_factors(rng, 96))
        x = base.permute(rng.sample(range(base.ndim), base.ndim))
        x = x[tuple(slice(None, None, rng.choice([1, 1, 2])) for _ in range(x.ndim))]
        new = random_factors(rng, x.numel())
        cases.append([list(x.shape), list(x.stride()), new])
        try:
            expected.append(list(x.view(new).stride()))
        except RuntimeError:
            expected.append(None)
    answers = page.evaluate("""cases => { const { viewStrides, viewObstacle } = dlnotes.modules.tensors.kernels;
        return cases.map((c) => [viewStrides(...c), viewObstacle(...c)]); }""", cases)
    for case, strides, (told, obstacle) in zip(cases, expected, answers, strict=True):
        assert told == strides, case
        assert (obstacle is None) == (strides is not None) == (shapes.why_not_view(*case) is None), case
    assert 40 < expected.count(None) < 260


FAILURES = [
    (["permute(0, 2, 1)", "view(2, -1)"], "RuntimeError"), (["view(5, -1)"], "RuntimeError"),
    (["view(7, 2)"], "RuntimeError"),
    (["view(-1, -1)"], "RuntimeError"), (["view(2, -2, 3)"], "RuntimeError"), (["permute(0, 1)"], "RuntimeError"),
    (["permute(0, 1, 1)"], "RuntimeError"), (["permute(0, 1, 3)"], "IndexError"), (["transpose(0, 3)"], "IndexError"),
    (["flatten(2, 1)"], "RuntimeError"), (["unsqueeze(4)"], "IndexError"), (["expand(3, 3, 4)"], "RuntimeError"),
    (["expand(2, 3)"], "RuntimeError"), (["x[5]"], "IndexError"), (["x[:, :, :, 0]"], "IndexError"),
    (["x[::-1]"], "ValueError"),
    (["unflatten(2, (2, 3))"], "RuntimeError"), (["t()"], "RuntimeError"), (["x.foo()"], "AttributeError"),
    (["x.patchify(2)"], "AttributeError"), (["view(h, 2)"], "NameError"),
    (['rearrange("b h -> h b")'], "EinopsError"), (['rearrange("b h w -> b w")'], "EinopsError"),
    (['rearrange("b (h p) w -> b h p w", p=2)'], "EinopsError"), (['rearrange("b (h p) w -> b h p w")'], "EinopsError"),
    (['rearrange("b h w -> b h w", q=2)'], "EinopsError"), (['rearrange("b h b -> b h")'], "EinopsError"),
    (['rearrange("b h w -> b h w 2")'], "EinopsError"), (['rearrange("b (h w -> b h w")'], "EinopsError"),
    (['rearrange("b h w")'], "ValueError"), (["patchify(2)"], "ValueError"), (["unsqueeze(0)", "patchify(2)"], "ValueError"),
    (["unsqueeze(0)", "channel_shuffle(3)"], "ValueError"), (["unsqueeze(0)", "pixel_shuffle(2)"], "ValueError"),
]


def test_errors_are_those_of_pytorch_and_einops(kernels):
    call = kernels("tensors")
    for steps, kind in FAILURES:
        x = torch.arange(24).reshape(2, 3, 4)
        for step in steps[:-1]:
            x = by_torch(x, step)
        with pytest.raises(Exception) as caught:
            by_torch(x, steps[-1])
        error = call("run", [2, 3, 4], ["b", "h", "w"], steps)[-1]["error"]
        assert error["kind"] == type(caught.value).__name__ == kind, steps
        said = str(caught.value)
        if steps[-1].split("(")[0] in _FUNCTIONS and "rearrange" not in steps[-1]:
            # the remedy stands in the widget's own words
            assert error["message"].rsplit("; ", 1)[0] == said.rsplit("; ", 1)[0]
        elif "Could not infer" in said:  # einops prints a set, in any order
            assert "Could not infer sizes for" in error["message"]
        else:
            assert said.endswith(error["message"]), steps


TYPED = [
    ("", "Empty"), ("view(2, -1", "SyntaxError"), ("view(2, )-1)", "SyntaxError"), ("view(2 12)", "SyntaxError"),
    ("view", "Not called"),
    ("T()", "TypeError"), ("view(2.0, 12)", "TypeError"), ("flatten('a')", "TypeError"), ("flatten(dim=1)", "TypeError"),
    ("transpose(1)", "TypeError"), ("rearrange(2)", "TypeError"), ('rearrange("b h w -> b h w)', "SyntaxError"),
    ("x[[0, 1]]", "Not here"),
    ("x[]", "SyntaxError"), ("x", "NameError"), ("x.", "SyntaxError"), ("§", "SyntaxError"),
    ("permute(0, 2, 1).view(2, -1)", "One at a time"),
    ("x[5:]", "Nothing left"), ("expand(9, 2, 3, 4)", "Too large here"), ("view(24 // 0)", "ZeroDivisionError"),
    ("foo(2)", "NameError"),
    ("view(x.size(9), -1)", "IndexError"), ("view(torch.float)", "TypeError"), ("permute()", "RuntimeError"),
    ("__proto__()", "NameError"),
    ("constructor(1)", "NameError"), ("x.toString()", "AttributeError"), ("x[1:2:3:4]", "SyntaxError"),
    ("squeeze(0, 1, 2)", None),
]


def test_whatever_is_typed_gets_an_answer(kernels):
    call = kernels("tensors")
    for step, kind in TYPED:
        last = call("run", [2, 3, 4], ["b", "h", "w"], [step])[-1]
        assert last.get("error", {}).get("kind") == kind, (step, last)


SPELLINGS = [
    "x = x.permute(0, 2, 1)", ".permute(0,2,1)", "permute((0, 2, 1))", "permute(dims=[0, 2, 1])",
    "torch.permute(x, (0, 2, 1))",
    "transpose(dim0=1, dim1=2)", "x.mT", "mT", " x.transpose( -1 , -2 ) ", 'rearrange(x, "b h w -> b w h")',
    "rearrange('b h w -> b w h')",
    "einops.rearrange(x, 'b ... w -> b w ...')", "swapaxes(1, 2)",
]


def test_spellings_of_one_operation(kernels):
    call = kernels("tensors")
    for step in SPELLINGS:
        stage = call("run", [2, 3, 4], ["b", "h", "w"], [step])[-1]
        assert (stage["shape"], stage["strides"], stage["kind"]) == ([2, 4, 3], [12, 1, 4], "view"), step
        assert stage["names"] == ["b", "w", "h"], step
        scope = {}
        exec(call("code", [2, 3, 4], ["b", "h", "w"], [step], 7), scope)
        assert tuple(scope["x"].stride()) == (12, 1, 4), step


NAMES = [
    (["flatten(1)"], ["b", "(h w)"]), (["flatten(1)", "view(2, 3, 4)"], ["b", "h", "w"]),
    (["view(2, 3, 2, 2)"], ["b", "h", "w₁", "w₂"]),
    (["view(2, 3, 2, 2)", "view(2, 3, 4)"], ["b", "h", "w"]), (["view(2, 6, 2)"], ["b", "(h w₁)", "w₂"]),
    (["permute(2, 0, 1)", "reshape(8, 3)"], ["(w b)", "h"]), (["reshape(2, 4, 3)"], ["b", "?", "?"]),
    (["x[:, None]"], ["b", "1", "h", "w"]),
    (["unsqueeze(0)", "flatten(2)"], ["1", "b", "(h w)"]), (["x[:, ::2]"], ["b", "h", "w"]),
    (["view(x.size(0), -1)"], ["b", "(h w)"]),
    (['rearrange("n r c -> c (n r)")'], ["c", "(n r)"]),
]


def test_names_travel_with_their_axes(kernels):
    call = kernels("tensors")
    for steps, names in NAMES:
        assert call("run", [2, 3, 4], ["b", "h", "w"], steps)[-1]["names"] == names, steps


def test_the_code_repeats_the_chain(kernels, capsys):
    call = kernels("tensors")
    rng = random.Random(2)
    for _ in range(60):
        shape, steps, results = random_chain(rng)
        text = call("code", shape, [f"a{i}" for i in range(len(shape))], [*steps, "view(5, 5, 5)"], 0)
        scope = {}
        exec(text, scope)
        last = [y for y in results if isinstance(y, torch.Tensor)][-1]
        assert scope["x"].stride() == last.stride() and torch.equal(scope["x"], last), text
        assert "(tensor" not in capsys.readouterr().out


def test_the_still_picture_runs_the_same_steps():
    rng = random.Random(3)
    for _ in range(150):
        shape, steps, results = random_chain(rng)
        x = results[0]
        for step, y in zip(steps, results[1:]):
            if isinstance(y, Exception):
                with pytest.raises(type(y)):
                    _run(x, step)
            else:
                x = _run(x, step)
                assert torch.equal(x, y) and x.stride() == y.stride()


# ---- in the reader's hands ---------------------------------------------------------------------------------------------

def lit(page):
    """Texts of all cells that are lit: logical cells and memory slots."""
    return page.locator(".dln-tensors-on").all_text_contents()


def readout(page):
    page.wait_for_timeout(60)
    return page.locator(".dln-readout").text_content()


def test_starts_with_the_point_already_made(widget_page):
    page = widget_page(TensorShapes())
    stages = page.locator(".dln-tensors-stage")
    assert stages.count() == 3
    assert "same memory" in stages.nth(1).text_content() and "not contiguous" in stages.nth(1).text_content()
    assert "view size is not compatible" in stages.nth(2).text_content()
    assert "a whole run of h moves 3 × 4 = 12" in stages.nth(2).text_content()
    assert lit(page) == ["7"] * 4
    assert "element 7: x: (b 0, h 1, w 3) → step 1: (b 0, w 3, h 1)" in readout(page)


def test_hovering_looks_and_pressing_chooses(widget_page):
    page = widget_page(TensorShapes(steps=["permute(2, 0, 1)", "contiguous()"]))
    page.locator(".dln-tensors-stage").nth(2).locator(".dln-tensors-memory .dln-tensors-cell").nth(1).hover()
    assert "element 4: x: (b 0, h 1, w 0) → step 1: (w 0, b 0, h 1) → step 2: (w 0, b 0, h 1)" in readout(page)
    page.mouse.move(2, 2)
    assert "element 7" in readout(page)
    page.locator(".dln-tensors-grid").nth(1).get_by_text("20", exact=True).click()
    page.mouse.move(2, 2)
    assert "element 20" in readout(page) and lit(page) == ["20"] * 6


def test_touch_reaches_the_elements(widget_page):
    page = widget_page(TensorShapes(), has_touch=True, viewport={"width": 320, "height": 700})
    page.locator(".dln-tensors-grid").nth(1).get_by_text("9", exact=True).tap()
    assert "element 9" in readout(page)


def test_arrow_keys_walk_through_a_tensor(widget_page):
    page = widget_page(TensorShapes(element=0))
    grid = page.locator(".dln-tensors-grid").nth(1)
    grid.focus()
    for key, element in [("ArrowRight", 4), ("ArrowDown", 5), ("End", 9), ("ArrowRight", 2), ("Home", 2), ("ArrowUp", 1),
        ("ArrowUp", 0)]:
        page.keyboard.press(key)
        assert f"element {element}:" in readout(page), key
    assert page.locator(f"#{grid.get_attribute('aria-activedescendant')}").text_content() == "0"


def test_an_axis_can_be_walked_along(widget_page):
    page = widget_page(TensorShapes())
    page.locator(".dln-tensors-stage").nth(1).get_by_role("button", name="Along w: stride 1").focus()
    assert "along w: slots 4, 5, 6, 7" in readout(page)
    assert sorted(page.locator(".dln-tensors-along").all_text_contents()) == ["4", "4", "5", "5", "6", "6", "7", "7"]


def test_the_remedy_is_one_press_away(widget_page):
    page = widget_page(TensorShapes())
    page.get_by_role("button", name="contiguous() first (copies)").click()
    page.wait_for_timeout(60)
    assert [box.input_value() for box in page.get_by_label("Step").all() if box.evaluate("e => e.tagName") == "INPUT"] == [
        "permute(0, 2, 1)", "contiguous()", "view(2, -1)"]
    assert page.locator(".dln-tensors-broken").count() == 0
    assert "new memory" in page.locator(".dln-tensors-stage").nth(2).text_content()


def test_steps_are_edited_added_moved_and_removed(widget_page):
    page = widget_page(TensorShapes())
    step = page.get_by_role("textbox", name="Step 2")
    step.fill("reshape(2, -")
    page.wait_for_timeout(60)
    assert "SyntaxError" in page.locator(".dln-tensors-problem").nth(2).text_content()
    assert step.get_attribute("aria-invalid") == "true"
    step.press_sequentially("1)")
    page.wait_for_timeout(60)
    assert step.get_attribute("aria-invalid") == "false"
    assert page.locator(".dln-tensors-copy").count() == 1
    page.get_by_label("Add a step").select_option(label="flatten: flatten(1)")
    page.wait_for_timeout(60)
    assert page.evaluate("document.activeElement.value") == "flatten(1)"
    page.get_by_role("button", name="Move step 3 up").click()
    page.get_by_role("button", name="Move step 2 up").click()
    page.wait_for_timeout(60)
    assert page.get_by_role("textbox", name="Step 1").input_value() == "flatten(1)"
    assert "number of dimensions" in page.locator(".dln-tensors-broken").text_content()
    assert "waits" in page.locator(".dln-tensors-skipped").text_content()
    for _ in range(3):
        page.get_by_role("button", name="Remove step 1").click()
    assert page.locator(".dln-tensors-stage").count() == 1


def test_the_input_can_be_changed_and_bad_sizes_are_explained(widget_page):
    page = widget_page(TensorShapes(steps=["flatten(1)"]))
    sizes = page.get_by_label("sizes")
    sizes.fill("4, 3, 2, 1")
    page.wait_for_timeout(60)
    assert page.get_by_label("axes").input_value() == "b c h w"
    assert page.locator(".dln-tensors-stage").nth(1).locator(".dln-tensors-cell[data-at]").count() == 24
    for bad, says in [("100, 2", "up to 96"), ("", "one to six"), ("0, 2", "nothing to see"), ("2.5", "whole numbers")]:
        sizes.fill(bad)
        page.wait_for_timeout(60)
        assert says in page.locator(".dln-tensors-problem").first.text_content(), bad
    page.get_by_label("axes").fill("h h")
    sizes.fill("2, 3")
    page.wait_for_timeout(60)
    assert "different words" in page.locator(".dln-tensors-problem").first.text_content()


def test_every_example_runs_and_asks(widget_page):
    page = widget_page(TensorShapes())
    example = page.get_by_label("Example")
    names = [option for option in example.locator("option").all_text_contents() if option != "choose…"]
    assert len(names) >= 12
    may_fail = {"view after permute", "strided slice", "expand: stride 0", "channels_last"}
    for name in names:
        example.select_option(label=name)
        page.wait_for_timeout(40)
        assert (page.locator(".dln-tensors-broken").count() == 1) == (name in may_fail), name
        assert page.locator(".dln-tensors-note").text_content().strip(), name
        assert ("no old name fits" in page.locator(".dln-tensors").text_content()) == ("wrong" in name), name


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_nothing_is_cut_and_axe_finds_nothing(widget_page, width, scheme):
    from axe_core_python.sync_playwright import Axe

    page = widget_page(TensorShapes((1, 2, 4, 4), steps=["patchify(2)", "transpose(1, 2)", "view(-1)"]),
                       viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    serious = [(v["id"], [node["html"][:120] for node in v["nodes"]][:3]) for v in found["violations"]
               if v["id"] != "page-has-heading-one"]
    assert serious == []
