"""Objects of another program: read at their own keys, in any bucket of the endpoint, never outside a directory."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines.storage.store import MissingObjectError, ObjectStore
from trr_pipelines_tests.support import external
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on

KEYS = [
    "images/people/Jane Doe (1).JPG",
    "media/ab/no-extension-to-believe.bin",
    "images/a+b.jpg",
    "images/50%.jpg",
    "images/%2e%2e/x.jpg",
    "images/Zoë/Ärger 😀.png",
    "images/a&b=c;d.jpg",
    "images/what?#x.jpg",
    "images/.hidden/x.jpg",
    "UPPER.jpg",
]
LIMIT = 1_000


@pytest.mark.parametrize("key", KEYS)
def test_an_object_is_read_at_its_key_as_it_is(store: ObjectStore, key: str) -> None:
    assert store.head_external(store.bucket, key) is None
    external.put(store, key, b"pixels")
    assert store.get_external(store.bucket, key, max_bytes=LIMIT) == b"pixels"
    found = store.head_external(store.bucket, key)
    assert found is not None
    assert (found.bytes, bool(found.etag)) == (6, True)
    external.put(store, key, b"others")
    changed = store.head_external(store.bucket, key)
    assert changed is not None
    assert changed.etag != found.etag
    store.delete_external(store.bucket, key)
    assert store.head_external(store.bucket, key) is None
    store.delete_external(store.bucket, key)


@pytest.mark.parametrize("key", ["/leading.jpg", "images//double.jpg", "images/trailing/"])
def test_a_key_may_have_empty_segments_in_s3(moto: S3Server, key: str) -> None:
    with bucket_on(moto, moto.client()) as store:
        external.put(store, key, b"pixels")
        assert store.get_external(store.bucket, key, max_bytes=LIMIT) == b"pixels"


def test_it_is_in_any_bucket_of_the_endpoint(moto: S3Server) -> None:
    with bucket_on(moto, moto.client()) as store:
        other = f"other-{uuid.uuid4().hex[:12]}"
        store.client.create_bucket(Bucket=other)
        external.put(store, "a b.jpg", b"pixels", other)
        assert store.get_external(other, "a b.jpg", max_bytes=LIMIT) == b"pixels"
        assert store.head_external(store.bucket, "a b.jpg") is None
        url = store.signed_url("a b.jpg", 60, external_bucket=other)
        assert url.startswith(f"{moto.url}/{other}/a%20b.jpg?")


def test_a_missing_object_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(MissingObjectError) as caught:
        store.get_external(store.bucket, "images/no such.jpg", max_bytes=LIMIT)
    assert caught.value.reason is Reason.FETCH_NOT_FOUND


def test_an_object_above_the_limit_names_key_limit_and_value(store: ObjectStore) -> None:
    external.put(store, "images/big one.jpg", b"x" * 1_001)
    with pytest.raises(PermanentError, match=r"big one\.jpg.* has 1001 bytes, the limit is 1000") as caught:
        store.get_external(store.bucket, "images/big one.jpg", max_bytes=LIMIT)
    assert caught.value.reason is Reason.TOO_MANY_BYTES


def test_wrong_credentials_are_forbidden(rclone: S3Server) -> None:
    with bucket_on(rclone, rclone.client()) as store:
        external.put(store, "a.jpg", b"pixels")
        stranger = S3Store(rclone.client(secret="wrong"), store.bucket, "http://media")
        with pytest.raises(RetryableError) as caught:
            stranger.get_external(store.bucket, "a.jpg", max_bytes=LIMIT)
        assert caught.value.reason is Reason.FETCH_FORBIDDEN


@pytest.mark.parametrize("key", ["", "x" * 1_025, "é" * 513])
def test_a_key_that_no_bucket_can_have_is_not_found(store: ObjectStore, key: str) -> None:
    for use in (
        lambda: store.get_external(store.bucket, key, max_bytes=LIMIT),
        lambda: store.head_external("local", key),
    ):
        with pytest.raises(PermanentError, match="an S3 key has 1 to 1024 bytes, not ") as caught:
            use()
        assert caught.value.reason is Reason.FETCH_NOT_FOUND


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    store = DirectoryStore(tmp_path / "media", "http://media")
    store.put_if_absent("a/inside.jpg", b"pixels", content_type="image/jpeg")
    store.put_record("catalogues/x", b"{}")
    return store


@pytest.mark.parametrize(
    "key",
    [
        "../secret.jpg",
        "a/../../secret.jpg",
        "./a/inside.jpg",
        "a/./inside.jpg",
        "/a/inside.jpg",
        "a//inside.jpg",
        "a/inside.jpg/",
        "a/inside.jpg/x",
        ".records/catalogues/x.json",
        ".incoming/x",
        "a",
        "a/\0.jpg",
        "link.jpg",
        "folder/secret.jpg",
        "n" * 300,
    ],
)
def test_no_key_leads_out_of_a_directory(directory: DirectoryStore, tmp_path: Path, key: str) -> None:
    (directory.root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (directory.root / "folder").symlink_to(tmp_path)
    with pytest.raises(MediaError) as caught:
        directory.get_external("local", key, max_bytes=LIMIT)
    assert caught.value.reason in (Reason.FETCH_NOT_FOUND, Reason.FETCH_FORBIDDEN)
    with suppress(RetryableError):
        directory.delete_external("local", key)
    assert (tmp_path / "secret.jpg").read_bytes() == b"secret"
    assert directory.get("a/inside.jpg") == b"pixels"


def test_a_directory_has_no_other_bucket(directory: DirectoryStore) -> None:
    assert directory.get_external("local", "a/inside.jpg", max_bytes=LIMIT) == b"pixels"
    assert directory.head_external("another", "a/inside.jpg") is None
    directory.delete_external("another", "a/inside.jpg")
    assert directory.head_external("local", "a/inside.jpg") is not None


def test_a_fifo_is_no_object(directory: DirectoryStore) -> None:
    os.mkfifo(directory.root / "pipe.jpg")
    assert directory.head_external("local", "pipe.jpg") is None
