"""The face bank's schema: created once, restored by an upgrade, and a one-line error if tables are missing."""

from __future__ import annotations

import psycopg
import pytest
from pydantic import SecretStr

from trr_pipelines.errors import SetupError
from trr_pipelines.screenalytics.bank import FaceBank, cast_of, put_cast
from trr_pipelines.screenalytics.schema import FACE_BANK
from trr_pipelines_tests.support.face_banks import bank_query


def refusal(bank: FaceBank) -> str:
    with pytest.raises(SetupError) as caught, bank.connect():
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_empty_database_is_refused_naming_the_missing_relations(empty_database_url: str) -> None:
    message = refusal(FaceBank(SecretStr(empty_database_url)))
    missing = ", ".join(f'"{relation}"' for relation in FACE_BANK.relations)
    assert f"has no relation {missing}; run: trr db upgrade" in message
    assert "(SCREENALYTICS_DB_URL)" in message


def test_an_upgrade_creates_the_schema_and_a_second_changes_nothing(empty_database_url: str) -> None:
    assert FACE_BANK.upgrade(empty_database_url) == (None, FACE_BANK.head)
    bank = FaceBank(SecretStr(empty_database_url))
    put_cast(bank, [{"id": "00000000-0000-0000-0000-000000000001", "full_name": "Person One", "shows": ["a-show"]}])
    assert FACE_BANK.upgrade(empty_database_url) == (FACE_BANK.head, FACE_BANK.head)
    assert len(cast_of(bank, "a-show")) == 1


@pytest.mark.parametrize("table", FACE_BANK.relations)
def test_a_missing_table_is_named_and_restored_by_an_upgrade(bank: FaceBank, table: str) -> None:
    put_cast(bank, [{"id": "00000000-0000-0000-0000-000000000001", "full_name": "Person One", "shows": ["a-show"]}])
    what = "sequence" if table == "face_bank_tickets" else "table"
    bank_query(bank, f"drop {what} {table} cascade")
    assert f'has no relation "{table}"; run: trr db upgrade' in refusal(bank)
    FACE_BANK.upgrade(bank.url.get_secret_value())
    with bank.connect() as session:
        assert FACE_BANK.missing_relations(session.conn) == []
    assert len(bank_query(bank, "select id from person")) == (0 if table == "person" else 1)


def test_a_table_dropped_while_connected_is_a_one_line_error(bank: FaceBank) -> None:
    def drop_a_table() -> None:
        with bank.connect() as session:
            session.conn.execute("drop table person cascade")
            session.conn.execute("select id from person")

    with pytest.raises(SetupError, match=r'relation "person" does not exist.*run: trr db upgrade'):
        drop_a_table()


def test_a_person_table_of_other_software_is_not_changed(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as conn:
        conn.execute("create table person (name text)")
    assert 'holds a table "person" that is not ours' in refusal(FaceBank(SecretStr(empty_database_url)))
    with pytest.raises(SetupError, match="give another database in SCREENALYTICS_DB_URL"):
        FACE_BANK.upgrade(empty_database_url)


def test_it_can_share_a_database_with_the_catalogue(database_url: str) -> None:
    assert FACE_BANK.upgrade(database_url) == (None, FACE_BANK.head)


def test_an_unreachable_database_is_a_one_line_error_without_its_password() -> None:
    message = refusal(FaceBank(SecretStr("postgresql://u:hunter2@127.0.0.1:1/x")))
    assert message.startswith("cannot reach the Screenalytics database: ")
    assert "hunter2" not in message


PERSON = "insert into person (id) values ('00000000-0000-0000-0000-000000000001')"
IMAGE = (
    "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height, source,"
    " caption, is_seed) select id, id, id, 'u', repeat('0', 64), 1, 1, '', '', true from person"
)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (IMAGE, "face_bank_images_person_id_media_asset_id_key"),
        ("update face_bank_images set approved = true", "face_bank_images_verdict_has_author"),
        (
            "update face_bank_images set approved = true, rejected = true, reviewed_by = 'a', reviewed_at = now()",
            "face_bank_images_one_verdict",
        ),
        ("update person set outcome = 'perhaps'", "person_"),
    ],
)
def test_constraints_reject_invalid_rows_of_the_face_bank(bank: FaceBank, statement: str, constraint: str) -> None:
    bank_query(bank, PERSON)
    bank_query(bank, IMAGE)
    with pytest.raises(psycopg.errors.IntegrityError) as caught:
        bank_query(bank, statement)
    assert constraint in (caught.value.diag.constraint_name or "")
