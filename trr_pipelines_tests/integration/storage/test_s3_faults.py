"""The S3 store with failures of the server, the network or the credentials, on a real server behind a proxy."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from trr_pipelines.errors import PermanentError, Reason, RetryableError
from trr_pipelines.storage.s3 import ATTEMPTS, S3Store, s3_client
from trr_pipelines.storage.store import IMMUTABLE, MissingObjectError, put_exactly
from trr_pipelines_tests.support.faulty_proxy import (
    Answer,
    CutAnswer,
    CutRequest,
    FaultyProxy,
    LoseAnswer,
    NoLength,
    Request,
    Silence,
    SlowAnswer,
)
from trr_pipelines_tests.support.ports import refusing_port
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on

JPEG = "image/jpeg"
KEY = "a/photo.jpg"
PHOTO = hashlib.shake_128(b"photo").digest(300_000)


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@contextmanager
def proxied(server: S3Server, **settings: Any) -> Iterator[tuple[FaultyProxy, S3Store]]:
    """A store whose requests go through a proxy, without a fault yet."""
    with FaultyProxy(server.port) as proxy, bucket_on(server, server.client(proxy.url, **settings)) as store:
        yield proxy, store


def put(store: S3Store, key: str = KEY, data: bytes = PHOTO) -> bool:
    return store.put_if_absent(key, data, content_type=JPEG).created


def first(fault: object, method: str = "") -> Callable[[Request], Any]:
    """A plan with this fault for the first request (of this method), and none after it."""
    pending = [fault]
    return lambda request: pending.pop() if pending and method in ("", request.method) else None


def test_an_object_has_its_type_cache_header_and_hash(server: S3Server) -> None:
    with bucket_on(server, server.client()) as store:
        put(store)
        response = store.client.head_object(Bucket=store.bucket, Key=f"{store.prefix}/{KEY}")
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["content-type"], headers["cache-control"]) == (JPEG, IMMUTABLE)
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(PHOTO).hexdigest()


def test_head_does_not_read_the_object(server: S3Server) -> None:
    with proxied(server) as (proxy, store):
        put(store)
        proxy.requests.clear()
        assert store.head(KEY) is not None
        assert not put(store)
        assert [request.method for request in proxy.requests] == ["HEAD", "HEAD"]


def test_stores_with_two_prefixes_share_nothing(server: S3Server) -> None:
    with bucket_on(server, server.client()) as store:
        whole_bucket = S3Store(store.client, store.bucket, "https://cdn.example")
        other = S3Store(store.client, store.bucket, "https://cdn.example", prefix="archive/media2")
        put(store)
        assert [listed.key for listed in whole_bucket.list()] == [f"archive/media/{KEY}"]
        assert list(other.list()) == []
        assert other.head(KEY) is None


def test_an_object_of_another_writer_without_a_hash_is_hashed_on_head(server: S3Server) -> None:
    with bucket_on(server, server.client()) as store:
        store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/{KEY}", Body=PHOTO)
        standing = store.put_if_absent(KEY, b"ours", content_type=JPEG)
    assert (standing.created, standing.bytes) == (False, len(PHOTO))
    assert standing.sha256 == hashlib.sha256(PHOTO).hexdigest()


def test_other_bytes_of_the_same_size_are_rewritten_whatever_hash_was_recorded_with_them(server: S3Server) -> None:
    with bucket_on(server, server.client()) as store:
        put(store)
        store.client.put_object(
            Bucket=store.bucket,
            Key=f"{store.prefix}/{KEY}",
            Body=bytes(len(PHOTO)),
            Metadata={"sha256": hashlib.sha256(PHOTO).hexdigest()},
        )
        assert put_exactly(store, KEY, PHOTO, content_type=JPEG).created
        assert store.get(KEY) == PHOTO
        assert not put_exactly(store, KEY, PHOTO, content_type=JPEG).created


def test_every_object_is_stored_and_read_with_503_for_three_calls_in_ten(server: S3Server) -> None:
    chance = random.Random(7)
    with proxied(server) as (proxy, store):
        proxy.plan = lambda _: Answer(503) if chance.random() < 0.3 else None
        keys = [f"a/{number}.jpg" for number in range(30)]
        pending = list(keys)
        rounds = 0
        while pending:  # the ledger would retry calls that fail after five tries
            rounds += 1
            assert rounds < 5
            for key in list(pending):
                with suppress(RetryableError):
                    put(store, key, key.encode())
                    pending.remove(key)
        proxy.plan = lambda _: None
        assert sorted(listed.key for listed in store.list()) == sorted(keys)
        assert all(store.get(key) == key.encode() for key in keys)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_failing_store_is_tried_five_times_and_then_unavailable(moto: S3Server, status: int) -> None:
    with proxied(moto) as (proxy, store):
        proxy.plan = lambda _: Answer(status)
        with pytest.raises(RetryableError, match=rf"{store.bucket}/archive/media/{KEY}.*{status}") as caught:
            store.get(KEY)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
        assert len(proxy.requests) == ATTEMPTS


@pytest.mark.parametrize(
    "body", [b"", b"<Error><Code>InvalidArgument</Code><Message>no\n such thing</Message></Error>"]
)
def test_a_client_error_is_not_retried(moto: S3Server, body: bytes) -> None:
    with proxied(moto) as (proxy, store):
        proxy.plan = lambda _: Answer(400, body)
        with pytest.raises(RetryableError) as caught:
            store.get(KEY)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
        assert "\n" not in str(caught.value)
        assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    "call",
    [put, lambda store: store.get(KEY), lambda store: store.head(KEY), lambda store: list(store.list())],
    ids=["put", "get", "head", "list"],
)
def test_a_silent_store_costs_one_timeout_not_five(moto: S3Server, call: Callable[[S3Store], object]) -> None:
    with proxied(moto, read_seconds=0.3) as (proxy, store):
        proxy.plan = lambda _: Silence()
        began = time.monotonic()
        with pytest.raises(RetryableError) as caught:
            call(store)
        assert time.monotonic() - began < 5
        assert caught.value.reason is Reason.STORAGE_TIMEOUT
        assert len(proxy.requests) == 1


def test_a_slow_store_is_waited_for(moto: S3Server) -> None:
    with proxied(moto, read_seconds=0.5) as (proxy, store):
        put(store)
        proxy.plan = lambda _: SlowAnswer(200_000)
        began = time.monotonic()
        assert store.get(KEY) == PHOTO
        assert time.monotonic() - began > 1.0, "each read has its own wait; the whole may take longer"


def test_a_refused_connection_is_unavailable_after_five_tries() -> None:
    with refusing_port() as port:
        client = S3Server(port).client()
        store = S3Store(client, "photos", "https://cdn.example", backoff_seconds=0.001)
        with pytest.raises(RetryableError, match="photos") as caught:
            store.head(KEY)
        client.close()
    assert caught.value.reason is Reason.STORAGE_UNAVAILABLE


@pytest.mark.parametrize("after", [0, 1, 100_000, 299_999])
def test_an_interrupted_put_leaves_no_object_and_the_next_one_succeeds(server: S3Server, after: int) -> None:
    with proxied(server) as (proxy, store):
        proxy.plan = lambda request: CutRequest(after) if request.method == "PUT" else None
        with pytest.raises(RetryableError) as caught:
            put(store)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
        proxy.plan = lambda _: None
        assert store.head(KEY) is None
        assert list(store.list()) == []
        assert put(store)
        assert store.get(KEY) == PHOTO


def test_a_put_with_a_lost_response_is_repeated_and_changes_nothing(server: S3Server) -> None:
    with proxied(server) as (proxy, store):
        proxy.plan = first(LoseAnswer(), "PUT")
        assert put(store)
        assert [request.method for request in proxy.requests].count("PUT") == 2
        assert store.get(KEY) == PHOTO
        assert [(listed.key, listed.bytes) for listed in store.list()] == [(KEY, len(PHOTO))]
        assert not put(store)


def test_a_truncated_response_is_never_taken_for_the_object(server: S3Server) -> None:
    with proxied(server) as (proxy, store):
        put(store)
        proxy.plan = first(CutAnswer(150_000), "GET")
        assert store.get(KEY) == PHOTO


@pytest.mark.parametrize(
    "call",
    [
        lambda store: put(store, KEY, b"x"),  # the server reads the body although it refuses it
        lambda store: store.get(KEY),
        lambda store: list(store.list()),
        lambda store: store.delete([KEY]),
    ],
    ids=["put", "get", "list", "delete"],
)
def test_a_missing_bucket_is_denied_at_once(server: S3Server, call: Callable[[S3Store], object]) -> None:
    with proxied(server) as (proxy, store):
        gone = S3Store(store.client, "gone-bucket", "https://cdn.example")
        with pytest.raises(RetryableError, match="gone-bucket") as caught:
            call(gone)
        assert caught.value.reason is Reason.STORAGE_DENIED
        assert len(proxy.requests) <= 2


@pytest.mark.parametrize(
    "call",
    [
        put,
        lambda store: store.get(KEY),
        lambda store: store.head(KEY),
        lambda store: list(store.list()),
        lambda store: store.delete([KEY]),
    ],
    ids=["put", "get", "head", "list", "delete"],
)
def test_revoked_credentials_are_denied_at_once(rclone: S3Server, call: Callable[[S3Store], object]) -> None:
    with proxied(rclone, secret="revoked") as (proxy, store):
        with pytest.raises(RetryableError) as caught:
            call(store)
        assert caught.value.reason is Reason.STORAGE_DENIED
        assert "revoked" not in str(caught.value)
        assert len(proxy.requests) == 1


def test_missing_credentials_are_denied_without_a_request(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with FaultyProxy(moto.port) as proxy:
        client = s3_client(endpoint_url=proxy.url, region="us-east-1")
        with pytest.raises(RetryableError, match="credentials") as caught:
            S3Store(client, "photos", "https://cdn.example").head(KEY)
        client.close()
        assert caught.value.reason is Reason.STORAGE_DENIED
        assert proxy.requests == []


def test_a_key_that_cannot_be_deleted_is_an_error_despite_status_200(moto: S3Server) -> None:
    refusal = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    with proxied(moto) as (proxy, store):
        proxy.plan = lambda _: Answer(200, refusal)
        with pytest.raises(RetryableError, match="AccessDenied") as caught:
            store.delete([KEY])
        assert caught.value.reason is Reason.STORAGE_DENIED
        assert len(proxy.requests) == 1


def test_keys_are_deleted_in_pages(server: S3Server) -> None:
    with proxied(server) as (proxy, store):
        for number in range(7):
            put(store, f"a/{number}.jpg", b"x")
        proxy.requests.clear()
        assert store.delete(f"a/{number}.jpg" for number in range(7)) == 7
        assert [request.method for request in proxy.requests] == ["POST"] * 3
        assert list(store.list()) == []


@pytest.mark.parametrize("token", [b"", b"<NextContinuationToken>same</NextContinuationToken>"])
def test_a_listing_that_does_not_advance_ends_with_an_error(moto: S3Server, token: bytes) -> None:
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated>" + token + b"</ListBucketResult>"
    with proxied(moto) as (proxy, store):
        proxy.plan = lambda _: Answer(200, page)
        with pytest.raises(RetryableError, match="does not advance"):
            list(store.list("a/"))
        assert len(proxy.requests) <= 2


def test_a_missing_object_is_requested_once(server: S3Server) -> None:
    with proxied(server) as (proxy, store):
        assert store.head(KEY) is None
        with pytest.raises(MissingObjectError):
            store.get(KEY)
        assert len(proxy.requests) == 2


def demanding_md5(request: Request) -> Answer | None:
    """As servers do that know no checksum but Content-MD5: deletions without it are refused, and all are verified."""
    sent, digest = request.headers.get("content-md5"), hashlib.md5(request.body, usedforsecurity=False).digest()
    if sent == base64.b64encode(digest).decode() or (sent is None and request.method != "POST"):
        return None
    code = b"InvalidRequest" if sent is None else b"BadDigest"
    return Answer(400, b"<Error><Code>%s</Code><Message>Missing required header: Content-MD5</Message></Error>" % code)


def test_a_server_that_demands_content_md5_deletes(server: S3Server) -> None:
    with proxied(server) as (proxy, store):
        proxy.plan = demanding_md5
        for number in range(4):
            put(store, f"a/{number}.jpg", b"x")
        assert store.delete(f"a/{number}.jpg" for number in range(4)) == 4
        assert list(store.list()) == []


def test_an_absent_key_that_the_server_reports_is_deleted(moto: S3Server) -> None:
    absent = b"<DeleteResult><Error><Key>k</Key><Code>NoSuchKey</Code><Message>no</Message></Error></DeleteResult>"
    with proxied(moto) as (proxy, store):
        proxy.plan = lambda _: Answer(200, absent)
        assert store.delete([KEY]) == 1


@pytest.mark.parametrize("chunked", [True, False], ids=["in chunks", "up to the end"])
def test_an_object_without_a_content_length_is_read(server: S3Server, chunked: bool) -> None:
    with proxied(server) as (proxy, store):
        put(store)
        proxy.plan = lambda request: NoLength(chunked) if request.method in ("GET", "HEAD") else None
        assert store.get(KEY) == store.get(KEY, max_bytes=len(PHOTO)) == PHOTO
        with pytest.raises(PermanentError, match=f"limit is {len(PHOTO) - 1}") as caught:
            store.get(KEY, max_bytes=len(PHOTO) - 1)
        assert caught.value.reason is Reason.TOO_MANY_BYTES
        head = store.head(KEY)
        assert head is not None
        assert (head.bytes, head.sha256) == (len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
        assert not put(store)


@pytest.mark.parametrize("chunked", [True, False], ids=["in chunks", "up to the end"])
def test_a_truncated_object_without_a_content_length_is_read_again(server: S3Server, chunked: bool) -> None:
    with proxied(server) as (proxy, store):
        put(store)
        proxy.plan = first(NoLength(chunked, after=150_000), "GET")
        assert store.get(KEY) == PHOTO


@pytest.mark.parametrize(
    "call",
    [lambda store: list(store.list()), lambda store: store.delete([KEY])],
    ids=["list", "delete"],
)
def test_the_page_of_a_proxy_is_not_taken_for_an_answer(moto: S3Server, call: Callable[[S3Store], object]) -> None:
    with proxied(moto) as (proxy, store):
        proxy.plan = lambda _: Answer(200, b"<html><body>log in<br></body>")
        with pytest.raises(RetryableError) as caught:
            call(store)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
        assert len(proxy.requests) == ATTEMPTS


def test_what_other_programs_put_below_the_prefix_is_not_listed(server: S3Server) -> None:
    with bucket_on(server, server.client()) as store:
        put(store)
        for name in ("a/Photo.JPG", "a/two words.jpg"):
            store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/{name}", Body=b"theirs")
        assert [listed.key for listed in store.list()] == [KEY]


def test_a_marker_of_a_folder_is_not_listed(moto: S3Server) -> None:
    with bucket_on(moto, moto.client()) as store:
        store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/", Body=b"")
        store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/a/", Body=b"")
        put(store)
        assert [listed.key for listed in store.list()] == [listed.key for listed in store.list("a/")] == [KEY]
