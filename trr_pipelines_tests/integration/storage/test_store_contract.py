"""The contract of object stores, tested on a directory, moto's S3 server and rclone's."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from trr_pipelines.errors import InputError, PermanentError, Reason
from trr_pipelines.storage.keys import crop_key, original_key, variant_key
from trr_pipelines.storage.store import MissingObjectError, ObjectStore, PutObject, StoredObject, put_exactly

JPEG = "image/jpeg"
WEBP = "image/webp"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: ObjectStore, key: str, data: bytes = b"pixels") -> PutObject:
    return store.put_if_absent(key, data, content_type=JPEG)


def keys_of(store: ObjectStore, prefix: str = "") -> list[str]:
    return [listed.key for listed in store.list(prefix)]


@pytest.mark.parametrize("size", [1, 100_000, 9_000_000])
def test_get_returns_the_bytes_that_were_put(store: ObjectStore, size: int) -> None:
    data = hashlib.shake_128(b"photo").digest(size)
    key = original_key(sha256(data), "jpg")

    stored = store.put_if_absent(key, data, content_type=JPEG, sha256=sha256(data))

    assert stored == PutObject(key, size, sha256(data), JPEG, created=True)
    assert store.get(key) == data
    head = store.head(key)
    assert head is not None
    assert (head.key, head.bytes, head.sha256, head.content_type) == (key, size, sha256(data), JPEG)


def test_the_hash_is_computed_if_the_caller_gives_none(store: ObjectStore) -> None:
    assert put(store, "a/photo.jpg").sha256 == sha256(b"pixels")


def test_each_kind_of_key_can_be_used(store: ObjectStore) -> None:
    asset, source, recipe = uuid.uuid4(), sha256(b"original"), "0123456789ab"
    keys = [
        original_key(source, "webp"),
        variant_key(asset, source, recipe, "thumb", "webp"),
        crop_key(asset, sha256(b"crop"), recipe, "crop_card", "webp"),
    ]
    for key in keys:
        assert store.put_if_absent(key, key.encode(), content_type=WEBP).created
    assert [store.get(key) for key in keys] == [key.encode() for key in keys]


def test_a_second_put_keeps_the_first_object_and_returns_its_size_and_hash(store: ObjectStore) -> None:
    put(store, "a/photo.jpg", b"first")

    second = store.put_if_absent("a/photo.jpg", b"the second", content_type=JPEG, sha256=sha256(b"the second"))

    assert second == PutObject("a/photo.jpg", 5, sha256(b"first"), JPEG, created=False)
    assert store.get("a/photo.jpg") == b"first"


def test_a_replaced_object_holds_the_new_bytes(store: ObjectStore) -> None:
    put(store, "a/photo.jpg", b"damaged")

    replaced = store.replace("a/photo.jpg", b"whole", content_type=JPEG)

    assert replaced == PutObject("a/photo.jpg", 5, sha256(b"whole"), JPEG, created=True)
    assert store.get("a/photo.jpg") == b"whole"
    assert store.head("a/photo.jpg") == StoredObject("a/photo.jpg", 5, sha256(b"whole"), JPEG)


@pytest.mark.parametrize("damage", [b"", b"pix", b"pixelS", b"pixels and more"])
def test_an_object_is_accepted_only_if_it_holds_the_bytes_and_is_rewritten_otherwise(
    store: ObjectStore, damage: bytes
) -> None:
    put(store, "a/photo.jpg", damage)
    assert put_exactly(store, "a/photo.jpg", b"pixels", content_type=JPEG).created
    assert store.get("a/photo.jpg") == b"pixels"
    assert not put_exactly(store, "a/photo.jpg", b"pixels", content_type=JPEG).created


def test_concurrent_puts_of_one_key_leave_one_whole_object(store: ObjectStore) -> None:
    data = hashlib.shake_128(b"photo").digest(200_000)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: put(store, "a/photo.jpg", data), range(24)))
    assert {(result.bytes, result.sha256) for result in results} == {(len(data), sha256(data))}
    assert any(result.created for result in results)
    assert store.get("a/photo.jpg") == data
    assert keys_of(store) == ["a/photo.jpg"]


def test_a_missing_object_has_no_head_and_cannot_be_read(store: ObjectStore) -> None:
    assert store.head("a/photo.jpg") is None
    with pytest.raises(MissingObjectError, match=r"a/photo\.jpg") as caught:
        store.get("a/photo.jpg")
    assert caught.value.reason is Reason.STORAGE_UNAVAILABLE


def test_an_object_above_the_callers_limit_is_not_read(store: ObjectStore) -> None:
    put(store, "a/photo.jpg", b"x" * 11)
    with pytest.raises(PermanentError, match="11 bytes, the limit is 10") as caught:
        store.get("a/photo.jpg", max_bytes=10)
    assert caught.value.reason is Reason.TOO_MANY_BYTES
    assert store.get("a/photo.jpg", max_bytes=11) == b"x" * 11


def test_a_listing_has_every_key_once_in_order_with_size_and_time(store: ObjectStore) -> None:
    keys = ["a-b.jpg", "a.jpg", "a/b.jpg", "a/b/c.jpg", "a/b0.jpg", "ab/c.jpg", "b/c.jpg", "b/d.jpg"]
    for key in reversed(keys):
        put(store, key, key.encode())

    listed = list(store.list())

    assert [entry.key for entry in listed] == sorted(keys)
    assert [entry.bytes for entry in listed] == [len(key) for key in sorted(keys)]
    assert all(abs(entry.last_modified - datetime.now(UTC)) < timedelta(minutes=5) for entry in listed)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a/", ["a/b.jpg", "a/b/c.jpg"]),
        ("a/b", ["a/b.jpg", "a/b/c.jpg"]),
        ("a/b/", ["a/b/c.jpg"]),
        ("a/b/c.jpg", ["a/b/c.jpg"]),
        ("a/b/c.jpg/", []),
        ("a", ["a/b.jpg", "a/b/c.jpg", "ab.jpg"]),
        ("c", []),
        ("c/d/", []),
    ],
)
def test_a_prefix_is_the_beginning_of_a_key_not_a_folder(store: ObjectStore, prefix: str, expected: list[str]) -> None:
    for key in ("a/b.jpg", "a/b/c.jpg", "ab.jpg"):
        put(store, key)
    assert keys_of(store, prefix) == expected


def test_an_empty_store_lists_nothing_and_deletes_nothing(store: ObjectStore) -> None:
    assert keys_of(store) == []
    assert store.delete([]) == 0


def test_deleting_removes_only_the_named_objects_and_is_idempotent(store: ObjectStore) -> None:
    keys = [f"a/{number}/photo.jpg" for number in range(5)]
    for key in [*keys, "a/0/other.jpg"]:
        put(store, key)
    assert store.delete(iter([*keys, keys[0], "never/there.jpg"])) == 6
    assert keys_of(store) == ["a/0/other.jpg"]
    assert store.delete(keys) == 5
    assert put(store, keys[0]).created


def test_an_object_must_have_the_type_of_its_extension(store: ObjectStore) -> None:
    with pytest.raises(InputError, match="image/jpeg, not text/html"):
        store.put_if_absent("a/photo.jpg", b"<script>", content_type="text/html")
    with pytest.raises(InputError, match="html"):
        store.put_if_absent("a/photo.html", b"<script>", content_type="text/html")
    assert keys_of(store) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda store, key: store.put_if_absent(key, b"x", content_type=JPEG),
        lambda store, key: store.get(key),
        lambda store, key: store.head(key),
        lambda store, key: store.delete([key]),
        lambda store, key: store.public_url(key),
    ],
    ids=["put", "get", "head", "delete", "public_url"],
)
@pytest.mark.parametrize("key", ["", "/etc/passwd.jpg", "../up.jpg", "a/../../up.jpg", "a//b.jpg", "a/.incoming/b.jpg"])
def test_every_call_refuses_an_invalid_key(
    store: ObjectStore, call: Callable[[ObjectStore, str], object], key: str
) -> None:
    with pytest.raises(InputError):
        call(store, key)


def test_an_invalid_hash_is_refused(store: ObjectStore) -> None:
    with pytest.raises(InputError, match="sha256"):
        store.put_if_absent("a/photo.jpg", b"x", content_type=JPEG, sha256="ABC")


def test_the_public_url_is_the_base_url_and_the_key(store: ObjectStore) -> None:
    assert store.public_url("a/photo.jpg") == "https://cdn.example/media/a/photo.jpg"
