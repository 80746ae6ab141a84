"""Manifests and folders: rows, refusals and their messages."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from trr_pipelines.errors import InputError
from trr_pipelines.pipeline.imports.folders import Skipped
from trr_pipelines.pipeline.imports.manifest import COLUMNS, BadRow, Defaults, ImportRow, read_rows, source_name

DEFAULTS = Defaults("deadline")
URL = "https://photos.example/a.jpg"


def csv_of(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(text.encode(encoding))
    return path


def json_of(folder: Path, *records: object) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def rows_of(path: Path, defaults: Defaults = DEFAULTS) -> list[ImportRow | BadRow]:
    return [row for row in read_rows(path, defaults) if not isinstance(row, Skipped)]


def skipped_of(path: Path) -> dict[str, int]:
    return dict(Counter(row.kind for row in read_rows(path, DEFAULTS) if isinstance(row, Skipped)))


def names_of(folder: Path) -> list[str]:
    return [unquote(row.location.rpartition("/")[2]) for row in rows_of(folder) if isinstance(row, ImportRow)]


def only_row(path: Path, defaults: Defaults = DEFAULTS) -> ImportRow:
    (row,) = rows_of(path, defaults)
    assert isinstance(row, ImportRow), row
    return row


def only_problem(path: Path, defaults: Defaults = DEFAULTS) -> str:
    (row,) = rows_of(path, defaults)
    assert isinstance(row, BadRow), row
    return row.problem


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as an unprivileged user, because root ignores file permissions."""
    user = os.getuid()
    if user == 0:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(user, user, user)


# Valid rows --------------------------------------------------------------------------------------------------------


def test_a_csv_row_is_read_with_all_its_fields(tmp_path: Path) -> None:
    path = csv_of(
        tmp_path,
        "url,source,show,season,person,kind,caption,tags,position\n"
        f'{URL},Bravo TV,The Valley,2,Ann Example,Video Still,"Hello, you",red; green ;;red,7\n',
    )
    assert only_row(path) == ImportRow(
        2, URL, "bravo-tv", "The Valley", 2, ("Ann Example",), "video_still", "Hello, you", ("red", "green"), 7
    )


def test_a_json_row_is_read_with_all_its_fields(tmp_path: Path) -> None:
    record = {"url": URL, "show": "The Valley", "season": 0, "kind": "brand", "tags": ["red", "red"], "position": 3}
    row = only_row(json_of(tmp_path, record))
    assert (row.show, row.season, row.kind, row.tags, row.position) == ("The Valley", 0, "brand", ("red",), 3)


def test_missing_fields_of_a_row_come_from_the_command_line(tmp_path: Path) -> None:
    defaults = Defaults("deadline", show="The Valley", season=3, kind="news", tags=("web",))
    row = only_row(csv_of(tmp_path, f"url,tags\n{URL},red\n"), defaults)
    assert (row.source, row.show, row.season, row.kind, row.tags) == (
        "deadline",
        "The Valley",
        3,
        "news",
        ("web", "red"),
    )


def test_a_row_that_names_its_own_person_is_not_linked_to_the_default_show(tmp_path: Path) -> None:
    row = only_row(csv_of(tmp_path, f"url,person\n{URL},Ann Example\n"), Defaults("deadline", show="The Valley"))
    assert (row.show, row.people) == ("", ("Ann Example",))


def test_paths_are_relative_to_the_manifest(tmp_path: Path) -> None:
    assert only_row(csv_of(tmp_path, "path\npictures/a b.jpg\n")).location == (tmp_path / "pictures/a b.jpg").as_uri()


@pytest.mark.parametrize("position", ["0", "12"])
def test_a_position_of_zero_is_kept(tmp_path: Path, position: str) -> None:
    assert only_row(csv_of(tmp_path, f"url,position\n{URL},{position}\n")).position == int(position)


def test_without_a_position_rows_are_ordered_by_line(tmp_path: Path) -> None:
    rows = rows_of(csv_of(tmp_path, f"url\n{URL}?1\n\n{URL}?2\n"))
    assert [(row.line, row.position) for row in rows if isinstance(row, ImportRow)] == [(2, 2), (4, 4)]


@pytest.mark.parametrize("text", ["URL, Show \n{url},X\n", "\ufeffurl,show\n{url},X\n", "url,show\r\n{url},X\r\n"])
def test_headings_are_accepted_as_spreadsheets_write_them(tmp_path: Path, text: str) -> None:
    row = only_row(csv_of(tmp_path, text.format(url=URL)))
    assert (row.location, row.show) == (URL, "X")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["manifest.csv", "manifest.tsv", "MANIFEST.CSV"])
def test_a_table_is_read_with_the_separator_that_it_was_written_with(tmp_path: Path, separator: str, name: str) -> None:
    lines = [["url", "show", "tags"], [URL, '"The Valley, again"', '"red;green"']]
    (tmp_path / name).write_text("".join(separator.join(line) + "\r\n" for line in lines), encoding="utf-8")
    row = only_row(tmp_path / name)
    assert (row.line, row.location, row.show, row.tags) == (2, URL, "The Valley, again", ("red", "green"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_excel_is_read_with_its_hint_its_empty_rows_and_its_empty_columns(
    tmp_path: Path, encoding: str
) -> None:
    text = f"sep=;\r\n;;;\r\nurl;show;;\r\n{URL};Ünder;;\r\n;;;\r\n; ;;\r\n{URL};;;\r\n;;\r\n"
    path = csv_of(tmp_path, text, encoding=encoding)
    rows = rows_of(path)
    assert [(row.line, row.show) for row in rows if isinstance(row, ImportRow)] == [(4, "Ünder"), (7, "")]
    assert (len(rows), skipped_of(path)) == (2, {"empty rows": 3})


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_only_a_newline_ends_a_json_line(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "manifest.jsonl"
    text = json.dumps({"url": URL, "caption": f"one{separator}two"}, ensure_ascii=False)
    path.write_text(f"{text}\r\n{text}\n", encoding="utf-8")
    rows = [row for row in rows_of(path) if isinstance(row, ImportRow)]
    assert [(row.line, row.caption) for row in rows] == [(1, f"one{separator}two"), (2, f"one{separator}two")]


# Invalid rows------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "values", "problem"),
    [
        ("url", "ftp://photos.example/a.jpg", "only http and https URLs can be fetched"),
        ("url", "photos/a.jpg", "only http and https URLs"),
        ("url", "http://", "not a host name"),
        ("url", "http://[::1/a.jpg", "not a URL"),
        ("url", "https://me:secret@photos.example/a.jpg", "credentials"),
        ("url", "http://2130706433/a.jpg", "dotted decimal form"),
        ("url", f"https://photos.example/{'a' * 4000}.jpg", "url has 4027 characters, at most 2000 are allowed"),
        ("url,path", f"{URL},a.jpg", "both url and path are set"),
        ("url,path,show", " , ,The Valley", "neither url nor path is set"),
        ("path", "a\0b.jpg", "path holds a NUL character"),
        ("path", "é" * 400, "location has"),
        ("url,kind", f"{URL},painting", "unknown kind 'painting'; known are photo, video_still"),
        ("url,season", f"{URL},2", "season 2 is set without a show"),
        ("url,show,season", f"{URL},The Valley,two", "season is not a whole number of at most 9 digits: 'two'"),
        ("url,show,season", f"{URL},The Valley,-1", "season is not a whole number"),
        ("url,show,season", f"{URL},The Valley,²", "season is not a whole number"),
        ("url,show,season", f"{URL},The Valley,10001", "season 10001 is above 10000"),
        ("url,position", f"{URL},9999999999", "position is not a whole number of at most 9 digits"),
        ("url,source", f"{URL},???", "source '???' has no letter or digit"),
        ("url,show", f"{URL},{'v' * 301}", "show has 301 characters, at most 300 are allowed"),
        ("url,person", f"{URL},{'v' * 301}", "person has 301 characters, at most 300 are allowed"),
        ("url,caption", f"{URL},{'c' * 2001}", "caption has 2001 characters, at most 2000 are allowed"),
        ("url,caption", f"{URL},a\0b", "caption holds a NUL character"),
        ("url,tags", f"{URL},a;{'t' * 2001}", "tags has 2001 characters"),
        ("url,show", f"{URL},a,b", "2 columns in the heading, 3 here"),
        ("url,caption", f'{URL},"a"b', "not a CSV row"),
    ],
)
def test_an_invalid_csv_row_is_reported_by_line_and_does_not_stop_others(
    tmp_path: Path, columns: str, values: str, problem: str
) -> None:
    good = ",".join(URL if name == "url" else "" for name in columns.split(","))
    if "url" not in columns:
        good = "good.jpg"
    rows = rows_of(csv_of(tmp_path, f"{columns}\n{good}\n{values}\n{good}\n"))
    assert [type(row) for row in rows] == [ImportRow, BadRow, ImportRow]
    bad = rows[1]
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert problem in bad.problem
    assert "\n" not in bad.problem


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([URL], "not a JSON object but list"),
        ("text", "not a JSON object but str"),
        (None, "not a JSON object but NoneType"),
        ({"url": 7}, "url is not text but int"),
        ({"url": URL, "show": ["The Valley"]}, "show is not text but list"),
        ({"url": URL, "show": "The Valley", "season": 1.0}, "season is not a whole number: 1.0"),
        ({"url": URL, "show": "The Valley", "season": True}, "season is not a whole number: True"),
        ({"url": URL, "show": "The Valley", "season": -1}, "season is not a whole number"),
        ({"url": URL, "tags": 7}, "tags are not text"),
        ({"url": URL, "tags": ["a", 7]}, "tags are not text"),
        ({"url": URL, "tags": {"a": 1}}, "tags are not text"),
        ({"url": URL, "caption": "\ud800"}, "caption is not valid Unicode"),
        ({"url": URL, "tags": ["\udfff"]}, "tags is not valid Unicode"),
        ({"url": "http://photos.example/a\0b"}, "url holds a NUL character"),
        ({"url": URL, "titel": "The Valley"}, "unknown column 'titel'; known are path, url, source, show"),
        ({}, "neither url nor path is set"),
    ],
)
def test_an_invalid_json_row_is_reported_by_line_and_does_not_stop_others(
    tmp_path: Path, record: object, problem: str
) -> None:
    rows = rows_of(json_of(tmp_path, {"url": URL}, record, {"url": URL}))
    assert [type(row) for row in rows] == [ImportRow, BadRow, ImportRow]
    bad = rows[1]
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert problem in bad.problem


@pytest.mark.parametrize("text", ["{", '{"url": "a"', "nonsense", "[" * 100_000, '{"season": ' + "9" * 5000 + "}"])
def test_a_line_that_is_not_json_is_reported_and_does_not_stop_others(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(f'{text}\n\n{{"url": "{URL}"}}\n', encoding="utf-8")
    bad, good = rows_of(path)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.problem[:8]) == (1, "not JSON")
    assert isinstance(good, ImportRow)
    assert good.line == 3


# Unusable manifests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the manifest holds no rows"),
        ("url\n", "the manifest holds no rows"),
        ("url\n\n\n", "the manifest holds no rows"),
        (f"url,titel\n{URL},x\n", "unknown column 'titel'; known are path, url, source, show, season"),
        (f"url;titel\n{URL};x\n", "unknown column 'titel'"),
        (f"url\tshow\ttitel\n{URL}\tx\n", "unknown column 'titel'"),
        (f"url,,show\n{URL},,x\n", "unknown column ''"),
        (";;\n;;\n", "the manifest holds no rows"),
        (f"url,URL\n{URL},{URL}\n", "duplicate column: url, url"),
        ("show,person\nThe Valley,\n", "no column for the location of the photos; add one of path, url"),
        ('"url\n', "not a CSV file"),
    ],
)
def test_an_unusable_csv_manifest_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = csv_of(tmp_path, text)
    with pytest.raises(InputError) as caught:
        rows_of(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_a_json_manifest_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="the manifest holds no rows"):
        rows_of(path)


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.jsonl"])
def test_a_manifest_that_is_not_utf_8_is_refused_with_the_position(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes("url,caption\nhttp://a.example/,café\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"not UTF-8 at byte 33$"):
        rows_of(path)


@pytest.mark.parametrize("name", ["missing", "missing.csv", "missing.jsonl", "x" * 5000])
def test_a_missing_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r": no such file or folder$|: cannot be read \(File name too long\)$"):
        rows_of(tmp_path / name)


@pytest.mark.parametrize(
    ("defaults", "problem"),
    [
        ({"source": ""}, "source '' has no letter or digit"),
        ({"source": "!!"}, "source '!!' has no letter or digit"),
        ({"season": 2}, "season 2 is set without a show"),
        ({"kind": "painting"}, "unknown kind 'painting'"),
        ({"show": "v" * 301}, "show has 301 characters"),
        ({"person": "a\0b"}, "person holds a NUL character"),
        ({"tags": ("\udc80",)}, "tags is not valid Unicode"),
    ],
)
def test_an_invalid_option_is_refused_before_anything_is_read(
    tmp_path: Path, defaults: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        rows_of(csv_of(tmp_path, f"url\n{URL}\n"), replace(DEFAULTS, **defaults))
    assert problem in str(caught.value)


# Folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_yields_every_file_below_it_that_is_not_hidden_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", ".hidden.jpg", "deep/er/c.jpg", ".git/d.jpg", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    rows = [row for row in rows_of(tmp_path) if isinstance(row, ImportRow)]
    assert [row.location for row in rows] == [
        (tmp_path / name).as_uri() for name in ("a.jpg", "b.jpg", "deep/notes.txt", "deep/er/c.jpg")
    ]
    assert [row.line for row in rows] == [1, 2, 3, 4]


LEFT_OUT = {
    "sidecars": [
        "a.xmp",
        "A.XMP",
        "a.jpg.json",
        "a.jpg.supplemental-metadata.json",
        "IMG_1.AAE",
        "a.THM",
        ".picasa.ini",
    ],
    "videos": ["a.mp4", "A.MOV", "a.mts"],
    "thumbnails": ["Thumbs.db", "thumbs.DB", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "b/@eaDir/c.jpg/x.jpg"],
    "recycled files": ["#recycle/a.jpg", "$RECYCLE.BIN/x/b.jpg", "@Recycle/c.jpg"],
    "system files": [".DS_Store", "b/.DS_Store", "desktop.ini", "Desktop.ini", "._a.jpg", "__MACOSX/._a.jpg"],
    "hidden files": [".hidden.jpg", ".git/objects/d.jpg"],
}


def test_what_nas_systems_and_photo_apps_keep_beside_photos_is_counted_by_kind(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.HEIC", "document.psd", "json", *(name for names in LEFT_OUT.values() for name in names)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert names_of(tmp_path) == ["a.jpg", "document.psd", "json", "c.HEIC"]
    assert skipped_of(tmp_path) == {kind: len(names) for kind, names in LEFT_OUT.items()}


@pytest.mark.parametrize("name", ["a.json", "a.xmp", "clip.MP4"])
def test_one_file_that_is_no_photo_by_its_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}: neither a photo nor a manifest \(\.csv, \.tsv, \.jsonl\)"):
        rows_of(tmp_path / name)


def test_spaces_around_a_file_name_are_part_of_it(tmp_path: Path) -> None:
    names = [" a.jpg", "a.jpg", "a.jpg ", "a.jpg  ", "a.jpg\n", "b.jpg\t"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    assert names_of(tmp_path / "in") == sorted(names)
    assert names_of(tmp_path / "in" / "a.jpg ") == ["a.jpg "]
    listed = csv_of(tmp_path, 'path\n"in/a.jpg "\nin/a.jpg\n  in/b.jpg\t\n"in/c.jpg "\n')
    assert names_of(listed) == ["a.jpg ", "a.jpg", "b.jpg", "c.jpg"]


def test_links_to_folders_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for name in ("root/a/1.jpg", "root/z/2.jpg", "outside/3.jpg", "outside/deep/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (root / "0_album").symlink_to(outside)
    (root / "a" / "again").symlink_to(outside / "deep")
    (root / "a" / "loop").symlink_to(root)
    (outside / "up").symlink_to(tmp_path)
    (root / "linked.jpg").symlink_to(outside / "3.jpg")
    rows = [row for row in rows_of(root) if isinstance(row, ImportRow)]
    assert [row.location.removeprefix(root.as_uri()) for row in rows] == [
        "/linked.jpg", "/a/1.jpg", "/z/2.jpg", "/0_album/3.jpg", "/0_album/deep/4.jpg",
    ]  # fmt: skip
    assert skipped_of(root)["linked folders"] >= 2


def test_a_single_photo_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert only_row(tmp_path / "a.jpg").location == (tmp_path / "a.jpg").as_uri()


@pytest.mark.parametrize("hidden", [False, True])
def test_a_folder_without_files_is_refused(tmp_path: Path, hidden: bool) -> None:
    if hidden:
        (tmp_path / ".DS_Store").write_bytes(b"x")
    with pytest.raises(InputError, match="the folder holds no files"):
        rows_of(tmp_path)


def test_an_unreadable_folder_is_named_in_the_error(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0)
    make_accessible(tmp_path)
    with unprivileged(), pytest.raises(InputError, match=r"locked: .*cannot be read"):
        rows_of(folder)


def test_a_path_below_an_unreadable_folder_is_named_in_the_error(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0)
    make_accessible(tmp_path)
    with unprivileged(), pytest.raises(InputError, match=r"photos: cannot be read"):
        rows_of(folder / "photos")


def test_an_unreadable_folder_affects_only_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "locked").mkdir(mode=0)
    make_accessible(tmp_path)
    with unprivileged():
        good, bad = rows_of(tmp_path)
    assert isinstance(good, ImportRow)
    assert isinstance(bad, BadRow)
    assert bad.problem == f"{tmp_path / 'locked'}: folder cannot be read (Permission denied)"


def make_accessible(folder: Path) -> None:
    """Make pytest's folders, which only their owner may enter, accessible to other users."""
    for path in (folder, *folder.parents):
        if path.owner() == Path.home().owner() and path.name.startswith(("pytest-", "popen-", "test_")):
            path.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "name"),
    [("Deadline", "deadline"), ("Bravo TV!", "bravo-tv"), ("éclair", "eclair"), ("x" * 60, "x" * 40), ("a,b", "a-b")],
)
def test_a_source_appears_in_keys_with_plain_letters_only(text: str, name: str) -> None:
    assert source_name(text) == name


def test_the_columns_are_the_documented_ones() -> None:
    assert COLUMNS == ("path", "url", "source", "show", "season", "person", "kind", "caption", "tags", "position")
