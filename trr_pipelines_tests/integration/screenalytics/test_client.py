"""The client with correct, broken and hostile servers: what it accepts and what it retries."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from trr_pipelines.errors import BackendError, BackendUnavailableError, NotFoundError, SetupError
from trr_pipelines.screenalytics.responses import PhotosAnswer
from trr_pipelines_tests.support.backends import SCREENALYTICS_TOKEN
from trr_pipelines_tests.support.face_banks import HASTY, client_of, json_answer, listing
from trr_pipelines_tests.support.ports import refusing_port
from trr_pipelines_tests.support.scripted_server import HangUpError, Received, Script, ScriptedServer, answer

PERSON = UUID("3f2a0c66-6a0e-4d0a-9d5a-6c9d1f1f0001")


def photo(number: int = 1, **fields: Any) -> dict[str, Any]:
    values = {
        "link_id": str(UUID(int=number)),
        "media_asset_id": str(UUID(int=1000 + number)),
        "served_url": f"https://cdn.example/media/{number}.jpg",
        "sha256": f"{number:064x}",
        "width": 640,
        "height": 480,
        "source": "deadline",
        "facebank_seed": True,
        "caption": "",
        "updated_at": "2026-02-12T10:00:00+00:00",
    }
    return values | fields


def server(script: Script) -> ScriptedServer:
    return ScriptedServer({f"/api/v1/screenalytics/people/{PERSON}/photos": script})


def fetch(url: str, *, seed_only: bool = True) -> list[PhotosAnswer]:
    with client_of(url, patience=HASTY) as client:
        return list(client.photos(PERSON, seed_only=seed_only))


def in_turn(*scripts: Script) -> Script:
    """Respond to each request with the next script; the last script is repeated."""
    left = list(scripts)

    def send(received: Received, connection: socket.socket) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(received, connection)

    return send


@pytest.fixture
def correct() -> Iterator[ScriptedServer]:
    with server(json_answer(listing(PERSON, [photo()], seed_only=True))) as running:
        yield running


def test_it_sends_one_request_with_its_token_and_a_page_size(correct: ScriptedServer) -> None:
    (page,) = fetch(correct.url)
    assert [entry.link_id for entry in page.photos] == [UUID(int=1)]
    (request,) = correct.received
    assert request.headers["authorization"] == f"Bearer {SCREENALYTICS_TOKEN}"
    assert request.path == f"/api/v1/screenalytics/people/{PERSON}/photos?seed_only=true&limit=500"


def test_it_follows_pages_to_the_last() -> None:
    first = listing(PERSON, [photo(1), photo(2)], seed_only=True, next_cursor="after two")
    second = listing(PERSON, [photo(3)], seed_only=True)
    with server(in_turn(json_answer(first), json_answer(second))) as running:
        assert [len(page.photos) for page in fetch(running.url)] == [2, 1]
    assert running.received[1].path.endswith("&cursor=after+two")


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_transient_statuses_are_retried(status: int) -> None:
    good = json_answer(listing(PERSON, [photo()], seed_only=True))
    with server(in_turn(answer(status), answer(status), good)) as running:
        assert len(fetch(running.url)) == 1
    assert len(running.received) == 3


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 409, 422, 500, 501])
def test_permanent_statuses_are_not_retried(status: int) -> None:
    expected = {401: SetupError, 403: SetupError, 404: NotFoundError}.get(status, BackendError)
    with server(answer(status, b"" if status == 204 else b"no", "Location: /elsewhere")) as running:
        with pytest.raises(expected) as caught:
            fetch(running.url)
        assert not isinstance(caught.value, BackendUnavailableError)
    assert len(running.received) == 1


def hang_up(_: Received, __: socket.socket) -> None:
    raise HangUpError


def drip(_: Received, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


@pytest.mark.parametrize(
    "script",
    [hang_up, drip, lambda *_: time.sleep(1), answer(200, b'{"person_id"', length=5_000), answer(503)],
    ids=["hangs up", "drips", "is silent", "truncates", "is not ready"],
)
def test_an_outage_is_a_retryable_error_after_three_attempts(script: Script) -> None:
    began = time.monotonic()
    with server(script) as running, pytest.raises(BackendUnavailableError, match="backend unavailable"):
        fetch(running.url)
    assert len(running.received) == 3
    assert time.monotonic() - began < 8


def test_a_refused_connection_is_an_outage() -> None:
    with refusing_port() as port, pytest.raises(BackendUnavailableError):
        fetch(f"http://127.0.0.1:{port}")


def test_it_honours_retry_after() -> None:
    good = json_answer(listing(PERSON, [photo()], seed_only=True))
    with server(in_turn(answer(503, b"", "Retry-After: 1"), good)) as running:
        began = time.monotonic()
        fetch(running.url)
    assert time.monotonic() - began >= 1


Change = Callable[[dict[str, Any]], object]

WRONG: dict[str, tuple[Change, str]] = {
    "another person": (lambda body: body.update(person_id=str(uuid4())), "returned person"),
    "another seed_only": (lambda body: body.update(seed_only=False), "returned seed_only=False"),
    "a wrong count": (lambda body: body.update(count=3), "reports count 3 but lists 2 photos"),
    "an unflagged photo": (lambda body: body["photos"][0].update(facebank_seed=False), "unflagged photo"),
    "links out of order": (lambda body: body["photos"].reverse(), "not ordered by link id"),
    "a link twice": (lambda body: body["photos"][1].update(link_id=str(UUID(int=1))), "not ordered by link id"),
    "no photos": (lambda body: body.pop("photos"), "photos: Field required"),
    "no unserved": (lambda body: body.pop("unserved"), "unserved: Field required"),
    "no cursor": (lambda body: body.pop("next_cursor"), "next_cursor: Field required"),
    "a flag as text": (lambda body: body["photos"][0].update(facebank_seed="true"), "photos.0.facebank_seed"),
    "a flag as number": (lambda body: body["photos"][0].update(facebank_seed=1), "photos.0.facebank_seed"),
    "a width of 0": (lambda body: body["photos"][0].update(width=0), "photos.0.width"),
    "an invalid hash": (lambda body: body["photos"][0].update(sha256="x" * 64), "photos.0.sha256"),
    "a file URL": (lambda body: body["photos"][0].update(served_url="file:///etc/passwd"), "served_url"),
    "an invalid id": (lambda body: body["photos"][0].update(media_asset_id="7"), "photos.0.media_asset_id"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_inconsistent_response_is_refused_naming_the_field(name: str) -> None:
    change, message = WRONG[name]
    body = listing(PERSON, [photo(1), photo(2)], seed_only=True)
    change(body)
    with server(json_answer(body)) as running, pytest.raises(BackendError, match=message):
        fetch(running.url)
    assert len(running.received) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"person_id": "', b"<html>login</html>", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'],
    ids=["empty", "null", "a list", "truncated", "HTML", "not UTF-8", "too deep", "NaN"],
)
def test_a_body_that_is_not_a_listing_is_refused(body: bytes) -> None:
    with server(answer(200, body, "Content-Type: application/json")) as running:
        with pytest.raises(BackendError, match="violates its schema") as caught:
            fetch(running.url)
        assert "\n" not in str(caught.value)


def test_html_with_200_is_refused_by_its_content_type() -> None:
    page = answer(200, b"<html>", "Content-Type: text/html; charset=utf-8")
    with server(page) as running, pytest.raises(BackendError, match="returned text/html"):
        fetch(running.url)


def test_pages_that_never_advance_are_refused() -> None:
    """A cursor that points to the same page would cause an endless loop."""
    again = json_answer(listing(PERSON, [photo()], seed_only=True, next_cursor="again"))
    with server(again) as running, pytest.raises(BackendError, match="not ordered by link id"):
        fetch(running.url)
    assert len(running.received) == 2


def test_an_endless_body_is_aborted() -> None:
    def endless(_: Received, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b" " * 1_000_000)

    with (
        server(endless) as running,
        pytest.raises(BackendError, match=r"more than 32,000,000 bytes|response not complete"),
    ):
        fetch(running.url)


def test_unknown_fields_are_ignored() -> None:
    body = listing(PERSON, [photo(1, mood="new")], seed_only=True, generated_by="a later backend")
    with server(json_answer(body)) as running:
        assert len(fetch(running.url)) == 1


def test_the_token_is_never_shown() -> None:
    with server(answer(401)) as running:
        with pytest.raises(SetupError) as caught:
            fetch(running.url)
        assert SCREENALYTICS_TOKEN not in repr(client_of(running.url)) + str(caught.value)
