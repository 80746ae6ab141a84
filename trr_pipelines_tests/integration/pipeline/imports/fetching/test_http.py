"""Fetching from real servers on loopback: correct, slow, broken and hostile ones."""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from trr_pipelines.errors import InputError, MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.pipeline.imports.fetching import Fetcher, check_url
from trr_pipelines.pipeline.imports.fetching.http import MAX_RETRY_AFTER
from trr_pipelines_tests.support.certificates import certificate_for
from trr_pipelines_tests.support.ports import refusing_port
from trr_pipelines_tests.support.scripted_server import HangUpError, Received, Script, ScriptedServer, answer

LOOPBACK = ("127.0.0.0/8",)
PHOTO = bytes(range(256)) * 400


class RecordingDialler(httpcore.SyncBackend):
    """Connects normally and records every address."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    def connect_tcp(self, host: str, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        self.dialled.append(host)
        return super().connect_tcp(host, *args, **kwargs)


@contextmanager
def serving(tls: ssl.SSLContext | None = None, **scripts: Script) -> Iterator[ScriptedServer]:
    with ScriptedServer({f"/{name}": script for name, script in scripts.items()}, tls) as server:
        yield server


@contextmanager
def fetcher(**settings: Any) -> Iterator[Fetcher]:
    with Fetcher(**{"allow": LOOPBACK, "seconds": 5.0, "ssl_context": default_trust(), **settings}) as opened:
        yield opened


@cache
def default_trust() -> ssl.SSLContext:
    """The default TLS context of a `Fetcher`, created once: reading the certificates takes 50 ms."""
    return httpx.create_ssl_context()


def fails(fetch: Fetcher, url: str) -> MediaError:
    with pytest.raises(MediaError) as caught:
        fetch.fetch(url)
    assert "\n" not in str(caught.value)
    return caught.value


def always(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


def drip(start: bytes, endless: bytes = b"x", pause: float = 0.02) -> Script:
    """Sends `start`, then `endless` in small pieces until the client disconnects."""

    def send(_: Received, connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(endless)
            time.sleep(pause)

    return send


def then_hang_up(data: bytes) -> Script:
    def send(_: Received, connection: socket.socket) -> None:
        connection.sendall(data)
        raise HangUpError

    return send


def redirect(location: str, status: int = 302) -> Script:
    return answer(status, b"", f"Location: {location}")


# Successful fetches


def test_a_fetch_returns_the_photo_with_its_type_and_validators() -> None:
    headers = ('ETag: "v1"', "Last-Modified: Mon, 05 Jan 2026 10:00:00 GMT", "Content-Type: image/jpeg")
    with serving(photo=answer(200, PHOTO, *headers)) as server, fetcher() as fetch:
        fetched = fetch.fetch(f"{server.url}/photo?size=full#top")
    assert fetched.data == PHOTO
    assert fetched.final_url == f"{server.url}/photo?size=full"
    assert (fetched.etag, fetched.last_modified) == ('"v1"', "Mon, 05 Jan 2026 10:00:00 GMT")
    assert fetched.content_type == "image/jpeg"


def test_the_request_has_our_user_agent_and_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_port() as proxy, serving(photo=answer(200, PHOTO)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        with fetcher() as fetch:
            fetch.fetch(f"{server.url}/photo")
    headers = server.received[0].headers
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert headers["user-agent"].startswith("trr-pipelines/")
    assert headers["accept-encoding"] == "identity"
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PHOTO, ()),
        (gzip.compress(PHOTO, mtime=0), ("Content-Encoding: GZIP",)),
        (gzip.compress(PHOTO[:500]) + gzip.compress(PHOTO[500:]), ("Content-Encoding: gzip",)),
        (PHOTO, ("Content-Encoding: aws-chunked",)),
        (PHOTO, ("Content-Encoding: UTF-8", "Content-Encoding: none")),
    ],
    ids=["plain", "compressed although not requested", "two members", "left by a store", "no content codings"],
)
def test_the_body_equals_the_file(body: bytes, headers: tuple[str, ...]) -> None:
    with serving(photo=answer(200, body, *headers)) as server, fetcher() as fetch:
        assert fetch.fetch(f"{server.url}/photo").data == PHOTO


def test_a_chunked_body_and_one_ended_by_the_connection_are_complete() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    until_close = b"HTTP/1.0 200 OK\r\n\r\nhello world"
    with serving(a=then_hang_up(chunked), b=then_hang_up(until_close)) as server, fetcher() as fetch:
        assert fetch.fetch(f"{server.url}/a").data == b"hello world"
        assert fetch.fetch(f"{server.url}/b").data == b"hello world"


def test_a_connection_serves_many_fetches_and_many_threads_share_a_fetcher() -> None:
    with serving(photo=answer(200, PHOTO)) as server, fetcher() as fetch:
        for _ in range(5):
            fetch.fetch(f"{server.url}/photo")
        assert server.connections == 1
        with ThreadPoolExecutor(8) as threads:
            fetched = list(threads.map(lambda number: fetch.fetch(f"{server.url}/photo?{number}"), range(100)))
        assert [photo.final_url for photo in fetched] == [f"{server.url}/photo?{number}" for number in range(100)]
        assert all(photo.data == PHOTO for photo in fetched)
        assert server.connections < 30, "100 fetches should reuse connections"


def test_a_kept_connection_closed_by_the_server_fails_no_photo() -> None:
    with (
        serving(photo=then_hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")) as server,
        fetcher() as fetch,
    ):
        for _ in range(50):
            assert fetch.fetch(f"{server.url}/photo").data == b"hello"


def test_a_server_that_always_hangs_up_is_tried_twice() -> None:
    with serving(photo=then_hang_up(b"")) as server, fetcher() as fetch:
        assert fails(fetch, f"{server.url}/photo").reason is Reason.FETCH_FAILED
        assert len(server.received) == 2


def test_an_unchanged_photo_is_not_sent_again() -> None:
    with serving(photo=answer(304)) as server, fetcher() as fetch:
        assert fetch.fetch(f"{server.url}/photo", conditional=('"v1"', "Mon, 05 Jan 2026 10:00:00 GMT")) is None
        headers = server.received[0].headers
        assert headers["if-none-match"] == '"v1"'
        assert headers["if-modified-since"] == "Mon, 05 Jan 2026 10:00:00 GMT"
        assert fails(fetch, f"{server.url}/photo").reason is Reason.FETCH_FAILED, (
            "304 to an unconditional request is a failure"
        )


def test_a_changed_photo_is_fetched_despite_the_validators() -> None:
    with serving(photo=answer(200, PHOTO)) as server, fetcher() as fetch:
        fetched = fetch.fetch(f"{server.url}/photo", conditional=('"v1"', None))
    assert fetched is not None
    assert fetched.data == PHOTO
    assert "if-modified-since" not in server.received[0].headers


# Redirects


def test_five_redirects_are_followed_absolute_relative_and_with_a_path_alone() -> None:
    with serving(
        a=redirect("/b", 301),
        b=redirect("c?x=1", 302),
        c=redirect("./d#part", 303),
        d=redirect("//127.0.0.1:{port}/e", 307),
        e=answer(),
        photo=answer(200, PHOTO),
    ) as server:
        server.scripts["/d"] = redirect(f"//127.0.0.1:{server.port}/e", 307)
        server.scripts["/e"] = redirect(f"{server.url}/photo", 308)
        with fetcher() as fetch:
            fetched = fetch.fetch(f"{server.url}/a")
    assert (fetched.data, fetched.final_url) == (PHOTO, f"{server.url}/photo")
    assert [request.path for request in server.received] == ["/a", "/b", "/c?x=1", "/d", "/e", "/photo"]


def test_the_sixth_redirect_is_not_followed() -> None:
    with serving(a=redirect("/a")) as server, fetcher() as fetch:
        failure = fails(fetch, f"{server.url}/a")
    assert isinstance(failure, RetryableError)
    assert (failure.reason, len(server.received)) == (Reason.FETCH_FAILED, 6)
    assert "more than 5" in failure.detail


def test_a_redirect_without_a_location_is_a_failure() -> None:
    with serving(a=answer(302)) as server, fetcher() as fetch:
        assert fails(fetch, f"{server.url}/a").reason is Reason.FETCH_FAILED


FORBIDDEN_URLS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1%25lo]/",
    "http://[::1]/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://100.100.100.200/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://0177.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://user:password@example.com/",
    "ftp://example.com/photo.jpg",
    "file:///etc/passwd",
    "gopher://example.com/",
    "http://example.com:0/",
    "http://a\\b/",
    "http://exa mple.com/",
]


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_a_forbidden_address_is_refused_before_a_packet_is_sent_also_after_a_redirect(url: str) -> None:
    dialler = RecordingDialler()
    quoted = "".join(sign if sign.isascii() else "".join(f"%{byte:02x}" for byte in sign.encode()) for sign in url)
    with serving(a=redirect(quoted)) as server, fetcher(dialler=dialler) as fetch:
        for target in (url, f"{server.url}/a"):
            failure = fails(fetch, target)
            assert isinstance(failure, PermanentError)
            assert failure.reason is Reason.BLOCKED_ADDRESS
            assert "password@" not in failure.detail
    assert dialler.dialled == ["127.0.0.1"], "only the redirecting server may be contacted"


def test_loopback_is_refused_where_it_is_not_allowed() -> None:
    dialler = RecordingDialler()
    with serving(photo=answer(200, PHOTO)) as server, fetcher(allow=(), dialler=dialler) as fetch:
        for host in ("127.0.0.1", "localhost"):
            assert fails(fetch, f"http://{host}:{server.port}/photo").reason is Reason.BLOCKED_ADDRESS
    assert dialler.dialled == []
    assert server.received == []


def test_check_url_refuses_urls_that_are_never_fetched() -> None:
    check_url("https://example.com/photo.jpg?size=full")
    for url in (
        "http://",
        "http:///photo.jpg",
        "ftp://example.com/a",
        "http://user@example.com/",
        "http://127.1/",
        "photo.jpg",
        "",
    ):
        with pytest.raises(InputError):
            check_url(url)


# DNS


@pytest.mark.parametrize(
    "addresses",
    [
        ("169.254.169.254",),
        ("93.184.215.14", "10.0.0.1"),
        ("127.0.0.1", "64:ff9b::a9fe:a9fe"),
        ("::ffff:10.0.0.1",),
        ("fe80::1%lo",),
    ],
)
def test_a_name_with_one_forbidden_address_is_refused(addresses: tuple[str, ...]) -> None:
    dialler = RecordingDialler()
    with fetcher(resolver=always(*addresses), dialler=dialler) as fetch:
        failure = fails(fetch, "http://photos.example/a.jpg")
    assert failure.reason is Reason.BLOCKED_ADDRESS
    assert "photos.example" in failure.detail
    assert dialler.dialled == []


def test_the_checked_address_is_the_one_that_is_dialled() -> None:
    dialler = RecordingDialler()
    with serving(photo=answer(200, PHOTO)) as server:
        with fetcher(resolver=always("127.0.0.1"), dialler=dialler) as fetch:
            assert fetch.fetch(f"http://photos.example:{server.port}/photo").data == PHOTO
        assert server.received[0].headers["host"] == f"photos.example:{server.port}"
    assert dialler.dialled == ["127.0.0.1"], "never the name, which may resolve to another address by now"


def test_a_name_rebound_between_two_redirects_is_refused() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    dialler = RecordingDialler()
    with (
        serving(a=redirect("/photo"), photo=answer(200, PHOTO)) as server,
        fetcher(resolver=lambda host, port: next(answers), dialler=dialler) as fetch,
    ):
        assert fails(fetch, f"http://photos.example:{server.port}/a").reason is Reason.BLOCKED_ADDRESS
    assert dialler.dialled == ["127.0.0.1"]
    assert [request.path for request in server.received] == ["/a"]


def test_after_a_dead_address_the_next_one_is_tried() -> None:
    with serving(photo=answer(200, PHOTO)) as server:
        dead_address = "127.0.0.2"
        with fetcher(resolver=always(dead_address, "127.0.0.1")) as fetch:
            assert fetch.fetch(f"http://photos.example:{server.port}/photo").data == PHOTO


def test_an_unresolved_name_is_a_retryable_failure() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (unknown, always()):
        with fetcher(resolver=resolver) as fetch:
            failure = fails(fetch, "http://photos.example/a.jpg")
        assert isinstance(failure, RetryableError)
        assert failure.reason is Reason.FETCH_FAILED


# Timeouts


def silent(_: Received, connection: socket.socket) -> None:
    connection.recv(1)


SLOW: dict[str, Script] = {
    "no answer": silent,
    "dripped status": drip(b"HTTP/1.1 200 OK", b" "),
    "dripped headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "endless 100 Continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "dripped body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
    "dripped chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "dripped gzip": drip(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08" + b"\0" * 6, b"name"),
    "stalled body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome", b"", 0.05),
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW.keys())
def test_a_slow_server_cannot_exceed_the_deadline_of_the_whole_fetch(script: Script) -> None:
    with serving(photo=script) as server, fetcher(seconds=0.5) as fetch:
        began = time.monotonic()
        failure = fails(fetch, f"{server.url}/photo")
        assert 0.4 < time.monotonic() - began < 4
    assert isinstance(failure, RetryableError)
    assert failure.reason is Reason.FETCH_TIMEOUT


def test_redirects_share_the_deadline() -> None:
    def slowly(_: Received, connection: socket.socket) -> None:
        time.sleep(0.2)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n")

    with serving(a=slowly) as server, fetcher(seconds=0.5) as fetch:
        began = time.monotonic()
        assert fails(fetch, f"{server.url}/a").reason is Reason.FETCH_TIMEOUT
        assert time.monotonic() - began < 4


def test_a_resolver_that_does_not_answer_times_out() -> None:
    def stuck(host: str, port: int) -> list[str]:
        time.sleep(3)
        return ["127.0.0.1"]

    with fetcher(seconds=0.3, resolver=stuck) as fetch:
        began = time.monotonic()
        failure = fails(fetch, "http://photos.example/a.jpg")
        assert time.monotonic() - began < 4
    assert failure.reason is Reason.FETCH_TIMEOUT
    assert "DNS" in failure.detail


def test_a_server_that_never_finishes_the_tls_handshake_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, fetcher(seconds=0.4) as fetch:
        began = time.monotonic()
        failure = fails(fetch, f"https://127.0.0.1:{listener.getsockname()[1]}/a.jpg")
        assert time.monotonic() - began < 4
    assert failure.reason is Reason.FETCH_TIMEOUT


# Size limits


def endless_headers(_: Received, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Padding: " + b"y" * 60_000 + b"\r\n")


@pytest.mark.parametrize(
    "script",
    [
        answer(200, b"x" * 1001),
        answer(200, b"", length=10**12),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000, 0),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3E8\r\n" + b"x" * 1000 + b"\r\n", 0),
        answer(200, gzip.compress(bytes(50_000_000), mtime=0), "Content-Encoding: gzip"),
    ],
    ids=["one byte over", "announced", "endless", "endless in chunks", "gzip bomb"],
)
def test_a_body_above_the_limit_is_aborted_and_the_limit_is_named(script: Script) -> None:
    with serving(photo=script, small=answer(200, b"x" * 1000)) as server, fetcher(max_bytes=1000) as fetch:
        failure = fails(fetch, f"{server.url}/photo")
        assert len(fetch.fetch(f"{server.url}/small").data) == 1000
    assert isinstance(failure, PermanentError)
    assert failure.reason is Reason.TOO_MANY_BYTES
    assert "limit is 1000" in failure.detail


def test_endless_headers_are_aborted() -> None:
    with serving(photo=endless_headers) as server, fetcher() as fetch:
        assert fails(fetch, f"{server.url}/photo").reason is Reason.FETCH_FAILED


def test_an_empty_body_is_an_empty_file() -> None:
    with serving(photo=answer(200)) as server, fetcher() as fetch:
        assert fails(fetch, f"{server.url}/photo").reason is Reason.EMPTY_FILE


# Truncated, invalid and refused responses


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        answer(200, PHOTO[:1000], length=len(PHOTO)),
        answer(200, b"", length=1),
        then_hang_up(CHUNKED + b"10\r\nhello"),
        then_hang_up(CHUNKED + b"5\r\nhello\r\n"),
        answer(200, gzip.compress(PHOTO, mtime=0)[:-10], "Content-Encoding: gzip"),
    ],
    ids=["early close", "no byte of the body", "inside a chunk", "between chunks", "inside gzip"],
)
def test_a_truncated_body_is_a_retryable_failure(script: Script) -> None:
    with serving(photo=script) as server, fetcher() as fetch:
        failure = fails(fetch, f"{server.url}/photo?signature=secret")
    assert isinstance(failure, RetryableError)
    assert failure.reason is Reason.FETCH_FAILED
    assert "truncated" in failure.detail
    assert "secret" not in failure.detail


@pytest.mark.parametrize(
    "script",
    [
        then_hang_up(b""),
        then_hang_up(b"SSH-2.0-OpenSSH_9\r\n"),
        then_hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
        then_hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        then_hang_up(CHUNKED + b"zz\r\n"),
        answer(200, PHOTO, "Content-Encoding: br"),
        answer(206, PHOTO),
        answer(204),
    ],
    ids=["empty", "not HTTP", "bad length", "two lengths", "bad chunk", "unknown encoding", "partial", "no content"],
)
def test_an_invalid_response_is_a_retryable_failure(script: Script) -> None:
    with serving(photo=script) as server, fetcher() as fetch:
        failure = fails(fetch, f"{server.url}/photo")
    assert isinstance(failure, RetryableError)
    assert failure.reason is Reason.FETCH_FAILED


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.FETCH_FAILED),
        (401, Reason.FETCH_FORBIDDEN),
        (403, Reason.FETCH_FORBIDDEN),
        (404, Reason.FETCH_NOT_FOUND),
        (410, Reason.FETCH_NOT_FOUND),
        (429, Reason.FETCH_FAILED),
        (451, Reason.FETCH_FORBIDDEN),
        (500, Reason.FETCH_FAILED),
        (503, Reason.FETCH_FAILED),
        (599, Reason.FETCH_FAILED),
    ],
)
def test_a_status_has_its_reason_and_names_url_and_status(status: int, reason: Reason) -> None:
    with serving(photo=answer(status, b"<html>sorry")) as server, fetcher() as fetch:
        failure = fails(fetch, f"{server.url}/photo")
    assert isinstance(failure, RetryableError)
    assert (failure.reason, failure.retry_after) == (reason, None)
    assert failure.detail == f"{server.url}/photo answered {status}"


SERVERS_NOW = datetime(2030, 1, 1, tzinfo=UTC)  # the server's clock may differ from ours


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 120"], 120.0),
        (["Retry-After: 0"], 0.0),
        (["Retry-After: 99999999999999"], MAX_RETRY_AFTER),
        (["Retry-After: -5"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: \u0661".encode().decode("latin-1")], None),
        ([f"Date: {format_datetime(SERVERS_NOW)}", f"Retry-After: {format_datetime(SERVERS_NOW)}"], 0.0),
        (
            [
                f"Date: {format_datetime(SERVERS_NOW, usegmt=True)}",
                f"Retry-After: {format_datetime(SERVERS_NOW + timedelta(minutes=5), usegmt=True)}",
            ],
            300.0,
        ),
        (["Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"], 0.0),
        (["Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"], MAX_RETRY_AFTER),
    ],
)
@pytest.mark.parametrize("status", [403, 429, 503])
def test_retry_after_of_the_source_is_read(status: int, headers: Iterable[str], seconds: float | None) -> None:
    with serving(photo=answer(status, b"", *headers)) as server, fetcher() as fetch:
        assert fails(fetch, f"{server.url}/photo").retry_after == seconds


def test_a_refused_connection_is_a_retryable_failure() -> None:
    with refusing_port() as port, fetcher() as fetch:
        failure = fails(fetch, f"http://127.0.0.1:{port}/photo.jpg")
    assert isinstance(failure, RetryableError)
    assert failure.reason is Reason.FETCH_FAILED


# TLS


def test_https_verifies_the_host_name_although_an_address_is_dialled(tmp_path: Path) -> None:
    certificate = certificate_for("photos.example", tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    requested: list[str] = []
    server_side.sni_callback = lambda _socket, name, _context: requested.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))

    with serving(server_side, photo=answer(200, PHOTO)) as server:
        with fetcher(resolver=always("127.0.0.1"), ssl_context=trusting) as fetch:
            assert fetch.fetch(f"https://photos.example:{server.port}/photo").data == PHOTO
            assert requested == ["photos.example"]
            wrong_name = fails(fetch, f"https://other.example:{server.port}/photo")
        with fetcher(resolver=always("127.0.0.1")) as fetch:
            unknown_issuer = fails(fetch, f"https://photos.example:{server.port}/photo")

    for failure in (wrong_name, unknown_issuer):
        assert isinstance(failure, RetryableError)
        assert failure.reason is Reason.FETCH_FAILED
        assert "certificate" in failure.detail


def test_https_to_a_plain_http_server_is_a_failure() -> None:
    with serving(photo=answer(200, PHOTO)) as server, fetcher() as fetch:
        assert fails(fetch, f"https://127.0.0.1:{server.port}/photo").reason is Reason.FETCH_FAILED
