"""Imports into the application's table of faces, from a TRR-Backend of six fields and from ours."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import SecretStr

from trr_pipelines.catalogue.database import Database
from trr_pipelines.errors import BackendError, ConflictError, NotFoundError, SetupError, TrrError
from trr_pipelines.screenalytics import bank as banks
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.factory import upgrade_bank
from trr_pipelines.screenalytics.importing import ImportOutcome, ImportResult, import_facebank_images
from trr_pipelines.screenalytics.kinds import Kind
from trr_pipelines.screenalytics.reports import no_duplicate_faces, person_report, seeds_match_backend
from trr_pipelines_tests.support.application_face_banks import (
    PERSON,
    TrrBackend,
    add_assets,
    create_application,
    six_fields,
    trr_backend,
)
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.face_banks import HASTY, add_person, add_photos, bank_query, client_of, json_answer
from trr_pipelines_tests.support.faulty_proxy import FaultyProxy
from trr_pipelines_tests.support.scripted_server import HangUpError, Received, Script, ScriptedServer, answer

ROWS = "select * from screenalytics.face_bank_images order by created_at, s3_original_key"


@pytest.fixture
def trr() -> Iterator[TrrBackend]:
    with trr_backend() as running:
        yield running


@pytest.fixture
def application(empty_database_url: str) -> FaceBank:
    """The application's database, with our schema beside its table."""
    bank = create_application(empty_database_url)
    upgrade_bank(empty_database_url)
    return bank


def sync(bank: FaceBank, url: str, person: UUID = PERSON, **options: Any) -> ImportResult:
    with client_of(url) as client:
        return import_facebank_images(bank, client, person, **options)


def theirs(bank: FaceBank) -> dict[str, str]:
    """Everything of the application's schemas: columns, constraints, triggers, policies, rights and rows."""
    catalogue = """
        select c.oid::regclass::text as name, c.relacl::text, c.relrowsecurity,
               (select jsonb_agg(to_jsonb(a) - 'attrelid' - 'attstattarget' order by a.attnum)::text
                from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) as columns,
               (select string_agg(pg_get_constraintdef(k.oid), ',' order by k.oid) from pg_constraint k
                where k.conrelid = c.oid or k.confrelid = c.oid) as constraints,
               (select count(*) from pg_trigger t where t.tgrelid = c.oid) as triggers,
               (select string_agg(p.polname, ',') from pg_policy p where p.polrelid = c.oid) as policies,
               (select count(*) from pg_depend d join pg_rewrite r on r.oid = d.objid where d.refobjid = c.oid)
                   as dependants
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('core', 'screenalytics') order by 1"""
    return {row["name"]: json.dumps(row, default=str) for row in bank_query(bank, catalogue)}


def test_520_seeds_in_pages_become_rows_once(application: FaceBank, trr: TrrBackend) -> None:
    trr.seeds = [six_fields(number) for number in range(520)]
    trr.everything = [six_fields(number) for number in range(900)]
    assets = add_assets(application.url.get_secret_value(), trr.seeds)
    result = sync(application, trr.url)
    assert (result.outcome, result.inserted, result.skipped) == (ImportOutcome.SEEDED, 520, {})
    assert trr.seed_calls == [True, True]
    rows = bank_query(application, ROWS)
    assert [row["s3_original_key"] for row in rows] == [photo["hosted_key"] for photo in trr.seeds]
    assert {row["s3_original_key"]: row["media_asset_id"] for row in rows} == assets
    assert {(row["is_seed"], row["approved"], row["person_id"]) for row in rows} == {(True, False, PERSON)}
    again = sync(application, trr.url)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 520)
    assert bank_query(application, ROWS) == rows


@pytest.mark.parametrize(("options", "count"), [({}, 5), ({"max_images": 1}, 1), ({"max_images": 20}, 20)])
def test_of_an_unseeded_person_the_first_photos_are_taken(
    application: FaceBank, trr: TrrBackend, options: dict[str, int], count: int
) -> None:
    trr.everything = [six_fields(number) for number in range(520)]
    result = sync(application, trr.url, **options)
    assert (result.outcome, result.inserted) == (ImportOutcome.FALLBACK_UNSEEDED, count)
    assert trr.seed_calls == [True, False]
    rows = bank_query(application, ROWS)
    assert [row["s3_original_key"] for row in rows] == [p["hosted_key"] for p in trr.everything[:count]]
    assert {(row["is_seed"], row["approved"], row["media_asset_id"]) for row in rows} == {(True, False, None)}
    assert sync(application, trr.url, **options).inserted == 0


def test_without_fallback_an_unseeded_person_stays_as_it_is(application: FaceBank, trr: TrrBackend) -> None:
    trr.everything = [six_fields(1)]
    assert sync(application, trr.url, fall_back=False).outcome is ImportOutcome.EMPTY
    assert (trr.seed_calls, bank_query(application, ROWS)) == ([True], [])


def test_rows_that_are_there_are_never_touched_and_never_doubled(application: FaceBank, trr: TrrBackend) -> None:
    trr.seeds = [six_fields(number) for number in range(4)]
    assets = add_assets(application.url.get_secret_value(), trr.seeds)
    keys = [photo["hosted_key"] for photo in trr.seeds]
    insert = "insert into screenalytics.face_bank_images (person_id, s3_original_key, media_asset_id, approved,"
    bank_query(application, f"{insert} approved_by) values (%s, %s, null, true, 'a')", PERSON, keys[0])
    bank_query(application, f"{insert} is_seed) values (%s, %s, null, false, false)", PERSON, keys[1])
    bank_query(application, f"{insert} is_seed) values (%s, 'old', %s, false, true)", PERSON, assets[keys[2]])
    before = bank_query(application, ROWS)
    assert sync(application, trr.url).inserted == 1
    after = bank_query(application, ROWS)
    assert [row for row in after if row["s3_original_key"] != keys[3]] == before
    assert len(after) == 4


def test_two_importers_at_once_add_each_photo_once(application: FaceBank, trr: TrrBackend) -> None:
    trr.seeds = [six_fields(number) for number in range(300)]
    start, inserted, failed = threading.Barrier(4), [], []

    def run() -> None:
        start.wait()
        try:
            inserted.append(sync(application, trr.url).inserted)
        except ConflictError as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(inserted), len(inserted) + len(failed)) == (300, 4)
    assert len(bank_query(application, ROWS)) == 300


def test_photos_without_a_key_are_not_mirrored_yet_and_are_no_reason_to_fall_back(
    application: FaceBank, trr: TrrBackend
) -> None:
    trr.seeds = [six_fields(number, hosted_key=None) for number in range(2)]
    trr.everything = [six_fields(number) for number in range(9)]
    with pytest.raises(BackendError, match="none of the 2 seeds"):
        sync(application, trr.url)
    assert trr.seed_calls == [True]
    trr.seeds.append(six_fields(5))
    result = sync(application, trr.url)
    assert (result.inserted, result.skipped) == (1, {"unserved": 2})


def test_one_object_listed_twice_is_one_face(application: FaceBank, trr: TrrBackend) -> None:
    trr.seeds = [six_fields(1), six_fields(1, kind="profile"), six_fields(2)]
    assert sync(application, trr.url).inserted == 2


def hang_up(*_: object) -> None:
    raise HangUpError


JSON = "Content-Type: application/json"
WRONG: dict[str, Script] = {
    "hangs up": hang_up,
    "is silent": lambda *_: time.sleep(1),
    "is not there": answer(503),
    "fails": answer(500, b"internal error"),
    "rejects the token": answer(401),
    "redirects": answer(302, b"", "Location: /elsewhere"),
    "HTML": answer(200, b"<!doctype html>", "Content-Type: text/html"),
    "truncated JSON": answer(200, b'[{"served_url": "https://x', JSON),
    "truncated": answer(200, b"[]", JSON, length=500),
    "nothing": answer(200, b"", JSON),
    "null": answer(200, b"null", JSON),
    "an object": json_answer({"photos": []}),
    "an error with 200": json_answer({"detail": "internal error"}),
    "a number": json_answer([1]),
    "a missing field": json_answer([{"served_url": "https://cdn.example/1.jpg"}]),
    "another type": json_answer([six_fields(1, is_primary="yes")]),
    "a foreign scheme": json_answer([six_fields(1, served_url="ftp://cdn.example/1.jpg")]),
    "a relative URL": json_answer([six_fields(1, served_url="/images/1.jpg")]),
    "seeds to come": json_answer([], 200, "X-Unserved: 3"),
    "an unknown count": json_answer([], 200, "X-Unserved: some"),
    "a lost list": json_answer([], 200, "X-Total-Count: 3"),
}


# In the list of all photos, none that is served yet is an empty list.
FAILURES = [(fault, seed_only) for fault in WRONG for seed_only in (True, False) if seed_only or "to come" not in fault]


@pytest.mark.parametrize(("fault", "seed_only"), FAILURES)
def test_a_failure_writes_nothing_and_of_the_seeds_is_never_followed_by_another_list(
    application: FaceBank, fault: str, seed_only: bool
) -> None:
    bank_query(application, "insert into screenalytics.face_bank_images (person_id, s3_original_key) values (%s, 'a')",
               PERSON)  # fmt: skip
    before = bank_query(application, ROWS)

    def script(received: Received, connection: socket.socket) -> None:
        is_first = "seed_only=true" in received.path
        (WRONG[fault] if is_first is seed_only else json_answer([]))(received, connection)

    with ScriptedServer({f"/api/v1/screenalytics/people/{PERSON}/photos": script}) as server:
        with client_of(server.url, patience=HASTY) as client, pytest.raises(TrrError):
            import_facebank_images(application, client, PERSON)
        requested = ["seed_only=true" in received.path for received in server.received]
    assert requested[0] is True
    assert set(requested[1:]) <= {seed_only}
    assert bank_query(application, ROWS) == before
    for table in ("person", "faces"):
        assert bank_query(application, f"select from trr_face_bank.{table}") == []


def test_an_unknown_person_is_refused_and_nothing_is_written(application: FaceBank, trr: TrrBackend) -> None:
    bank_query(application, "delete from core.people")
    trr.seeds = [six_fields(1)]
    with pytest.raises(NotFoundError, match=f"has no person {PERSON}"):
        sync(application, trr.url)
    assert bank_query(application, "select from trr_face_bank.person") == []


def test_our_backend_gives_the_same_rows_with_its_ids(
    application: FaceBank, proxy: FaultyProxy, database: Database
) -> None:
    person = add_person(database)
    known, unknown = add_photos(database, person, 2, seeds=2)
    bank_query(application, "insert into core.people (id, full_name) values (%s, 'Person Two')", person)
    asset = "insert into core.media_assets (id, source, hosted_key) values (%s, 'imdb', 'another')"
    bank_query(application, asset, known.media_asset_id)
    assert sync(application, proxy.url, person).inserted == 2
    assert sync(application, proxy.url, person).inserted == 0
    rows = bank_query(application, ROWS)
    assert [row["media_asset_id"] for row in rows] == [known.media_asset_id, None]
    keys = {row["hosted_key"] for row in query(database, "select hosted_key from core.media_assets")}
    assert {row["s3_original_key"] for row in rows} == keys
    with client_of(proxy.url) as client:
        assert seeds_match_backend(application, client, person).broken == []
    banks.review(application, person, unknown.media_asset_id, approved=True, rejected=False, author="a reviewer")
    assert person_report(application, person).numbers["approved"] == 1
    assert [row["approved"] for row in bank_query(application, ROWS)] == [False, False]


def test_reviews_and_exclusions_are_kept_beside_the_table(application: FaceBank, trr: TrrBackend) -> None:
    trr.seeds = [six_fields(number) for number in range(4)]
    assets = add_assets(application.url.get_secret_value(), trr.seeds)
    sync(application, trr.url)
    ids = [assets[photo["hosted_key"]] for photo in trr.seeds]
    bank_query(
        application, "update screenalytics.face_bank_images set approved = true where media_asset_id = %s", ids[3]
    )
    (image,) = bank_query(
        application, "select image_id from screenalytics.face_bank_images where media_asset_id = %s", ids[0]
    )
    banks.exclude(application, PERSON, image["image_id"], author="a reviewer")
    assert sync(application, trr.url).skipped == {"excluded": 1}
    with client_of(trr.url) as client:
        assert seeds_match_backend(application, client, PERSON).broken == []
    with pytest.raises(ConflictError, match="is approved in screenalytics"):
        banks.exclude(application, PERSON, ids[3], author="a reviewer")
    with pytest.raises(ConflictError, match="1 approved faces"):
        banks.remove_photos(application, ids[2:])
    assert [row["media_asset_id"] for row in bank_query(application, ROWS)] == [ids[1], ids[3]]
    assert no_duplicate_faces(application, PERSON).broken == []


def test_the_migration_changes_nothing_of_theirs(empty_database_url: str, trr: TrrBackend) -> None:
    bank = create_application(empty_database_url)
    before = theirs(bank)
    assert len(before) > 5
    assert upgrade_bank(empty_database_url) == (None, Kind.APPLICATION.schema.head)
    assert upgrade_bank(empty_database_url) == (Kind.APPLICATION.schema.head,) * 2
    trr.seeds = [six_fields(1)]
    sync(bank, trr.url)
    assert theirs(bank) == before
    bank_query(bank, "drop table trr_face_bank.faces")
    with pytest.raises(SetupError, match='has no relation "faces"; run: trr db upgrade'), bank.connect():
        pass
    upgrade_bank(empty_database_url)
    assert sync(bank, trr.url).inserted == 0


def test_before_an_upgrade_the_command_is_named(empty_database_url: str) -> None:
    bank = create_application(empty_database_url)
    with pytest.raises(SetupError, match="run: trr db upgrade"), bank.connect():
        pass


@pytest.mark.parametrize("column", ["s3_original_key", "media_asset_id", "approved", "is_seed", "created_at"])
def test_a_table_of_another_shape_is_refused_by_the_missing_column(empty_database_url: str, column: str) -> None:
    bank = create_application(empty_database_url)
    bank_query(bank, f"alter table screenalytics.face_bank_images drop column {column}")
    for use in (lambda: upgrade_bank(empty_database_url), lambda: bank.connect().__enter__()):
        with pytest.raises(SetupError, match=f'has no column "{column}"'):
            use()


def test_a_column_of_another_type_is_named(empty_database_url: str) -> None:
    bank = create_application(empty_database_url)
    bank_query(bank, "alter table screenalytics.face_bank_images alter column approved_by type uuid using null")
    upgrade_bank(empty_database_url)
    bank_query(bank, "alter table screenalytics.face_bank_images alter column is_seed drop default")
    bank_query(bank, "alter table screenalytics.face_bank_images alter column is_seed type int using 1")
    with pytest.raises(SetupError, match='column "is_seed" of type integer, expected boolean'):
        upgrade_bank(empty_database_url)


def test_a_foreign_table_of_our_name_is_refused_by_the_missing_column(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as conn:
        conn.execute("create table face_bank_images (id uuid, person_id uuid)")
    with pytest.raises(SetupError, match='face_bank_images has no column "media_asset_id"'):
        upgrade_bank(empty_database_url)


class TestRowLevelSecurity:
    """The role of the connection, set by the database as a login would."""

    @pytest.fixture
    def as_role(self, application: FaceBank) -> Iterator[Any]:
        made: list[str] = []
        name = application.url.get_secret_value()
        with psycopg.connect(name, autocommit=True) as owner:

            def use(role: str, *grants: str, bypass: bool = False) -> FaceBank:
                if role != "service_role":
                    role = f"{role}_{uuid4().hex[:8]}"
                    owner.execute(f"create role {role} {'bypassrls' if bypass else ''}")
                    made.append(role)
                for grant in grants:
                    owner.execute(grant.format(role=role))
                owner.execute(f"alter role postgres in database {owner.info.dbname} set role = {role}")
                return application

            yield use
            owner.execute(f"alter role postgres in database {owner.info.dbname} reset role")
            for role in made:
                owner.execute(f"drop owned by {role}")
                owner.execute(f"drop role {role}")

    GRANTS = (
        "grant usage on schema core, screenalytics, trr_face_bank to {role}",
        "grant select, insert on all tables in schema core, screenalytics to {role}",
        "grant all on all tables in schema trr_face_bank to {role}",
        "grant all on all sequences in schema trr_face_bank to {role}",
    )

    def test_a_role_that_sees_no_rows_is_refused_with_the_remedy(self, as_role: Any, trr: TrrBackend) -> None:
        trr.seeds = [six_fields(1)]
        bank = as_role("blind", *self.GRANTS)
        with pytest.raises(SetupError, match=r'role "blind_\w+".*connect as service_role, or: alter role .* bypassrls'):
            sync(bank, trr.url)
        assert trr.requested == []

    @pytest.mark.parametrize(("role", "bypass"), [("seeing", True), ("service_role", False)])
    def test_a_role_that_sees_all_rows_imports(self, as_role: Any, trr: TrrBackend, role: str, bypass: bool) -> None:
        trr.seeds = [six_fields(number) for number in range(3)]
        bank = as_role(role, *(() if role == "service_role" else self.GRANTS), bypass=bypass)
        assert sync(bank, trr.url).inserted == 3
        assert sync(bank, trr.url).inserted == 0

    def test_a_policy_that_shows_some_rows_is_not_enough(self, as_role: Any, trr: TrrBackend) -> None:
        policy = "create policy partial on screenalytics.face_bank_images to {role} using (is_seed) with check (true)"
        bank = as_role("half", *self.GRANTS, policy)
        with pytest.raises(SetupError, match="row-level security hides rows"):
            sync(bank, trr.url)

    def test_the_rights_that_a_role_lacks_are_named(self, as_role: Any, trr: TrrBackend) -> None:
        bank = as_role("bare", bypass=True)
        with pytest.raises(SetupError, match=r"lacks rights on .*usage on schema screenalytics; its owner can run"):
            sync(bank, trr.url)
        bank = as_role("reader", self.GRANTS[0], "grant select on all tables in schema screenalytics to {role}",
                       bypass=True)  # fmt: skip
        with pytest.raises(SetupError, match=r"lacks rights on .*: insert; its owner can run"):
            sync(bank, trr.url)

    def test_rights_in_our_schema_are_named_too(self, as_role: Any, trr: TrrBackend) -> None:
        bank = as_role("partial", *self.GRANTS[:2], bypass=True)
        message = (
            r"lacks rights in the schema trr_face_bank \(face_bank_removals, .*version\); its owner can run: grant"
        )
        with pytest.raises(SetupError, match=message):
            sync(bank, trr.url)
        bank = as_role("almost", *self.GRANTS[:3], bypass=True)
        with pytest.raises(SetupError, match=r"trr_face_bank \(face_bank_tickets\); its owner can run"):
            sync(bank, trr.url)


def test_a_database_without_that_table_is_ours(bank: FaceBank) -> None:
    with bank.connect() as session:
        assert session.kind is Kind.OWN
    assert FaceBank(SecretStr(bank.url.get_secret_value())) == bank
