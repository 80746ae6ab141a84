"""Takedowns recorded in the store, so that they outlive a catalogue that is restored from an older copy.

A record has ids and SHA-256 only, as the catalogue does.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Final
from uuid import UUID

from trr_pipelines.catalogue import takedowns
from trr_pipelines.catalogue.takedowns import Fingerprint, Record, RecordedTakedown
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.archive import Archive

FOLDER: Final = "takedowns"
ROWS_PER_RECORD: Final = 1_000


def record_takedowns(archive: Archive) -> None:
    """Record in the store what it does not have yet, and advance the epoch: earlier copies of the catalogue are older.

    Raises RetryableError when the store fails.
    """
    while record := archive.database.run(lambda conn: takedowns.unrecorded(conn, ROWS_PER_RECORD)):
        archive.store.put_record(f"{FOLDER}/{uuid.uuid4()}", json.dumps(asdict(record), default=str).encode())
        epochs.advance(archive)
        archive.database.run(lambda conn, record=record: takedowns.mark_recorded(conn, record))  # type: ignore[misc]


def recorded_takedowns(archive: Archive) -> Record:
    """Every takedown that the store has a record of. Raises RetryableError when the store fails."""
    taken: dict[UUID, RecordedTakedown] = {}
    fingerprints: set[Fingerprint] = set()
    for _, data in archive.store.records(FOLDER):
        record = json.loads(data)
        for one in record["takedowns"]:
            photo_id, people = UUID(one["media_asset_id"]), [UUID(person) for person in one["person_ids"]]
            taken[photo_id] = RecordedTakedown(photo_id, one["batch_key"], people)
        fingerprints |= {Fingerprint(**one) for one in record["fingerprints"]}
    return Record(list(taken.values()), sorted(fingerprints, key=lambda one: (one.kind, one.sha256)))
