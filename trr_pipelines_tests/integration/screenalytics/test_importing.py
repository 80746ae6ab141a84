"""Importing into the face bank from a real backend: the rows written, and the requests sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from trr_pipelines.catalogue.database import Database
from trr_pipelines.errors import (
    BackendError,
    BackendUnavailableError,
    InputError,
    NotFoundError,
    SetupError,
    TrrError,
)
from trr_pipelines.screenalytics.bank import FaceBank, exclude, remove_photos, review
from trr_pipelines.screenalytics.client import BackendClient, Patience, PersonPhotos
from trr_pipelines.screenalytics.importing import (
    ImportOutcome,
    ImportResult,
    SeedsNotServedError,
    import_facebank_images,
)
from trr_pipelines_tests.support.application_face_banks import PERSON, six_fields, trr_backend
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.backends import SCREENALYTICS_TOKEN
from trr_pipelines_tests.support.face_banks import (
    CALM,
    HASTY,
    Photo,
    add_person,
    add_photos,
    bank_query,
    bank_rows,
    client_of,
    seed_calls,
)
from trr_pipelines_tests.support.faulty_proxy import Answer, CutAnswer, Fault, FaultyProxy, Request, Silence


def sync(bank: FaceBank, url: str, person: UUID, *, fall_back: bool = True, patience: Patience = CALM) -> ImportResult:
    with client_of(url, patience=patience) as client:
        return import_facebank_images(bank, client, person, fall_back=fall_back)


def queries(proxy: FaultyProxy) -> list[str]:
    """The queries of the requests that Screenalytics sent."""
    return [request.target.partition("?")[2].partition("&")[0] for request in proxy.requests]


def counts(result: ImportResult) -> tuple[int, int, int]:
    return result.inserted, result.updated, result.unchanged


def flag(database: Database, photo: Photo, value: bool = True) -> None:
    query(database, "update core.media_links set facebank_seed = %s where id = %s", value, photo.link_id)


def test_seeds_are_imported_with_one_call_and_wait_for_approval(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    photos = add_photos(database, person, 5, seeds=2)
    result = sync(bank, proxy.url, person)
    assert (result.outcome, counts(result), result.skipped) == (ImportOutcome.SEEDED, (2, 0, 0), {})
    assert queries(proxy) == ["seed_only=true"]
    rows = bank_rows(bank)
    assert set(rows) == {photo.link_id for photo in photos[:2]}
    assert all((row["is_seed"], row["approved"], row["rejected"]) == (True, False, False) for row in rows.values())
    assert {row["media_asset_id"] for row in rows.values()} == {photo.media_asset_id for photo in photos[:2]}


def test_without_seeds_the_first_photos_are_imported_by_a_second_call(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    photos = add_photos(database, person, 9)
    best = photos[7]
    query(database, "update core.media_links set is_primary = true where id = %s", best.link_id)
    result = sync(bank, proxy.url, person)
    assert (result.outcome, counts(result)) == (ImportOutcome.FALLBACK_UNSEEDED, (5, 0, 0))
    assert queries(proxy) == ["seed_only=true", "seed_only=false"]
    rows = bank_rows(bank)
    assert set(rows) == {best.link_id, *(photo.link_id for photo in photos[:4])}
    assert [row["is_seed"] for row in rows.values()] == [False] * 5


def test_a_person_without_photos_is_empty(bank: FaceBank, proxy: FaultyProxy, person: UUID) -> None:
    result = sync(bank, proxy.url, person)
    assert (result.outcome, counts(result)) == (ImportOutcome.EMPTY, (0, 0, 0))
    assert queries(proxy) == ["seed_only=true", "seed_only=false"]


@pytest.mark.parametrize("seeds", [0, 4])
def test_a_second_import_changes_nothing(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID, seeds: int
) -> None:
    add_photos(database, person, 4, seeds=seeds)
    sync(bank, proxy.url, person)
    before = bank_rows(bank)
    assert counts(sync(bank, proxy.url, person)) == (0, 0, 4)
    assert bank_rows(bank) == before


def test_an_unflagged_photo_is_kept_but_is_no_longer_a_seed(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    first, second = add_photos(database, person, 2, seeds=2)
    sync(bank, proxy.url, person)
    flag(database, first, False)
    result = sync(bank, proxy.url, person)
    assert (counts(result), result.unflagged) == ((0, 1, 1), 1)
    assert {link: row["is_seed"] for link, row in bank_rows(bank).items()} == {
        first.link_id: False,
        second.link_id: True,
    }


def test_without_fallback_nothing_is_imported_once_there_are_no_seeds(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    seed = add_photos(database, person, 5, seeds=1)[0]
    sync(bank, proxy.url, person)
    flag(database, seed, False)
    proxy.requests.clear()
    result = sync(bank, proxy.url, person, fall_back=False)
    assert (result.outcome, counts(result)) == (ImportOutcome.EMPTY, (0, 1, 0))
    assert queries(proxy) == ["seed_only=true"]
    assert {link: row["is_seed"] for link, row in bank_rows(bank).items()} == {seed.link_id: False}


def test_unserved_seeds_do_not_trigger_the_fallback(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    add_photos(database, person, 2, seeds=2, served=False)
    add_photos(database, person, 3, start=10)
    with pytest.raises(SeedsNotServedError, match="none of the 2 seeds"):
        sync(bank, proxy.url, person)
    assert queries(proxy) == ["seed_only=true"]
    assert bank_rows(bank) == {}


def test_unserved_photos_are_counted(bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID) -> None:
    add_photos(database, person, 2, seeds=2)
    add_photos(database, person, 3, seeds=3, served=False, start=10)
    result = sync(bank, proxy.url, person)
    assert (result.outcome, result.inserted, result.skipped) == (ImportOutcome.SEEDED, 2, {"unserved": 3})


def test_reviews_are_never_changed(bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID) -> None:
    approved, rejected, _ = add_photos(database, person, 3, seeds=3)
    sync(bank, proxy.url, person)
    review(bank, person, approved.media_asset_id, approved=True, rejected=False, author="a reviewer")
    review(bank, person, rejected.media_asset_id, approved=False, rejected=True, author="a reviewer")
    reviews = "select id, approved, rejected, reviewed_by, reviewed_at from face_bank_images order by id"
    before = bank_query(bank, reviews)
    query(database, "update core.media_links set caption = 'another', facebank_seed = not facebank_seed")
    flag(database, approved)
    sync(bank, proxy.url, person)
    assert bank_query(bank, reviews) == before
    assert bank_rows(bank)[rejected.link_id]["is_seed"] is False


def test_an_excluded_photo_never_comes_back_even_under_another_id(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    first, second = add_photos(database, person, 2, seeds=2)
    sync(bank, proxy.url, person)
    exclude(bank, person, first.media_asset_id, author="a reviewer")
    for _ in range(2):
        result = sync(bank, proxy.url, person)
        assert (counts(result), result.skipped) == ((0, 0, 1), {"excluded": 1})
    query(database, "delete from core.media_assets where id = %s", first.media_asset_id)
    add_photos(database, person, 1, seeds=1)  # the same bytes, imported again
    assert sync(bank, proxy.url, person).skipped == {"excluded": 1}
    assert set(bank_rows(bank)) == {second.link_id}


def test_merged_photos_keep_their_row_and_its_approval(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    (photo,) = add_photos(database, person, 1, seeds=1)
    sync(bank, proxy.url, person)
    review(bank, person, photo.media_asset_id, approved=True, rejected=False, author="a reviewer")
    query(database, "delete from core.media_assets")
    (again,) = add_photos(database, person, 1, seeds=1)
    assert counts(sync(bank, proxy.url, person)) == (0, 1, 0)
    (row,) = bank_rows(bank).values()
    assert (row["media_asset_id"], row["approved"]) == (again.media_asset_id, True)


def test_a_photo_linked_twice_is_one_face_and_a_seed_if_either_link_is(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    (photo,) = add_photos(database, person, 1)
    query(
        database,
        "insert into core.media_links (media_asset_id, person_id, kind, facebank_seed) values (%s, %s, 'news', false)",
        photo.media_asset_id,
        person,
    )
    assert counts(sync(bank, proxy.url, person)) == (1, 0, 0)
    query(database, "update core.media_links set facebank_seed = (kind = 'news')")
    assert sync(bank, proxy.url, person).outcome is ImportOutcome.SEEDED
    assert [row["is_seed"] for row in bank_rows(bank).values()] == [True]


def test_a_replaced_original_moves_with_its_row(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    (photo,) = add_photos(database, person, 1, seeds=1)
    sync(bank, proxy.url, person)
    query(database, "update core.media_assets set sha256 = %s, width = 1280", "ab" * 32)
    assert counts(sync(bank, proxy.url, person)) == (0, 1, 0)
    row = bank_rows(bank)[photo.link_id]
    assert (row["sha256"], row["width"]) == ("ab" * 32, 1280)


def test_the_same_photo_of_two_people_is_two_faces(bank: FaceBank, proxy: FaultyProxy, database: Database) -> None:
    first, second = add_person(database, "Person One"), add_person(database, "Person Two")
    (photo,) = add_photos(database, first, 1, seeds=1)
    query(
        database,
        "insert into core.media_links (media_asset_id, person_id, kind, facebank_seed) values (%s, %s, 'photo', true)",
        photo.media_asset_id,
        second,
    )
    for person in (first, second):
        assert sync(bank, proxy.url, person).inserted == 1
    assert len(bank_rows(bank)) == 2


FAULTS: dict[str, Fault] = {
    "silent": Silence(),
    "killed while it answers": CutAnswer(60),
    "500": Answer(500, b"internal error"),
    "503": Answer(503),
    "truncated JSON": Answer(200, b'[{"hosted_key": "'),
    "HTML": Answer(200, b"<!doctype html><title>Sign in</title>"),
    "an empty body": Answer(200),
    "401": Answer(401),
    "an object": Answer(200, json.dumps({"photos": []}).encode()),
    "null": Answer(200, b"null"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_first_call_writes_nothing_and_is_not_followed_by_the_second(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID, fault: str
) -> None:
    add_photos(database, person, 3)
    proxy.plan = lambda _: FAULTS[fault]
    with pytest.raises(TrrError):
        sync(bank, proxy.url, person, patience=HASTY)
    assert set(queries(proxy)) == {"seed_only=true"}
    assert bank_query(bank, "select id from person") == []
    assert bank_rows(bank) == {}


def test_an_unreachable_backend_writes_nothing(bank: FaceBank, person: UUID) -> None:
    with pytest.raises(BackendUnavailableError):
        sync(bank, "http://127.0.0.1:1", person, patience=HASTY)
    assert bank_query(bank, "select id from person") == []


def test_a_failure_on_a_later_page_keeps_existing_rows(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    add_photos(database, person, 501, seeds=501)
    sync(bank, proxy.url, person)
    before = bank_rows(bank)
    query(database, "update core.media_links set caption = 'another'")

    def second_page_fails(request: Request) -> Fault | None:
        return Answer(500) if "cursor=" in request.target else None

    proxy.plan = second_page_fails
    with pytest.raises(BackendError, match="status 500"):
        sync(bank, proxy.url, person)
    assert bank_rows(bank) == before


def test_a_short_outage_is_retried(bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID) -> None:
    add_photos(database, person, 1, seeds=1)
    proxy.plan = lambda request: Answer(503) if request.number < 2 else None
    assert sync(bank, proxy.url, person).inserted == 1
    assert queries(proxy) == ["seed_only=true"] * 3


def test_an_unknown_person_is_refused_and_not_created(bank: FaceBank, proxy: FaultyProxy) -> None:
    with pytest.raises(NotFoundError):
        sync(bank, proxy.url, uuid4())
    assert bank_query(bank, "select id from person") == []


def test_a_wrong_token_is_named_in_the_error(bank: FaceBank, proxy: FaultyProxy, person: UUID) -> None:
    with (
        client_of(proxy.url, "not-the-token-of-the-tests") as client,
        pytest.raises(SetupError, match="SCREENALYTICS_SERVICE_TOKEN"),
    ):
        import_facebank_images(bank, client, person)
    assert queries(proxy) == ["seed_only=true"]


@contextmanager
def an_import_that_has_read(
    bank: FaceBank, backend: httpx.Client, database: Database, person: UUID
) -> Iterator[FaultyProxy]:
    """In the block, an import has its list and has not written it; it ends with the block."""
    assert backend.base_url.port is not None
    read, proceed = threading.Event(), threading.Event()
    with FaultyProxy(backend.base_url.port) as proxy:

        class Held(BackendClient):
            def photos(self, *arguments: Any, **options: Any) -> PersonPhotos:
                listed = super().photos(*arguments, **options)
                read.set()
                proceed.wait(10)
                return listed

        def run() -> None:
            with Held(proxy.url, SecretStr(SCREENALYTICS_TOKEN), CALM) as client:
                import_facebank_images(bank, client, person, fall_back=False)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert read.wait(10)
            yield proxy
        finally:
            proceed.set()
            thread.join()


def test_an_older_list_is_never_written_over_a_newer_one(
    bank: FaceBank, backend: httpx.Client, database: Database, person: UUID
) -> None:
    seed = add_photos(database, person, 2, seeds=1)[0]
    with an_import_that_has_read(bank, backend, database, person) as proxy:
        flag(database, seed, False)
        sync(bank, str(backend.base_url), person, fall_back=False)
    assert queries(proxy) == ["seed_only=true"] * 2
    assert [row["is_seed"] for row in bank_rows(bank).values()] == []


def test_a_photo_that_is_removed_while_an_import_has_it_listed_does_not_come_back(
    bank: FaceBank, backend: httpx.Client, database: Database, person: UUID
) -> None:
    gone, kept = add_photos(database, person, 2, seeds=2)
    with an_import_that_has_read(bank, backend, database, person):
        query(database, "delete from core.media_assets where id = %s", gone.media_asset_id)
        remove_photos(bank, [gone.media_asset_id])
    assert set(bank_rows(bank)) == {kept.link_id}


def test_a_backend_of_six_fields_fills_our_own_tables_too(bank: FaceBank) -> None:
    with trr_backend() as trr:
        trr.seeds = [six_fields(number) for number in range(3)]
        assert counts(sync(bank, trr.url, PERSON)) == (3, 0, 0)
        assert counts(sync(bank, trr.url, PERSON)) == (0, 0, 3)
        trr.seeds.pop()
        assert counts(sync(bank, trr.url, PERSON)) == (0, 1, 2)
    rows = bank_query(bank, "select hosted_key, is_seed, sha256, link_id from face_bank_images order by hosted_key")
    assert [(row["hosted_key"], row["is_seed"]) for row in rows] == [
        (six_fields(number)["hosted_key"], number < 2) for number in range(3)
    ]
    assert {(row["sha256"], row["link_id"]) for row in rows} == {(None, None)}


@pytest.mark.parametrize("most", [0, 21])
def test_the_number_of_photos_of_an_unseeded_person_has_limits(bank: FaceBank, person: UUID, most: int) -> None:
    with client_of("http://127.0.0.1:1") as client, pytest.raises(InputError, match="allowed are 1 to 20"):
        import_facebank_images(bank, client, person, max_images=most)


def test_photos_are_removed_permanently_for_every_person(
    bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID
) -> None:
    gone, kept = add_photos(database, person, 2, seeds=2)
    sync(bank, proxy.url, person)
    exclude(bank, person, gone.media_asset_id, author="a reviewer")
    assert remove_photos(bank, [gone.media_asset_id, uuid4()]) == 0
    assert bank_query(bank, "select person_id from face_exclusions") == []
    assert remove_photos(bank, [kept.media_asset_id]) == 1
    assert bank_rows(bank) == {}


def test_calls_are_reported_in_order(bank: FaceBank, proxy: FaultyProxy, database: Database, person: UUID) -> None:
    add_photos(database, person, 1)
    with client_of(proxy.url) as client:
        result = import_facebank_images(bank, client, person)
        assert seed_calls(client) == [True, False]
    assert result.report()["calls"] == [
        {"seed_only": True, "page": 0, "status": 200},
        {"seed_only": False, "page": 0, "status": 200},
    ]
