"""Reading CSV files as spreadsheets write them: separated by commas, semicolons or tabs, with empty rows and columns.

What the columns mean is decided in `manifest`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from trr_pipelines.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = (",", ";", "\t", "|")

_HINT = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
"""How Excel states the separator, in a line before the heading."""

Record = dict[str, str]


def read_table(text: str, problem_of: Callable[[list[str]], str]) -> Iterator[tuple[int, Record | str | None]]:
    """The rows of a CSV text with their line numbers: a record by column, the problem with a row, or None if empty.

    The separator is the first with which `problem_of` finds no problem in the columns (in lower case). Raises
    InputError when there is none; the message is that of the separator that makes the most columns.
    """
    if hint := _HINT.match(text):
        return _records(text[hint.end() :], hint.group(1), 1, problem_of)
    problems: list[tuple[int, InputError]] = []
    for separator in SEPARATORS:
        try:
            return _records(text, separator, 0, problem_of)
        except InputError as error:
            columns = text.partition("\n")[0].count(separator)
            problems.append((columns, error))
    raise max(problems, key=lambda problem: problem[0])[1]


def _records(
    text: str, separator: str, skipped_lines: int, problem_of: Callable[[list[str]], str]
) -> Iterator[tuple[int, Record | str | None]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        heading = next((row for row in reader if _cells(row)), [])
    except csv.Error as error:
        raise InputError(f"not a CSV file ({error})") from None
    columns = [name.strip().lower() for name in _cells(heading)]
    if problem := problem_of(columns):
        raise InputError(problem)
    return _rows(reader, columns, skipped_lines)


def _rows(reader: Reader, columns: list[str], skipped_lines: int) -> Iterator[tuple[int, Record | str | None]]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield skipped_lines + reader.line_num, f"not a CSV row ({error})"
            continue
        line, cells = skipped_lines + reader.line_num, _cells(row)
        if not row:
            continue
        if not cells:
            yield line, None
        elif len(cells) > len(columns):
            yield line, f"{len(columns)} columns in the heading, {len(cells)} here"
        else:
            yield line, dict(zip(columns, cells, strict=False))


def _cells(row: list[str]) -> list[str]:
    """The row without the empty cells at its end: a spreadsheet writes as many as its widest row has."""
    end = len(row)
    while end and not row[end - 1].strip():
        end -= 1
    return row[:end]
