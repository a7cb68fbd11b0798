"""Execute notebooks and store the outputs that CI compares: text only, no pictures, no widget state.

    python tools/outputs.py book/01_tensor_reshaping.ipynb ...     (all of book/ when no name is given)
"""

import subprocess
import sys
from pathlib import Path

import first_cell
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

BOOK = Path(__file__).resolve().parent.parent / "book"


def keep_text(output):
    """The comparable part of an output, or None."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    if output.output_type in ("display_data", "execute_result"):
        output.data = {kind: text for kind, text in output.data.items() if kind == "text/plain"}
        output.metadata = {}
        return output if output.data else None
    return output


def merge_streams(outputs):
    """One output for printed text that arrived in pieces, so that timing leaves no trace."""
    merged = []
    for output in outputs:
        if merged and output.output_type == merged[-1].output_type == "stream":
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def refresh(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    first_cell.put(notebook)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute(
        stderr=subprocess.DEVNULL)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += 1
        ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
        cell.outputs = [] if ignored else merge_streams([kept for kept in map(keep_text, cell.outputs) if kept])
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("tags", "jupyter", "mystnb")}
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}}
    partial = path.with_suffix(".part")
    nbformat.write(notebook, partial)
    partial.replace(path)
    print(f"{path.name}: {count} code cells executed")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(map(str, BOOK.glob("*.ipynb"))):
        try:
            refresh(Path(name))
        except CellExecutionError as error:
            sys.exit(f"{name}: a cell failed; the notebook was left as it was.\n{error}")
