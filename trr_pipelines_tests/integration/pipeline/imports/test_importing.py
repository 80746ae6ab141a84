"""Importing into a real catalogue: repetitions change nothing, and an invalid row does not affect others."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports import importing
from trr_pipelines.pipeline.imports.importing import ImportSummary, import_rows, local_path
from trr_pipelines.pipeline.imports.manifest import Defaults, ImportRow, read_rows
from trr_pipelines_tests.support.archives import DAY, import_path, query, value, write_files

ROW = ImportRow(1, "https://photos.example/a.jpg", "deadline", "", None, (), "photo", "", (), 1)


def import_records(archive: Archive, folder: Path, *records: object) -> ImportSummary:
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return import_path(archive, path)


def counts(summary: ImportSummary) -> tuple[int, int, int, int]:
    return summary.created, summary.known, summary.links, len(summary.rejected)


def test_rows_become_pending_photos_with_their_links(archive: Archive, tmp_path: Path) -> None:
    summary = import_records(
        archive,
        tmp_path,
        {"url": "https://photos.example/a.jpg", "show": "The Valley", "season": 2, "person": "Ann Example"},
        {"url": "https://photos.example/b.jpg", "show": "The Valley", "tags": ["red"]},
        {"url": "https://photos.example/c.jpg"},
    )
    assert (counts(summary), summary.batches) == ((3, 0, 3, 0), ["20260212-deadline-00001"])
    links = query(
        archive.database,
        "select a.source_url, s.title, n.number, p.full_name from core.media_links l"
        " join core.media_assets a on a.id = l.media_asset_id"
        " left join core.seasons n on n.id = l.season_id left join core.people p on p.id = l.person_id"
        " left join core.shows s on s.id in (l.show_id, n.show_id) order by 1, 4 nulls first",
    )
    assert [tuple(row.values()) for row in links] == [
        ("https://photos.example/a.jpg", "The Valley", 2, None),
        ("https://photos.example/a.jpg", None, None, "Ann Example"),
        ("https://photos.example/b.jpg", "The Valley", None, None),
    ]
    assert value(archive.database, "select count(*) from core.media_assets where state = 'pending'") == 3


def test_a_second_import_creates_nothing_and_reports_it(archive: Archive, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.jpg": b"x", "b.jpg": b"y"})
    first = import_path(archive, folder, show="The Valley")
    second = import_path(archive, folder, show="The Valley")
    assert (counts(first), counts(second)) == ((2, 0, 2, 0), (0, 2, 0, 0))
    assert first.batches == second.batches
    assert value(archive.database, "select count(*) from core.import_items") == 4


def test_a_repeated_row_is_one_photo_and_one_link(archive: Archive, tmp_path: Path) -> None:
    record = {"url": "https://photos.example/a.jpg", "show": "The Valley"}
    assert counts(import_records(archive, tmp_path, record, record)) == (1, 1, 1, 0)


def test_a_known_photo_gets_new_links(archive: Archive, tmp_path: Path) -> None:
    import_records(archive, tmp_path, {"url": "https://photos.example/a.jpg", "show": "The Valley"})
    again = import_records(archive, tmp_path, {"url": "https://photos.example/a.jpg", "show": "Harbour Lights"})
    assert counts(again) == (0, 1, 1, 0)


BAD_FILES = {
    "missing.jpg": "No such file or directory",
    "folder.jpg": "not a regular file",
    "pipe.jpg": "not a regular file",
    "dangling.jpg": "No such file or directory",
    "n" * 300 + ".jpg": "File name too long",
}


def test_invalid_rows_are_rejected_and_recorded_and_do_not_stop_others(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    bad = [{"path": name} for name in BAD_FILES]
    bad += [{"url": "http://photos.example/a\0b"}, {"url": "ftp://x"}, {"path": "good.jpg", "caption": "\ud800"}]
    summary = import_records(archive, tmp_path, {"path": "good.jpg"}, *bad, {"url": "https://photos.example/z.jpg"})
    assert counts(summary) == (2, 0, 0, len(bad))
    assert [row.line for row in summary.rejected] == list(range(2, len(bad) + 2))
    for row, problem in zip(summary.rejected, BAD_FILES.values(), strict=False):
        assert problem in row.problem
    items = query(archive.database, "select line, outcome, detail from core.import_items order by line")
    assert [item["outcome"] for item in items] == ["created", *["rejected"] * len(bad), "created"]
    assert all(item["detail"] for item in items[1:-1])


def test_an_import_of_many_chunks_has_one_summary(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CHUNK", 7)
    rows = [replace(ROW, line=line, location=f"https://photos.example/{line % 40}.jpg") for line in range(1, 51)]
    seen: list[int] = []
    summary = import_rows(archive.database, rows, day=DAY, progress=seen.append)
    assert counts(summary) == (40, 10, 0, 0)
    assert seen == [*range(7, 50, 7), 50]
    assert (
        value(archive.database, "select count(*) from core.import_items where import_id = %s", summary.import_id) == 50
    )


def test_a_failed_import_keeps_its_earlier_chunks_and_can_be_repeated(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 5)
    rows = [replace(ROW, line=line, location=f"https://photos.example/{line}.jpg") for line in range(1, 13)]

    def failing() -> object:
        yield from rows[:8]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_rows(archive.database, failing(), day=DAY)  # type: ignore[arg-type]
    assert value(archive.database, "select count(*) from core.media_assets") == 5
    assert counts(import_rows(archive.database, rows, day=DAY)) == (7, 5, 0, 0)


def test_concurrent_imports_of_the_same_rows_create_each_photo_once(archive: Archive) -> None:
    rows = [
        replace(ROW, line=line, location=f"https://photos.example/{line}.jpg", source=source, show="The Valley")
        for line, source in enumerate(["bravo", "deadline"] * 150, start=1)
    ]
    together = threading.Barrier(3)

    def run_import(reverse: bool) -> ImportSummary:
        together.wait(10)
        return import_rows(archive.database, rows[::-1] if reverse else rows, day=DAY)

    with ThreadPoolExecutor(3) as threads:
        summaries = list(threads.map(run_import, [False, True, False]))
    assert sum(summary.created for summary in summaries) == 300
    assert sum(summary.links for summary in summaries) == 300
    assert all(summary.created + summary.known == 300 for summary in summaries)
    assert value(archive.database, "select count(*) from core.media_assets") == 300
    assert value(archive.database, "select count(*) from core.shows") == 1


@pytest.mark.parametrize(
    "name", [b"a b.jpg", b"50%25 #1?.jpg", "é.jpg".encode(), b"caf\xe9.jpg", b"new\nline.jpg", b"a;b.jpg"]
)
def test_any_file_name_survives_the_url_round_trip(archive: Archive, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    path.write_bytes(b"x")
    assert counts(import_path(archive, folder)) == (1, 0, 0, 0)
    location = value(archive.database, "select source_url from core.media_assets")
    assert local_path(location) == path
    assert location.endswith(quote(name).replace("%3B", ";")) or quote(name) in location


def test_a_dangling_symlink_of_any_name_is_a_rejected_row(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).symlink_to("nowhere")
    (tmp_path / "good.jpg").write_bytes(b"x")
    assert counts(import_path(archive, tmp_path)) == (1, 0, 0, 1)


def test_the_longest_allowed_rows_can_be_imported(archive: Archive, tmp_path: Path) -> None:
    noise = "".join(chr(0x4E00 + (index * 7919) % 20_000) for index in range(300))
    address = "https://photos.example/" + "".join(f"{index * 2654435761 % 2**32:08x}" for index in range(250))[:1_977]
    summary = import_records(
        archive, tmp_path, {"url": address, "show": noise, "person": noise[::-1], "caption": noise}
    )
    assert counts(summary) == (1, 0, 2, 0)


def test_an_empty_import_creates_nothing(archive: Archive) -> None:
    assert counts(import_rows(archive.database, [], day=DAY)) == (0, 0, 0, 0)


def test_batches_have_todays_date_in_utc(archive: Archive, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.jpg": b"x"})
    (batch,) = import_rows(archive.database, read_rows(folder, Defaults("deadline"))).batches
    assert batch == value(archive.database, "select to_char(now() at time zone 'utc', 'YYYYMMDD') || '-deadline-00001'")
