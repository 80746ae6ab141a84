"""The face bank's schema: its database, migrations and required tables."""

from __future__ import annotations

from pathlib import Path

from trr_pipelines.schema_migrations import Schema

FACE_BANK = Schema(
    name="face bank",
    namespace="public",
    version_table="face_bank_version",
    migrations=Path(__file__).parent / "migrations",
    setting="SCREENALYTICS_DB_URL",
    lock=7_460_222,
    relations=("person", "face_bank_images", "face_exclusions", "face_bank_tickets", "face_bank_removals"),
    one_transaction=True,
)

BESIDE = Schema(
    name="face bank",
    namespace="trr_face_bank",
    version_table="version",
    migrations=Path(__file__).parent / "beside" / "migrations",
    setting="SCREENALYTICS_DB_URL",
    lock=7_460_224,
    relations=("person", "faces", "reviews", "face_exclusions", "face_bank_tickets", "face_bank_removals"),
    one_transaction=True,
)
