"""DNA-Net and ACM U-Net: the names of their authors, and of the BasicIRSTD benchmark, which wraps both in a ``model``.

The authors of ACM publish an MXNet ``.params`` file. MXNet is no longer maintained and its format is neither safetensors nor
PyTorch's, so :func:`~dlnotes.checkpoints.read_tensors` does not open it. Whoever has MXNet can turn it into named tensors,
``{name: torch.from_numpy(x.asnumpy()) for name, x in mx.nd.load(path).items()}``; those names are understood.
"""

from .._dialect import Dialect

_DNANET = (
    (r"^conv0_4_final\.", "fuse."),
    *((rf"^conv0_{row}_1x1\.", f"narrow.{row - 1}.") for row in range(1, 5)),
    (r"^conv(\d_\d)\.", r"nodes.\1."),
    (r"\.([cs]a)\.", r".attention.\1."),
    (r"^final4?\.", "head."),
    (r"^final(\d)\.", r"heads.0_\1."),
)
_WRAPPED = ((r"^model\.", ""),)
_HEAD = ((r"^head\.block\.", "head."),)
_MXNET = ((r"\.gamma$", ".weight"), (r"\.beta$", ".bias"))
_BASIC_BLOCK = (                                        # torchvision's names inside a residual block
    (r"(layer\d\.\d+)\.conv1\.", r"\1.body.0."),
    (r"(layer\d\.\d+)\.bn1\.", r"\1.body.1."),
    (r"(layer\d\.\d+)\.conv2\.", r"\1.body.3."),
    (r"(layer\d\.\d+)\.bn2\.", r"\1.body.4."),
)

DIALECTS = {
    "DNANet": (Dialect("authors", rules=_DNANET), Dialect("BasicIRSTD", rules=_WRAPPED + _DNANET)),
    "ACMUNet": (Dialect("authors", rules=_HEAD + _MXNET), Dialect("BasicIRSTD", rules=_WRAPPED + _HEAD + _BASIC_BLOCK)),
}
