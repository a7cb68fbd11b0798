"""Package, tests and chapters keep to what Python 3.10 and torch 2.4 offer; tools/run_versions.py says plainly what it could not try."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import run_versions  # noqa: E402

# Public names, and parameters in brackets, of 3.13's library that 3.10's has not; of torch 2.15 that 2.4 has not. Found by
# comparing dir() and inspect.signature() of both, in the modules that a course like this one may come to use.
NEWER = set("""
tomllib datetime.UTC enum.StrEnum enum.ReprEnum enum.EnumType enum.member enum.nonmember enum.verify enum.global_enum enum.property
builtins.ExceptionGroup builtins.BaseExceptionGroup contextlib.chdir copy.replace glob.glob(include_hidden) glob.iglob(include_hidden)
glob.translate hashlib.file_digest http.HTTPMethod inspect.getmembers_static itertools.batched logging.getHandlerByName
logging.getLevelNamesMapping math.cbrt math.exp2 math.fma math.sumprod mimetypes.guess_file_type operator.call pathlib.Path.walk
pathlib.Path.from_uri pathlib.UnsupportedOperation queue.ShutDown random.binomialvariate re.NOFLAG re.PatternError
shutil.rmtree(onexc) statistics.kde statistics.fmean(weights) statistics.correlation(method) subprocess.Popen(process_group)
sys.exception sys.monitoring tempfile.TemporaryDirectory(delete) tempfile.NamedTemporaryFile(delete_on_close)
dataclasses.dataclass(weakref_slot) typing.LiteralString typing.Never typing.NotRequired typing.Required typing.ReadOnly typing.Self
typing.TypeAliasType typing.TypeIs typing.TypeVarTuple typing.Unpack typing.assert_never typing.assert_type
typing.dataclass_transform typing.override typing.reveal_type types.get_original_bases warnings.deprecated warnings.catch_warnings(action)
asyncio.TaskGroup asyncio.Runner asyncio.timeout threading.setprofile_all_threads zipfile.ZipFile(metadata_encoding)

torch.AcceleratorError torch.accelerator torch.monitor torch.hash_tensor torch.sym_sum torch.while_loop torch.thread_safe_generator
torch.int1 torch.int2 torch.int4 torch.float4_e2m1fn_x2 torch.float8_e8m0fnu torch.from_dlpack(copy) torch.from_dlpack(device)
torch.stft(align_to_window) torch.compile(name) torch.compile(dynamic_shapes) torch.compile(recompile_limit)
torch.compiler.set_stance torch.compiler.is_exporting torch.compiler.save_cache_artifacts torch.compiler.load_cache_artifacts
torch.compiler.nested_compile_region torch.compiler.disable(reason) torch.compiler.set_default_backend
torch.autograd.graph.queue_callback torch.autograd.graph.node_creation_hook
torch.cuda.MemPool torch.cuda.use_mem_pool torch.cuda.GreenContext
torch.cuda.is_tf32_supported torch.cuda.device_memory_used torch.cuda.host_memory_stats torch.cuda.get_per_process_memory_fraction
torch.cuda.Event(external) torch.cuda.CUDAGraph(keep_graph) torch.cuda.memory_snapshot(include_traces)
torch.backends.cuda.is_flash_attention_available torch.backends.cuda.can_use_cudnn_attention torch.backends.mps.get_name
torch.distributed.fsdp.fully_shard torch.distributed.tensor.DTensor torch.export.default_decompositions torch.export.draft_export
torch.func.rearrange torch.func.debug_unwrap torch.library.infer_schema torch.library.register_autocast torch.library.register_vmap
torch.library.triton_op torch.library.wrap_triton torch.library.get_kernel
torch.linalg.polar torch.linalg.matrix_sqrth torch.mps.is_available
torch.nn.Buffer torch.nn.LinearCrossEntropyLoss torch.nn.Module.set_submodule torch.nn.GroupNorm(bias) torch.nn.BatchNorm1d(bias)
torch.nn.BatchNorm2d(bias) torch.nn.BatchNorm3d(bias) torch.nn.SyncBatchNorm(bias) torch.nn.InstanceNorm2d(bias)
torch.nn.attention.flex_attention torch.nn.attention.activate_flash_attention_impl torch.nn.attention.sdpa_kernel(set_priority)
torch.nn.functional.scaled_dot_product_attention(enable_gqa) torch.nn.functional.grouped_mm torch.nn.functional.scaled_mm
torch.nn.functional.linear_cross_entropy torch.nn.functional.huber_loss(weight) torch.nn.functional.l1_loss(weight)
torch.nn.functional.mse_loss(weight) torch.nn.utils.clip_grads_with_norm_ torch.nn.utils.get_total_norm
torch.nn.utils.rnn.pad_sequence(padding_side) torch.optim.Adafactor torch.optim.Muon torch.optim.Adam(decoupled_weight_decay)
torch.optim.LBFGS(maximize) torch.overrides.redispatch_function torch.profiler.profile(acc_events) torch.serialization.safe_globals
torch.serialization.skip_data torch.serialization.get_unsafe_globals_in_checkpoint torch.utils.checkpoint.CheckpointPolicy
torch.utils.checkpoint.create_selective_checkpoint_contexts torch.utils.checkpoint.checkpoint(early_stop)
torch.utils.data.DataLoader(in_order) torch.utils.flop_counter.FlopCounterMode(skip_unsupported) torch.version.xpu
""".split())


def uses(tree: ast.AST) -> Iterator[str]:
    """Dotted names, through the file's own imports, and parameters as ``name(parameter)``; not what the file asks for by hasattr or try."""
    names = {name: f"builtins.{name}" for name in ("ExceptionGroup", "BaseExceptionGroup")}
    excused = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(handler.type and "Error" in ast.unparse(handler.type) for handler in node.handlers):
            excused |= {id(inner) for line in node.body for inner in ast.walk(line) if isinstance(inner, (ast.Import, ast.ImportFrom))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}

    def full(node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            return f"{full(node.value)}.{node.attr}"
        return names.get(node.id, "") if isinstance(node, ast.Name) else ""

    asked = {f"{full(node.args[0])}.{node.args[1].value}" for node in ast.walk(tree) if isinstance(node, ast.Call)
             and ast.unparse(node.func) == "hasattr" and isinstance(node.args[1], ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and full(node) not in asked:
            yield full(node)
        elif isinstance(node, ast.Call):
            yield from (f"{full(node.func)}({keyword.arg})" for keyword in node.keywords)
        elif isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in excused:
            yield from (f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name for alias in node.names)


def too_new(source: str) -> set[str]:
    """Names of ``NEWER`` that a source uses without asking first; ``SyntaxError`` where 3.10 cannot read it."""
    tree = ast.parse(source, feature_version=(3, 10))
    for node in ast.walk(tree):           # the parser takes x[*a] for 3.10 too, and 3.10 itself does not
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            starred = any(isinstance(element, ast.Starred) for element in node.slice.elts)
            if starred and not ast.get_source_segment(source, node.slice).startswith("("):
                raise SyntaxError(f"line {node.lineno}: a star inside [] needs Python 3.11; write x[(*a, b)]")
    return {newer for use in uses(tree) for newer in (use, *prefixes(use)) if newer in NEWER}


def prefixes(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def sources() -> Iterator[tuple[str, str]]:
    """Python files by name, and each notebook's code as one source without its lines for IPython."""
    for folder in ("dlnotes", "tests"):
        yield from ((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in sorted((ROOT / folder).rglob("*.py")))
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        yield path.name, re.sub(r"(?m)^([ \t]*)[%!].*", r"\1pass", code)


def test_python_3_10_and_torch_2_4_can_run_every_source():
    found, read = {}, 0
    for name, source in sources():
        read += 1
        try:
            found[name] = too_new(source)
        except SyntaxError as error:
            found[name] = {str(error)}
    assert read > 300
    assert {name: sorted(what) for name, what in found.items() if what} == {}


@pytest.mark.parametrize("source, name", [
    ("import tomllib", "tomllib"),
    ("from datetime import UTC", "datetime.UTC"),
    ("from pathlib import Path as P\nfor a in P.walk(P()): pass", "pathlib.Path.walk"),
    ("raise ExceptionGroup('', [])", "builtins.ExceptionGroup"),
    ("from shutil import rmtree\nrmtree('.', onexc=None)", "shutil.rmtree(onexc)"),
    ("import torch\ntorch.accelerator.is_available()", "torch.accelerator"),
    ("import torch.nn.functional as F\nF.scaled_dot_product_attention(q, k, v, enable_gqa=True)",
     "torch.nn.functional.scaled_dot_product_attention(enable_gqa)"),
    ("from torch import nn\nnn.utils.get_total_norm([])", "torch.nn.utils.get_total_norm"),
    ("from torch.nn.attention.flex_attention import flex_attention", "torch.nn.attention.flex_attention"),
])
def test_a_name_that_is_too_new_is_found(source, name):
    assert too_new(source) == {name}


@pytest.mark.parametrize("source", ["try: pass\nexcept* ValueError: pass", "def f[T](x: T): pass", "type X = int", "y = x[*a, 1]"])
def test_grammar_that_is_too_new_is_refused(source):
    with pytest.raises(SyntaxError):
        too_new(source)


@pytest.mark.parametrize("source", [
    "import torch\nif hasattr(torch.nn.utils, 'get_total_norm'): torch.nn.utils.get_total_norm([])",
    "try: import tomllib\nexcept ModuleNotFoundError: pass",
    "y = x[(*a, 1)]",
    "import mine\nmine.batched()",
])
def test_what_asks_first_or_only_looks_alike_is_left_alone(source):
    assert too_new(source) == set()


# ---------------------------------------------------------------- make versions

@pytest.mark.parametrize("printed, reason", [
    ("ERROR: Could not find a version (from versions: 2.5.0)\nERROR: No matching distribution found for torch==2.4",
     "no wheel for torch 2.4"),
    ("ERROR: No matching distribution found for torchvision>=0.19\n", "no wheel for torchvision 0.19"),
    ("ERROR: Cannot install numpy==1.24 and timm because these package versions have conflicting dependencies.\n[notice] new pip",
     "no versions fit together: numpy==1.24 and timm"),
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
    ("", "it stopped without a word"),
])
def test_the_table_says_why_a_pair_could_not_be_tried(printed, reason):
    assert run_versions.why(printed) == reason


def test_an_interpreter_that_is_not_there_is_a_row_and_no_crash():
    row = run_versions.attempt("python3.99", "oldest")
    assert row["result"] == "not tried: python3.99: no such file or directory" and "| python3.99 | oldest |" in run_versions.markdown([row])


def test_only_the_oldest_pair_gets_the_oldest_of_everything():
    oldest, words = run_versions.requirements("3.10", "oldest")
    assert words == "oldest accepted" and {f"{name}=={least}" for name, least in run_versions.LEAST.items()} < set(oldest)
    for python, torch, first in (("3.13", "oldest", "torch==2.4"), ("3.10", "pinned", f"torch=={run_versions.PINNED}"),
                                 ("3.10", "newest", "torch")):
        wanted, words = run_versions.requirements(python, torch)
        assert words == "newest" and wanted[0] == first and f"numpy>={run_versions.LEAST['numpy']}" in wanted


def test_every_lower_bound_of_pyproject_was_tried_and_both_ends_passed():
    """Whoever changes a bound runs `make versions STORE=1` again."""
    rows = json.loads((ROOT / "benchmarks/versions.json").read_text(encoding="utf-8"))["rows"]
    assert run_versions.markdown(rows) in (ROOT / "benchmarks/versions.md").read_text(encoding="utf-8")
    passed = {(row["Python"].rpartition(".")[0], row["pair"].rpartition("-")[2]) for row in rows if row["result"] == "passed"}
    assert {("3.10", "oldest"), ("3.10", "pinned"), ("3.13", "pinned"), ("3.13", "newest")} <= passed
    assert all(row["passed"] and not row["failed"] if row["result"] == "passed" else "no wheel for" in row["result"] for row in rows)
    assert [row["bounds"] for row in rows if "bounds" in row] == [run_versions.LEAST]
    assert {row["torch"] for row in rows if row["pair"].endswith("pinned")} == {run_versions.PINNED}
