"""Logs of lm-evaluation-harness and inspect_ai as rows of predictions: `id`, `completion`, token counts, `finished`.

lm-eval (`--log_samples`, samples_*.jsonl, written by 0.4): the id is the document's own, else `doc_id`; the answer is
the model's first raw text (`resps`), whatever the filters made of it; rows of further filters are passed over.
inspect_ai (.eval or .json): the id is the sample's; the answer is its output in the first epoch; a sample that ended in
an error has no answer, which is a missing prediction and not a wrong one. docs/formats.md has the mapping in a table.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.benchmark import read_rows
from harness.errors import DataError

Row = Mapping[str, Any]
_EVAL = ".eval"
_LARGEST = 256 * 2**20
"""Bytes one sample of an archive may unpack to; a few kilobytes of a hostile one unpack to more than memory holds."""
_ZSTANDARD = 93
"""Zip's number for a compression that Python's own zipfile knows only from 3.14 on."""
_LOCAL_HEADER = 30
_CUT = ("max_tokens", "model_length")
"""inspect's stop reasons of an answer that was cut."""


def prediction_rows(path: Path, id_column: str = "id") -> Iterator[tuple[int, Row]]:
    """Yields (row number, row) of a file of predictions, or of a log that is known by its form; DataError else.

    `id_column` is where the benchmark keeps its ids, and so a document of lm-eval too.
    """
    name = path.name.lower()
    if name.endswith(_EVAL) and path.is_file():
        return enumerate(_inspect(_samples_of_archive(path), path))
    if name.endswith(".json") and (log := _inspect_log(path)) is not None:
        return enumerate(_inspect(iter(log.get("samples") or ()), path))
    rows = read_rows(path)
    first = next(rows, None)
    if first is None:
        return iter(())
    whole = chain([first], rows)
    is_lm_eval = name.endswith(".jsonl") and {"doc_id", "doc"} <= set(first[1]) and "resps" in first[1]
    return _lm_eval(whole, path, id_column) if is_lm_eval else whole


def _lm_eval(rows: Iterator[tuple[int, Row]], path: Path, id_column: str) -> Iterator[tuple[int, Row]]:
    filter_name: Any = None
    for number, row in rows:
        if number == 0:
            filter_name = row.get("filter")
        elif row.get("filter") != filter_name:
            continue
        document = row.get("doc")
        identity = document.get(id_column) if isinstance(document, Mapping) else None
        yield (
            number,
            {"id": row.get("doc_id") if identity is None else identity, "completion": _first(row, path, number)},
        )


def _first(row: Row, path: Path, number: int) -> str:
    found = row.get("resps")
    while isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, str):
        raise DataError(
            f"{path} row {number}: the response of lm-eval is no text ({found!r}); export a task whose output_type is "
            "generate_until."
        )
    return found


def _inspect_log(path: Path) -> Mapping[str, Any] | None:
    """The log in a JSON file; None where the file is something else, and for `read_rows` to judge."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    is_log = isinstance(value, dict) and isinstance(value.get("eval"), dict) and "samples" in value
    return value if is_log else None


def _inspect(samples: Iterator[Any], path: Path) -> Iterator[Row]:
    found = False
    for number, sample in enumerate(samples):
        found = True
        if not isinstance(sample, dict) or "id" not in sample or not isinstance(sample.get("output"), dict):
            raise DataError(f"{path} sample {number} has no `id` and `output`; is it a whole log of inspect_ai?")
        if sample.get("epoch", 1) != 1:
            continue
        output, attached = sample["output"], sample.get("attachments") or {}
        choice: Row = next(iter(output.get("choices") or ()), {})
        text = output.get("completion") or _text((choice.get("message") or {}).get("content"))
        if not text and (sample.get("error") or output.get("error")):
            continue
        usage = output.get("usage") or {}
        yield {
            "id": sample["id"],
            "completion": attached.get(text.removeprefix("attachment://"), text),
            "prompt_tokens": usage.get("input_tokens"),
            "output_tokens": usage.get("output_tokens"),
            "finished": choice.get("stop_reason") not in _CUT,
        }
    if not found:
        raise DataError(f"{path} is a log of inspect_ai without samples; write it with log_samples on.")


def _text(content: Any) -> str:
    """A message's text: itself, or its text parts one after the other (reasoning left out)."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part.get("text", "") for part in parts if isinstance(part, dict) and part.get("type") == "text")


def _samples_of_archive(path: Path) -> Iterator[Any]:
    """The samples of an `.eval` file, one at a time."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for entry in archive.infolist():
                if entry.filename.startswith("samples/") and entry.filename.endswith(".json"):
                    yield json.loads(_content(archive, file, entry))
    except (OSError, ValueError, zipfile.BadZipFile, pa.ArrowException, NotImplementedError) as error:
        raise DataError(f"{path} is no whole log of inspect_ai ({error}); copy it again.") from None


def _content(archive: zipfile.ZipFile, file: Any, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > _LARGEST:
        raise ValueError(f"{entry.filename} unpacks to {entry.file_size:,} bytes")
    if entry.compress_type != _ZSTANDARD:
        return archive.read(entry)
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER)
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    file.seek(entry.header_offset + _LOCAL_HEADER + names)
    with pa.input_stream(pa.BufferReader(file.read(entry.compress_size)), compression="zstd") as stream:
        data: bytes = stream.read(entry.file_size + 1)
    if zlib.crc32(data) != entry.CRC:
        raise ValueError(f"{entry.filename} is damaged")
    return data
