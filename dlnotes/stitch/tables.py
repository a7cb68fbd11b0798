"""One table, three ways to write it: text for the terminal, Markdown for a notebook, LaTeX for a paper."""

from collections.abc import Sequence

from dlnotes._check import check_choice

__all__ = ["FORMATS", "draw"]

FORMATS = ("text", "markdown", "latex")

_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": r"$-$", "×": r"$\times$"}


def draw(header: Sequence[str], rows: Sequence[Sequence[str]], format: str = "text", notes: Sequence[str] = (),
         cite: Sequence[Sequence[str]] = ()) -> str:
    """A table with its first column to the left and the others to the right.

    Args:
        header: names of the columns.
        rows: as many cells each.
        format: ``"text"``, ``"markdown"`` or ``"latex"`` (with the rules of the package booktabs).
        notes: sentences beneath.
        cite: for each row keys to cite in its first cell; shown in Markdown and LaTeX.

    Raises:
        ValueError: if ``format`` is none of these.

    >>> print(draw(["", "n"], [["a", "1"], ["bc", "20"]]))
          n
    a     1
    bc   20
    """
    check_choice("table", FORMATS, format=format)
    cite = [*cite, *[()] * (len(rows) - len(cite))]
    if format == "latex":
        return _latex(header, rows, notes, cite)
    if format == "markdown":
        rows = [[_markdown(cell) for cell in row] for row in rows]
        rows = [[row[0] + (f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""), *row[1:]]
                for row, keys in zip(rows, cite)]
        lines = ["| " + " | ".join(row) + " |" for row in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
        return "\n".join([*lines, *(f"\n{_markdown(note)}" for note in notes)])
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["   ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in
                        enumerate(zip(row, widths))).rstrip() for row in (header, *rows)]
    return "\n".join([*lines, *notes])


def _markdown(cell: str) -> str:
    return "".join(f"\\{c}" if c in "|*_`<" else c for c in cell)


def _tex(cell: str) -> str:
    return "".join(_LATEX.get(c, c) for c in cell)


def _latex(header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], cite: Sequence) -> str:
    first = [_tex(row[0]) + (rf"~\cite{{{','.join(keys)}}}" if keys else "") for row, keys in zip(rows, cite)]
    body = [" & ".join([name, *map(_tex, row[1:])]) + r" \\" for name, row in zip(first, rows)]
    return "\n".join([rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule",
                      " & ".join(map(_tex, header)) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}",
                      *(rf"\par\smallskip\noindent {_tex(note)}" for note in notes)])
