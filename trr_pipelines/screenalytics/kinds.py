"""The two kinds of face bank: tables of our own, or the application's table with a schema of ours beside it.

Which one a database has is decided by its columns. Imports are in `importing`, `own_table` and `application_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from psycopg.rows import DictRow

from trr_pipelines.errors import SetupError
from trr_pipelines.schema_migrations import Schema
from trr_pipelines.screenalytics.schema import BESIDE, FACE_BANK

Connection = psycopg.Connection[DictRow]

APPLICATION_TABLE = "screenalytics.face_bank_images"
_QUERIES = Path(__file__).parent / "queries"
# The columns of the application's table; a type where it matters to us.
_COLUMNS: Mapping[str, str | None] = {
    "image_id": "uuid",
    "person_id": "uuid",
    "media_asset_id": "uuid",
    "s3_original_key": "text",
    "s3_aligned_key": None,
    "s3_embedding_key": None,
    "quality_score": None,
    "is_seed": "boolean",
    "approved": "boolean",
    "approved_at": None,
    "approved_by": None,
    "created_at": "timestamp with time zone",
}
_OWN_COLUMNS = (
    "id",
    "person_id",
    "media_asset_id",
    "link_id",
    "served_url",
    "sha256",
    "is_seed",
    "approved",
    "rejected",
)


class Kind(StrEnum):
    """OWN: tables of ours in `public`. APPLICATION: the application's table, and our schema beside it."""

    OWN = "own"
    APPLICATION = "application"

    @property
    def schema(self) -> Schema:
        """The schema of our tables in such a database."""
        return BESIDE if self is Kind.APPLICATION else FACE_BANK


def _load(kind: Kind, images: str) -> Any:
    text = "\n".join((_QUERIES / name).read_text(encoding="utf-8") for name in ("bank.sql", f"{kind}_table.sql"))
    return aiosql.from_str(text.replace("{bank}", kind.schema.namespace).replace("{images}", images), "psycopg")


# Typed Any: the methods exist only once the files have been read.
QUERIES: Mapping[Kind, Any] = {
    Kind.OWN: _load(Kind.OWN, "public.face_bank_images"),
    Kind.APPLICATION: _load(
        Kind.APPLICATION, (_QUERIES / "application_images.sql").read_text(encoding="utf-8").strip()
    ),
}
_rights: Any = aiosql.from_path(_QUERIES / "application_rights.sql", "psycopg")


def kind_of(conn: psycopg.Connection[Any]) -> Kind:
    """The kind of face bank in a database; OWN for an empty one.

    Raises SetupError, naming the column, for a table of that name that has another shape.
    """
    name = conn.info.dbname
    with conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = {row["name"]: row["type"] for row in cursor.execute(_rights.columns.sql)}
        foreign = {row["name"] for row in cursor.execute(_rights.foreign_columns.sql)}
    if found:
        for column, type_ in _COLUMNS.items():
            what = _difference(column, type_, found)
            if what:
                raise SetupError(
                    f'database "{name}" (SCREENALYTICS_DB_URL): the table {APPLICATION_TABLE} {what}, so it is not '
                    "the application's face bank"
                )
        return Kind.APPLICATION
    for column in _OWN_COLUMNS:
        if foreign and column not in foreign:
            raise SetupError(
                f'database "{name}" (SCREENALYTICS_DB_URL): the table public.face_bank_images has no column '
                f'"{column}", so it is not ours; give another database'
            )
    return Kind.OWN


def _difference(column: str, type_: str | None, found: Mapping[str, str]) -> str:
    if column not in found:
        return f'has no column "{column}"'
    if type_ is not None and found[column] != type_:
        return f'has a column "{column}" of type {found[column]}, expected {type_}'
    return ""


def require_rights(conn: Connection) -> None:
    """Raise SetupError, with the remedy, if this role cannot read all rows of the application's table and add some, or
    cannot use our schema beside it."""
    schema, table = APPLICATION_TABLE.split(".")
    role = role_of(conn)
    missing = _missing(conn, schema, table, ["select", "insert"])
    if missing:
        raise SetupError(
            f'the role "{role}" of SCREENALYTICS_DB_URL lacks rights on {APPLICATION_TABLE}: {", ".join(missing)}; '
            f'its owner can run: grant usage on schema {schema} to "{role}"; grant select, insert, delete on '
            f'{APPLICATION_TABLE} to "{role}"'
        )
    if not _rights.sees_all_rows(conn, relation_schema=schema, relation=table):
        raise SetupError(blinded(role))
    unusable = [row["name"] for row in _rights.missing_beside(conn)]
    if unusable:
        ours = BESIDE.namespace
        raise SetupError(
            f'the role "{role}" of SCREENALYTICS_DB_URL lacks rights in the schema {ours} ({", ".join(unusable)}); its '
            f'owner can run: grant usage on schema {ours} to "{role}"; grant select, insert, update, delete on all '
            f'tables in schema {ours} to "{role}"; grant usage on all sequences in schema {ours} to "{role}"'
        )


def role_of(conn: Connection) -> str:
    """The role whose rights count in this session."""
    row = conn.execute("select current_user as name").fetchone()
    return "" if row is None else str(row["name"])


def blinded(role: str) -> str:
    """The message for a role that row-level security keeps from the application's table."""
    return (
        f'row-level security hides rows of {APPLICATION_TABLE} from the role "{role}" of SCREENALYTICS_DB_URL, which '
        f'would read as an empty face bank; connect as service_role, or: alter role "{role}" bypassrls'
    )


def is_readable(conn: Connection, schema: str, table: str) -> bool:
    """Whether this role can read every row of a table."""
    return bool(
        _rights.sees_all_rows(conn, relation_schema=schema, relation=table)
        and not _missing(conn, schema, table, ["select"])
    )


def _missing(conn: Connection, schema: str, table: str, rights: list[str]) -> list[str]:
    rows = _rights.missing_rights(conn, relation_schema=schema, relation=table, rights=rights)
    return sorted({row["missing"] for row in rows})
