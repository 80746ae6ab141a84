"""Store URLs: the store of each, and errors for invalid ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from trr_pipelines.errors import InputError, SetupError
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.factory import open_store
from trr_pipelines.storage.s3 import S3Store

BASE_URL = "https://cdn.example/media/"


@pytest.mark.parametrize("form", ["file:{}", "file://{}"])
def test_a_file_url_creates_and_opens_the_directory(tmp_path: Path, form: str) -> None:
    root = tmp_path / "new/media"
    store = open_store(form.format(root), base_url=BASE_URL)
    assert isinstance(store, DirectoryStore)
    assert store.root == root
    assert root.is_dir()
    assert store.public_url("a/b.jpg") == "https://cdn.example/media/a/b.jpg"


def test_a_relative_directory_is_resolved_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("file:state/media", base_url=BASE_URL)
    assert isinstance(store, DirectoryStore)
    assert store.root == tmp_path / "state/media"


@pytest.mark.parametrize("name", ["with space", "hundred%41", "a#b?c", "ünïcode"])
def test_a_directory_name_is_taken_literally(tmp_path: Path, name: str) -> None:
    store = open_store(f"file:{tmp_path / name}", base_url=BASE_URL)
    store.put_if_absent("a/b.jpg", b"x", content_type="image/jpeg")
    assert (tmp_path / name / "a/b.jpg").read_bytes() == b"x"


def test_opening_a_directory_removes_leftovers_of_dead_writers(tmp_path: Path) -> None:
    leftover = tmp_path / ".incoming/0123"
    leftover.parent.mkdir()
    leftover.touch()
    long_ago = time.time() - 7200
    os.utime(leftover, (long_ago, long_ago))
    open_store(f"file:{tmp_path}", base_url=BASE_URL)
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://photos", "photos", ""),
        ("s3://photos/", "photos", ""),
        ("s3://trr.photos-1/archive/media/", "trr.photos-1", "archive/media"),
    ],
)
def test_an_s3_url_names_bucket_and_prefix(url: str, bucket: str, prefix: str) -> None:
    client = object()
    store = open_store(url, base_url=BASE_URL, client=client)
    assert isinstance(store, S3Store)
    assert (store.bucket, store.prefix, store.client) == (bucket, prefix, client)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "media",
        "/abs/media",
        "http://photos",
        "file:",
        "file://",
        "file://host/media",
        "file:a\0b",
        "s3:photos",
        "s3://",
        "s3://UPPER",
        "s3://photos/../other",
        "s3://photos/a b",
        "s3://photos?x=1",
        "s3://user:secret@photos",
    ],
)
def test_an_invalid_store_url_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        open_store(url, base_url=BASE_URL, client=object())


def test_a_directory_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="file/media cannot be made: Not a directory"):
        open_store(f"file:{tmp_path}/file/media", base_url=BASE_URL)


def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(SetupError, match="no-such-profile"):
        open_store("s3://photos", base_url=BASE_URL)
