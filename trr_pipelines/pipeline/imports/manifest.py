"""Parsing import rows from a manifest (CSV or JSON lines), the files of a folder, or a request.

Every row becomes an `ImportRow`, or a `BadRow` with the reason. Nothing is fetched here. `folders` walks folders, and
`tables` reads CSV.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slugify import slugify

from trr_pipelines.errors import InputError
from trr_pipelines.foreign_text import host_of, shown, shown_url
from trr_pipelines.pipeline.imports.fetching import check_url
from trr_pipelines.pipeline.imports.folders import Skipped, UnreadableFolder, files_below, skipped_kind
from trr_pipelines.pipeline.imports.tables import read_table
from trr_pipelines.pipeline.names import MAX_NAME, displayable_name

KINDS = ("photo", "video_still", "brand", "social", "news")
MANIFESTS = (".csv", ".tsv", ".jsonl")
LOCATION_COLUMNS = ("path", "url")
COLUMNS = (*LOCATION_COLUMNS, "source", "show", "season", "person", "kind", "caption", "tags", "position")
MAX_TEXT = 2_000
# These three are indexed; PostgreSQL limits an index entry to 2,704 bytes.
MAX_URL = 2_000
MAX_LOCATION_BYTES = 2_000
_LIMITS = {"path": MAX_URL, "url": MAX_URL, "show": MAX_NAME, "person": MAX_NAME}
MAX_SEASON = 10_000
REQUEST_FIELDS = ("source", "source_url", "show", "season", "people", "kind", "caption", "tags", "position")
MAX_PEOPLE = 50
MAX_TAGS = 50


@dataclass(frozen=True)
class Defaults:
    """Values from the command line for rows that do not set them."""

    source: str
    show: str = ""
    season: int | None = None
    person: str = ""
    kind: str = "photo"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportRow:
    """One photo to import. `location` is an http(s) or file URL; `line` counts from 1, including the heading."""

    line: int
    location: str
    source: str
    show: str
    season: int | None
    people: tuple[str, ...]
    kind: str
    caption: str
    tags: tuple[str, ...]
    position: int


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be imported, with the reason."""

    line: int
    location: str
    problem: str


Row = ImportRow | BadRow | Skipped


def read_rows(path: Path, defaults: Defaults) -> Iterator[Row]:
    """The rows of a folder, of one photo, or of a manifest (`.csv`, `.tsv`, `.jsonl`), in order.

    Raises InputError when nothing can be read: the path is missing or unreadable, or is neither a photo nor a manifest
    by its name, the manifest is empty or not UTF-8, or a CSV has an unknown column.
    """
    _checked_defaults(defaults)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if is_folder:
        return _folder_rows(path, defaults)
    if path.suffix.lower() in MANIFESTS:
        records = _json_records(path) if path.suffix.lower() == ".jsonl" else _csv_records(path)
        return _manifest_rows(records, path, defaults)
    if path.suffix and (kind := skipped_kind(path.name)) in ("sidecars", "videos"):
        raise InputError(f"{path}: neither a photo nor a manifest ({', '.join(MANIFESTS)}), but one of the {kind}")
    return iter([_row(1, {"path": str(path)}, Path(), defaults)])


def rows_of_request(records: Iterable[Any]) -> Iterator[ImportRow | BadRow]:
    """The rows of a request, counted from 1: objects with the fields of `REQUEST_FIELDS`, and http(s) URLs only."""
    for line, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            yield BadRow(line, "", f"not an object but {type(record).__name__}")
            continue
        unknown = next((name for name in record if name not in REQUEST_FIELDS), None)
        if unknown is not None:
            yield BadRow(line, "", f"unknown field {unknown[:50]!r}; known are {', '.join(REQUEST_FIELDS)}")
            continue
        missing = next((name for name in ("source", "source_url") if not record.get(name)), None)
        if missing is not None:
            yield BadRow(line, "", f"{missing} is missing")
            continue
        yield _row(line, {**record, "url": record["source_url"]}, Path(), Defaults(""))


def source_name(text: str) -> str:
    """A source in the form used in keys: `[a-z0-9-]`, at most 40 characters; of a URL its host.

    Raises InputError when nothing is left.
    """
    name = slugify(host_of(text) or text, max_length=40)
    if not name:
        raise InputError(f"source '{shown(text)[:80]}' has no letter or digit")
    return name


def _checked_defaults(defaults: Defaults) -> None:
    """Validate the values of the command line like those of a row."""
    record = {"path": ".", "show": defaults.show, "person": defaults.person, "tags": list(defaults.tags)}
    row = _row(0, record, Path(), defaults)
    if isinstance(row, BadRow):
        raise InputError(row.problem)


def _folder_rows(folder: Path, defaults: Defaults) -> Iterator[Row]:
    """Every file below the folder that may be a photo."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise InputError(f"{folder}: folder cannot be read ({error.strerror})") from None
    line = 0
    unreadable: list[UnreadableFolder] = []
    for found in files_below(folder):
        if isinstance(found, Skipped):
            yield found
        elif isinstance(found, UnreadableFolder):
            unreadable.append(found)
        else:
            line += 1
            yield _row(line, {"path": str(found)}, Path(), defaults)
    for closed in unreadable:
        line += 1
        yield BadRow(line, str(closed.path), f"{closed.path}: folder cannot be read ({closed.problem})")
    if line == 0:
        raise InputError(f"{folder}: the folder holds no files that may be photos")


def _manifest_rows(
    records: Iterator[tuple[int, dict[str, Any] | str | None]], manifest: Path, defaults: Defaults
) -> Iterator[Row]:
    count = 0
    for line, record in records:
        if record is None:
            yield Skipped("empty rows")
            continue
        count += 1
        yield BadRow(line, "", record) if isinstance(record, str) else _row(line, record, manifest.parent, defaults)
    if count == 0:
        raise InputError(f"{manifest}: the manifest holds no rows")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        return data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not {'UTF-16' if is_utf_16 else 'UTF-8'} at byte {error.start}") from None


def _csv_records(path: Path) -> Iterator[tuple[int, dict[str, Any] | str | None]]:
    text = _read_text(path)
    try:
        yield from read_table(text, _column_problem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _column_problem(columns: list[str]) -> str:
    """Why a table with these columns cannot be used; empty when it can."""
    if not columns:
        return "the manifest holds no rows"
    if problem := _unknown_column(columns):
        return problem
    if len(set(columns)) < len(columns):
        return f"duplicate column: {', '.join(columns)}"
    if not set(columns) & set(LOCATION_COLUMNS):
        return f"no column for the location of the photos; add one of {', '.join(LOCATION_COLUMNS)}"
    return ""


def _json_records(path: Path) -> Iterator[tuple[int, dict[str, Any] | str | None]]:
    # Not splitlines: JSON strings may contain other line separators, such as U+2028.
    for line, text in enumerate(_read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield line, f"not JSON ({error})"
            continue
        if not isinstance(record, dict):
            yield line, f"not a JSON object but {type(record).__name__}"
            continue
        yield line, _unknown_column(record) or record


def _unknown_column(columns: Iterable[str]) -> str:
    """The problem with these columns; empty when all are known."""
    unknown = next((name for name in columns if name not in COLUMNS), None)
    return "" if unknown is None else f"unknown column {unknown[:50]!r}; known are {', '.join(COLUMNS)}"


def _row(line: int, record: dict[str, Any], base: Path, defaults: Defaults) -> ImportRow | BadRow:
    """A record with defaults filled in, or the reason it is rejected."""
    location = record.get("url") or record.get("path")
    where = shown_url(location) if isinstance(location, str) else ""
    try:
        text = {name: _text(name, record.get(name)) for name in COLUMNS if name not in ("tags", "season", "position")}
        people = _people(text["person"], record.get("people"))
        shown_by_row = text["show"] or people
        position = _whole_number("position", record.get("position"))
        return ImportRow(
            line=line,
            location=_location(text, base),
            source=source_name(text["source"] or defaults.source),
            # A row that names a show or person ignores the default show and person.
            show=_name(text["show"]) if shown_by_row else _name(defaults.show),
            season=_season(record.get("season"), text["show"] or defaults.show, defaults.season),
            people=people if shown_by_row else _people(defaults.person, None),
            kind=_kind(text["kind"] or defaults.kind),
            caption=text["caption"],
            tags=(*defaults.tags, *_tags(record.get("tags"))),
            position=line if position is None else position,
        )
    except InputError as error:
        return BadRow(line, where, str(error))
    except RecursionError:  # raised when formatting a value that is nested a thousand levels deep
        return BadRow(line, "", "a value is nested too deeply")


def _text(name: str, value: Any) -> str:
    """A value without surrounding spaces; a path keeps them."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{name} is not text but {type(value).__name__}")
    limit = _LIMITS.get(name, MAX_TEXT)
    if len(value) > limit:
        raise InputError(f"{name} has {len(value)} characters, at most {limit} are allowed")
    if "\0" in value:
        raise InputError(f"{name} holds a NUL character")
    try:  # file names need not be UTF-8: Python decodes such bytes to surrogates
        value.encode("utf-8", "surrogateescape" if name == "path" else "strict")
    except UnicodeEncodeError as error:
        raise InputError(f"{name} is not valid Unicode: {error.reason}") from None
    return value if name == "path" else value.strip()


def _people(person: str, people: Any) -> tuple[str, ...]:
    named = [] if people is None else people
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise InputError("people is not a list of names")
    if len(named) > MAX_PEOPLE:
        raise InputError(f"people has {len(named)} names, at most {MAX_PEOPLE} are allowed")
    texts = (person, *(_text("person", name) for name in named))
    return tuple(dict.fromkeys(_name(name) for name in texts if name))


def _name(text: str) -> str:
    return displayable_name(text) if text else ""


def _location(text: dict[str, str], base: Path) -> str:
    path = _path(text["path"], base)
    if text["url"] and path:
        raise InputError("both url and path are set; only one is allowed")
    if path:
        location = (base / path).absolute().as_uri()
    elif text["url"]:
        check_url(text["url"])
        location = text["url"]
    else:
        raise InputError("neither url nor path is set")
    if (count := len(location.encode())) > MAX_LOCATION_BYTES:
        raise InputError(f"location has {count} bytes as a URL, at most {MAX_LOCATION_BYTES} are allowed")
    return location


def _path(text: str, base: Path) -> str:
    """A path as given when such a file exists, as names may begin or end with spaces; otherwise without them."""
    return text if text.strip() != text and os.path.lexists(base / text) else text.strip()


def _season(value: Any, show: str, default: int | None) -> int | None:
    season = _whole_number("season", value)
    season = default if season is None else season
    if season is not None and not show:
        raise InputError(f"season {season} is set without a show")
    if season is not None and season > MAX_SEASON:
        raise InputError(f"season {season} is above {MAX_SEASON}")
    return season


def _whole_number(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{name} is not a whole number: {value!r}")
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InputError(f"{name} is not a whole number of at most 9 digits: {text[:50]!r}")
    return int(text)


def _kind(value: str) -> str:
    kind = value.lower().replace(" ", "_").replace("-", "_")
    if kind not in KINDS:
        raise InputError(f"unknown kind {value[:50]!r}; known are {', '.join(KINDS)}")
    return kind


def _tags(value: Any) -> tuple[str, ...]:
    parts = value.split(";") if isinstance(value, str) else value or []
    if not isinstance(parts, list) or not all(isinstance(tag, str) for tag in parts):
        raise InputError(f"tags are not text separated by ';' nor a list of texts: {value!r}"[:200])
    tags = tuple(dict.fromkeys(_text("tags", tag) for tag in parts if tag.strip()))
    if len(tags) > MAX_TAGS:
        raise InputError(f"tags has {len(tags)} tags, at most {MAX_TAGS} are allowed")
    return tags
