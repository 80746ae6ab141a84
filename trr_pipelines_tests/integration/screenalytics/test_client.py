"""The client with correct, broken and hostile servers: what it accepts and what it retries."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from trr_pipelines.errors import BackendError, BackendUnavailableError, NotFoundError, SetupError
from trr_pipelines.screenalytics.client import PersonPhotos
from trr_pipelines.screenalytics.responses import OwnPhoto
from trr_pipelines_tests.support.application_face_banks import six_fields
from trr_pipelines_tests.support.backends import SCREENALYTICS_TOKEN
from trr_pipelines_tests.support.face_banks import HASTY, client_of, json_answer
from trr_pipelines_tests.support.ports import refusing_port
from trr_pipelines_tests.support.scripted_server import HangUpError, Received, Script, ScriptedServer, answer

PERSON = UUID("3f2a0c66-6a0e-4d0a-9d5a-6c9d1f1f0001")


def photo(number: int = 1, **fields: Any) -> dict[str, Any]:
    values = {
        "served_url": f"https://cdn.example/media/{number}.jpg",
        "hosted_key": f"media/{number}.jpg",
        "is_primary": False,
        "width": 640,
        "height": 480,
        "kind": "photo",
        "link_id": str(UUID(int=number)),
        "media_asset_id": str(UUID(int=1000 + number)),
        "sha256": f"{number:064x}",
        "source": "deadline",
        "facebank_seed": True,
        "caption": "",
        "updated_at": "2026-02-12T10:00:00+00:00",
    }
    return values | fields


def server(script: Script) -> ScriptedServer:
    return ScriptedServer({f"/api/v1/screenalytics/people/{PERSON}/photos": script})


def fetch(url: str, *, seed_only: bool = True, **options: Any) -> PersonPhotos:
    with client_of(url, patience=HASTY) as client:
        for name in ("most_photos",):
            if name in options:
                setattr(client, name, options.pop(name))
        return client.photos(PERSON, seed_only=seed_only, **options)


def listed(url: str, **options: Any) -> list[str | None]:
    """The keys of the listed photos."""
    return [entry.hosted_key for entry in fetch(url, **options).photos]


def keys(*numbers: int) -> list[str]:
    return [f"media/{number}.jpg" for number in numbers]


def ours(photos: list[dict[str, Any]], *, total: int | None = None, unserved: int = 0, cursor: str = "") -> Script:
    """A page as our backend answers it."""
    headers = [f"X-Total-Count: {len(photos) if total is None else total}", f"X-Unserved: {unserved}"]
    if cursor:
        path = f"/api/v1/screenalytics/people/{PERSON}/photos?seed_only=true&limit=500&cursor={cursor}"
        headers.append(f'Link: <{path}>; rel="next"')
    return json_answer(photos, 200, *headers)


def in_turn(*scripts: Script) -> Script:
    """Respond to each request with the next script; the last script is repeated."""
    left = list(scripts)

    def send(received: Received, connection: socket.socket) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(received, connection)

    return send


@pytest.fixture
def correct() -> Iterator[ScriptedServer]:
    with server(ours([photo()])) as running:
        yield running


def test_it_sends_one_request_with_its_token_and_a_page_size(correct: ScriptedServer) -> None:
    assert listed(correct.url) == keys(1)
    (request,) = correct.received
    assert request.headers["authorization"] == f"Bearer {SCREENALYTICS_TOKEN}"
    assert request.path == f"/api/v1/screenalytics/people/{PERSON}/photos?seed_only=true&limit=500"


def test_it_follows_links_to_the_last_page_and_keeps_the_order() -> None:
    pages = in_turn(ours([photo(3), photo(1)], total=3, cursor="after+one"), ours([photo(2)], total=3))
    with server(pages) as running:
        assert listed(running.url) == keys(3, 1, 2)
    assert running.received[1].path.endswith("?seed_only=true&limit=500&cursor=after+one")


def test_of_a_long_list_the_first_photos_can_be_read_alone() -> None:
    with server(ours([photo(3), photo(1)], total=9, cursor="x")) as running:
        assert listed(running.url, most=1) == keys(3)
    assert len(running.received) == 1


def test_two_links_of_a_photo_are_one_and_a_seed_if_either_is() -> None:
    same = {"media_asset_id": str(UUID(int=9)), "hosted_key": "k"}
    with server(ours([photo(1, **same, facebank_seed=False), photo(2, **same)])) as running:
        (one,) = fetch(running.url, seed_only=False).photos
    assert isinstance(one, OwnPhoto)
    assert (one.link_id, one.facebank_seed) == (UUID(int=1), True)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_transient_statuses_are_retried(status: int) -> None:
    good = ours([photo()])
    with server(in_turn(answer(status), answer(status), good)) as running:
        assert listed(running.url) == keys(1)
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
    [hang_up, drip, lambda *_: time.sleep(1), answer(200, b'[{"hosted_key"', length=5_000), answer(503)],
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
    good = ours([photo()])
    with server(in_turn(answer(503, b"", "Retry-After: 1"), good)) as running:
        began = time.monotonic()
        fetch(running.url)
    assert time.monotonic() - began >= 1


Change = Callable[[list[dict[str, Any]]], object]

WRONG: dict[str, tuple[Change, str]] = {
    "an unflagged photo": (lambda photos: photos[0].update(facebank_seed=False), "unflagged photo"),
    "a link twice": (lambda photos: photos[1].update(link_id=str(UUID(int=1))), r"lists link .* again"),
    "a flag as text": (lambda photos: photos[0].update(facebank_seed="true"), r"0\.facebank_seed"),
    "a flag as number": (lambda photos: photos[0].update(facebank_seed=1), r"0\.facebank_seed"),
    "a width of 0": (lambda photos: photos[0].update(width=0), r"0\.width"),
    "a width as text": (lambda photos: photos[1].update(width="640"), r"1\.width"),
    "an invalid hash": (lambda photos: photos[0].update(sha256="x" * 64), r"0\.sha256"),
    "an invalid id": (lambda photos: photos[0].update(media_asset_id="7"), r"0\.media_asset_id"),
    "a file URL": (lambda photos: photos[0].update(served_url="file:///etc/passwd"), r"0\.served_url"),
    "a script": (lambda photos: photos[0].update(served_url="javascript:https://x"), r"0\.served_url"),
    "a URL without a host": (lambda photos: photos[0].update(served_url="https:///x"), r"0\.served_url"),
    "a primary photo as text": (lambda photos: photos[0].update(is_primary="yes"), r"0\.is_primary"),
    "a URL with NUL": (lambda photos: photos[0].update(served_url="https://x/\0"), r"0\.served_url"),
    "a URL of two lines": (lambda photos: photos[0].update(served_url="https://x/\nHost: y"), r"0\.served_url"),
    "a key with NUL": (lambda photos: photos[0].update(hosted_key="k\0"), r"0\.hosted_key"),
    "a key of two lines": (lambda photos: photos[0].update(hosted_key="k\n"), r"0\.hosted_key"),
    "a width beyond all": (lambda photos: photos[0].update(width=2**31), r"0\.width"),
    "half a character": (lambda photos: photos[0].update(caption="\ud800"), "body|0"),
    "an empty key": (lambda photos: photos[0].update(hosted_key=""), r"0\.hosted_key"),
    "a photo as text": (lambda photos: photos.append("x"), "2: "),
    "a list of lists": (lambda photos: photos.insert(0, []), "0: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_inconsistent_response_is_refused_naming_the_field(name: str) -> None:
    change, message = WRONG[name]
    photos = [photo(1), photo(2)]
    change(photos)
    with server(ours(photos)) as running, pytest.raises(BackendError, match=message):
        fetch(running.url)
    assert len(running.received) == 1


@pytest.mark.parametrize("field", photo())
def test_a_missing_field_is_named(field: str) -> None:
    photos = [photo(1), photo(2)]
    photos[1].pop(field)
    with server(ours(photos)) as running, pytest.raises(BackendError, match=rf"1\.{field}: Field required"):
        fetch(running.url)


@pytest.mark.parametrize("field", six_fields(0))
def test_a_missing_field_of_six_is_named(field: str) -> None:
    photos = [six_fields(1), six_fields(2)]
    photos[0].pop(field)
    with server(json_answer(photos)) as running, pytest.raises(BackendError, match=rf"0\.{field}: Field required"):
        fetch(running.url)


HEADERS = {
    "a total as text": (["X-Total-Count: many"], "X-Total-Count is 'many'"),
    "a negative number": (["X-Total-Count: 2", "X-Unserved: -1"], "X-Unserved is '-1'"),
    "another total": (["X-Total-Count: 3"], "it counts 3 and lists 2"),
    "a next page elsewhere": (['Link: <http://other.example/photos?cursor=x>; rel="next"'], "at another address"),
    "a next page of others": ([f'Link: </api/v1/screenalytics/people/{UUID(int=9)}/photos?cursor=x>; rel="next"'],
                              "at another address"),
    "a next page of all": ([f'Link: </api/v1/screenalytics/people/{PERSON}/photos?seed_only=false>; rel="next"'],
                           "of another list than seed_only=true"),
    "a next page that is no URL": (['Link: <http://[>; rel="next"'], "not a URL"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_cannot_be_are_refused(name: str) -> None:
    headers, message = HEADERS[name]
    with server(json_answer([photo(1), photo(2)], 200, *headers)) as running:
        with pytest.raises(BackendError, match=message):
            fetch(running.url)
        assert len(running.received) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b'{"photos": []}', b'[{"hosted_key": "', b"<html>", b"\xff\xfe", b"[" * 100_000, b"[NaN]"],
    ids=["empty", "null", "an object", "truncated", "HTML", "not UTF-8", "too deep", "NaN"],
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


def test_links_that_never_advance_are_refused() -> None:
    again = ours([photo()], total=2, cursor="again")
    with server(again) as running, pytest.raises(BackendError, match=r"lists link .* again"):
        fetch(running.url)
    assert len(running.received) == 2


def test_a_photo_that_moves_between_pages_is_noticed() -> None:
    """It would be skipped: the total stays, and one is missing."""
    pages = in_turn(ours([photo(1)], total=3, cursor="x"), ours([photo(2)], total=3))
    with server(pages) as running, pytest.raises(BackendError, match="it counts 3 and lists 2"):
        fetch(running.url)


def test_photos_that_come_between_pages_are_not_part_of_this_list() -> None:
    pages = in_turn(ours([photo(1)], total=2, cursor="x"), ours([photo(2)], total=3))
    with server(pages) as running:
        assert listed(running.url) == keys(1, 2)


def numbered(first: int, count: int) -> list[dict[str, Any]]:
    return [six_fields(number) for number in range(first, first + count)]


class TestSixFields:
    """A backend without headers is read by offset, each page beginning with the last photo of the one before."""

    def test_pages_follow_until_one_is_short(self) -> None:
        with server(in_turn(json_answer(numbered(0, 500)), json_answer(numbered(499, 21)))) as running:
            found = listed(running.url)
        assert found == [entry["hosted_key"] for entry in numbered(0, 520)]
        assert [one.path.partition("limit=500")[2] for one in running.received] == ["", "&offset=499"]

    @pytest.mark.parametrize("count", [0, 1, 499])
    def test_a_short_page_is_the_last(self, count: int) -> None:
        with server(json_answer(numbered(0, count))) as running:
            assert len(listed(running.url)) == count
        assert len(running.received) == 1

    @pytest.mark.parametrize(
        ("second", "message"),
        [
            (numbered(0, 500), "changed while they were read: page 2 does not continue page 1"),
            (numbered(500, 20), "changed while they were read"),
            (numbered(498, 20), "changed while they were read"),
            ([], "changed while they were read"),
            ([six_fields(499), *numbered(0, 9)], "page 2 repeats photos of earlier pages"),
            ([photo(1)], "page 2 has other fields"),
            ([*numbered(499, 2), photo(1)], "some of the backend's photos lack"),
            (numbered(499, 501), "lists 501 photos in a page, requested were at most 500"),
        ],
        ids=["repeats", "lost one", "gained one", "empty", "cycles", "ours", "mixed", "ignores the limit"],
    )
    def test_a_page_that_does_not_continue_is_refused(self, second: list[dict[str, Any]], message: str) -> None:
        pages = in_turn(json_answer(numbered(0, 500)), json_answer(second))
        with server(pages) as running, pytest.raises(BackendError, match=message):
            fetch(running.url)
        assert len(running.received) == 2

    def test_pages_for_ever_are_refused(self) -> None:
        def endless(received: Received, connection: socket.socket) -> None:
            offset = int(received.path.partition("offset=")[2] or 0)
            json_answer(numbered(offset, 500))(received, connection)

        with server(endless) as running, pytest.raises(BackendError, match="have no end: 5 pages and more than 2"):
            fetch(running.url, most_photos=2_000)


def test_links_for_ever_are_refused() -> None:
    def endless(received: Received, connection: socket.socket) -> None:
        number = int(received.path.partition("cursor=")[2] or 0)
        ours([photo(number + 1)], total=9, cursor=str(number + 1))(received, connection)

    with server(endless) as running, pytest.raises(BackendError, match="have no end: 21 pages"):
        fetch(running.url, most_photos=2_000)


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


def test_captions_lose_control_characters_and_keys_may_have_spaces() -> None:
    odd = photo(1, caption="a\0b", hosted_key="images/a (1).JPG", served_url="https://cdn.example/images/a (1).JPG")
    with server(ours([odd])) as running:
        (one,) = fetch(running.url).photos
    assert isinstance(one, OwnPhoto)
    assert (one.hosted_key, "\0" in one.caption) == ("images/a (1).JPG", False)


def test_unknown_fields_are_ignored() -> None:
    with server(ours([photo(1, mood="new")])) as running:
        assert listed(running.url) == keys(1)


def test_the_token_is_never_shown() -> None:
    with server(answer(401)) as running:
        with pytest.raises(SetupError) as caught:
            fetch(running.url)
        assert SCREENALYTICS_TOKEN not in repr(client_of(running.url)) + str(caught.value)
