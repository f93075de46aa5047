"""HTML tables for notebooks; everything is escaped, for models write what they like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", notes: Iterable[str] = ()) -> str:
    """One table, with a caption above and notes below."""
    top = f"<caption style='text-align:left;caption-side:top'><b>{escape(caption)}</b></caption>" if caption else ""
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    below = "".join(f"<p style='margin:0'><small>{escape(note)}</small></p>" for note in notes)
    return f"<table>{top}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
