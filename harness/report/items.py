"""The items of a report as data for its page: a small index to filter by, and the texts in compressed blocks.

The page holds the index in memory and unpacks a block of texts only when one of its items is shown or searched, so a
hundred thousand items stay usable. The blocks are gzip in base64, written without a time, so equal inputs give equal
bytes; base64 also means that no model output can end the script element it lies in.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.data import OUTCOME_GROUPS, Board, ReportData, RunRow
from harness.report.tables import rule_judgements

BLOCK = 500
"""Items in one block of texts."""
LONGEST = 6_000
"""Characters kept of one text; what is cut says so, and stands whole in items.parquet."""
LISTED = 200
"""Characters of a question shown in the list."""
TABLE_ROWS = (12, 5, 2, 0)
"""Rows kept of one result table: the first of these with which the texts stay within their bytes."""
BYTES_AN_ANSWER = 180
"""Packed bytes that texts may take for each answer, on average, before result tables are cut further: 25,000 answers
then fit a page of 5 MB."""
SMALLEST = 1_000_000
"""Packed bytes that are never too many."""


@dataclass(frozen=True, slots=True)
class ItemPayload:
    """What the page's script reads."""

    meta: str
    """JSON safe inside a script element: runs, dimensions and their values, rules, counts."""
    index: str
    """Packed index: ids, and per run outcome and verdicts, per dimension value, all as small numbers."""
    blocks: tuple[str, ...]
    """Packed lists of `BLOCK` items with their texts."""


def item_payload(data: ReportData) -> ItemPayload:
    """Index and texts of every item that any run of the report answered, benchmark by benchmark."""
    rows = data.rows
    keys = [(number, id_) for number, board in enumerate(data.boards) for id_ in _all_ids(board)]
    places = [_places(data, row) for row in rows]
    columns = [{name: row.answers.column(name) for name in _SHOWN} for row in rows]
    dimensions = _dimensions(data, keys)
    outcomes = sorted({outcome for row in rows for outcome in row.outcomes})
    rules = rule_judgements(rows)
    meta = {
        "runs": [{"label": row.label, "id": row.run.id, "benchmark": _board_of(data, row)} for row in rows],
        "start": max(rows, key=lambda row: (row.headline.share if row.headline else 0.0, -row.index)).index,
        "outcomes": outcomes,
        "groups": {str(name): place for place, group in enumerate(OUTCOME_GROUPS.values(), 1) for name in group},
        "rules": rules,
        "dimensions": [{"name": name, "values": values} for name, values, _ in dimensions],
        "block": BLOCK,
        "count": len(keys),
    }
    index = {
        "ids": [id_ for _, id_ in keys],
        "questions": [_question(columns, places, key) for key in keys],
        "outcomes": [_outcome_column(row, keys, found, outcomes) for row, found in zip(rows, places, strict=True)],
        "verdicts": [_verdict_column(row, keys, found, rules) for row, found in zip(rows, places, strict=True)],
        "slices": [column for _, _, column in dimensions],
    }
    return ItemPayload(script_json(meta), pack(index), _blocks(columns, places, keys))


def pack(value: Any) -> str:
    """JSON, gzip, base64; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)).decode("ascii")


def script_json(value: Any) -> str:
    """JSON that cannot end or open any element when it stands inside a script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


Key = tuple[int, str]
Columns = Mapping[str, Sequence[Any]]


def _blocks(columns: Sequence[Columns], places: Sequence[Mapping[Key, int]], keys: Sequence[Key]) -> tuple[str, ...]:
    """Every text, packed; with shorter result tables where whole ones would make the page too large to send."""
    most = max(SMALLEST, BYTES_AN_ANSWER * sum(map(len, places)))
    for rows in TABLE_ROWS:
        blocks: list[str] = []
        for start in range(0, len(keys), BLOCK):
            blocks.append(pack([_texts(columns, places, key, rows) for key in keys[start : start + BLOCK]]))
            if rows and sum(map(len, blocks)) > most:
                break
        else:
            break
    return tuple(blocks)


_SHOWN = (
    *("question", "context", "gold_sql", "gold_table", "sql", "completion", "reason", "table", "witness_case"),
    *("suite_witness", "rows", "gold_rows", "road", "exact_match", "output_tokens"),
)


def _all_ids(board: Board) -> list[str]:
    return list(dict.fromkeys(id_ for row in board.rows for id_ in row.answers.ids))


def _board_of(data: ReportData, row: RunRow) -> int:
    return next(number for number, board in enumerate(data.boards) if any(other is row for other in board.rows))


def _places(data: ReportData, row: RunRow) -> dict[Key, int]:
    board = _board_of(data, row)
    return {(board, id_): place for place, id_ in enumerate(row.answers.ids)}


def _dimensions(data: ReportData, keys: Sequence[Key]) -> list[tuple[str, list[str], list[int]]]:
    """(name, values, value number of each item); -1 where the item's benchmark lacks the dimension."""
    names = list(dict.fromkeys(name for board in data.boards for name in board.slices))
    found: list[tuple[str, Sequence[str | None]]] = [
        (name, [data.boards[board].slices.get(name, {}).get(id_) for board, id_ in keys]) for name in names
    ]
    if len(data.boards) > 1:
        found.insert(0, ("benchmark", [data.boards[board].name for board, _ in keys]))
    dimensions = []
    for name, column in found:
        values = sorted({value for value in column if value is not None})
        number = {value: place for place, value in enumerate(values)}
        dimensions.append((name, values, [-1 if value is None else number[value] for value in column]))
    return dimensions


def _outcome_column(row: RunRow, keys: Sequence[Key], places: Mapping[Key, int], names: Sequence[str]) -> list[int]:
    number = {name: place for place, name in enumerate(names)}
    column = row.answers.column("outcome")
    return [number.get(str(column[places[key]]), -1) if key in places else -1 for key in keys]


def _verdict_column(row: RunRow, keys: Sequence[Key], places: Mapping[Key, int], rules: Sequence[str]) -> list[int]:
    """Two bits a rule: 0 unknown, 1 wrong, 2 right."""
    columns = [row.answers.verdicts(rule) for rule in rules]
    packed = []
    for key in keys:
        bits = 0
        if key in places:
            for shift, column in enumerate(columns):
                verdict = column[places[key]]
                bits |= (0 if verdict is None else 2 if verdict else 1) << (2 * shift)
        packed.append(bits)
    return packed


def _texts(columns: Sequence[Columns], places: Sequence[Mapping[Key, int]], key: Key, rows: int) -> dict[str, Any]:
    """One item: question, schema, gold once; what each run answered."""
    first, place = next((own, found[key]) for own, found in zip(columns, places, strict=True) if key in found)
    item: dict[str, Any] = {
        "q": _cut(first["question"][place]),
        "c": _cut(first["context"][place]),
        "g": _cut(first["gold_sql"][place]),
    }
    item["r"] = [
        _answer(own, found[key], item["g"], rows) if key in found else None
        for own, found in zip(columns, places, strict=True)
    ]
    return item


def _question(columns: Sequence[Columns], places: Sequence[Mapping[Key, int]], key: Key) -> str:
    own, place = next((own, found[key]) for own, found in zip(columns, places, strict=True) if key in found)
    text = str(own["question"][place] or "")
    return text if len(text) <= LISTED else text[: LISTED - 1] + "…"


def _answer(columns: Columns, place: int, gold: str, rows: int) -> dict[str, Any]:
    value = {name: column[place] for name, column in columns.items()}
    sql, completion, own_gold = _cut(value["sql"]), _cut(value["completion"]), _cut(value["gold_sql"])
    found = {
        "s": sql,
        # most completions are the SQL alone: said once
        "c": completion if completion.strip() != sql.strip() else None,
        "m": _cut(value["reason"]) or None,
        "w": value["suite_witness"],
        "n": [value["gold_rows"], value["rows"]] if value["rows"] is not None else None,
        "d": value["road"] if value["road"] not in (None, "", "duckdb") else None,
        "x": bool(value["exact_match"]) or None,
        "k": value["output_tokens"],
        "t": _table(_parsed(value["table"]), rows),
        # the gold's rows come in another order for each answer: those that it lacks first
        "u": _table(_parsed(value["gold_table"]), rows),
        "p": _witness(_parsed(value["witness_case"]), rows),
        "g": own_gold if own_gold != gold else None,
    }
    return {name: content for name, content in found.items() if content is not None}


def _cut(text: Any) -> str:
    text = "" if text is None else str(text)
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… cut here: {len(text) - LONGEST} more characters stand in items.parquet"


def _parsed(text: Any) -> Any:
    """What a column of JSON text holds; None where it is empty, or damaged by whoever wrote the file."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _table(table: Any, most: int) -> dict[str, Any] | None:
    """A stored result table as the page reads it: columns, rows, the number of all rows and of unmatched ones."""
    try:
        columns, rows = [_cell(name) for name in table["columns"]], [[_cell(v) for v in row] for row in table["rows"]]
        total, only = int(table.get("total", len(rows))), table.get("only")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    found = {"c": columns, "r": rows[:most], "n": total}
    # a writing statement is judged by the state it leaves: the table shown is then named
    found |= {"s": _cell(table["table"])} if table.get("table") else {}
    return found if only is None else found | {"o": int(only)}


def _cell(value: Any) -> str | None:
    return None if value is None else str(value)[:LISTED]


def _witness(case: Any, rows: int) -> dict[str, Any] | None:
    """The witness of a lucky match: its number, its rows as INSERT statements, and both answers."""
    if not isinstance(case, Mapping):
        return None
    answer = case.get("answer")
    error = answer.get("error") if isinstance(answer, Mapping) else None
    found = {
        "w": case.get("witness"),
        "i": _cut(case.get("inserts")),
        "u": _table(case.get("gold"), rows),
        "t": None if error else _table(answer, rows),
        "e": _cut(error) or None,
    }
    return {name: content for name, content in found.items() if content is not None}
