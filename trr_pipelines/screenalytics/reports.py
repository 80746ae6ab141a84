"""Reports on a person in the face bank: figures, a contact sheet of faces, and checks."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.imaging.contact_sheet import contact_sheet
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.client import BackendClient
from trr_pipelines.screenalytics.kinds import Kind

SHEET_FACES = 40
SHEET_BYTES = 11_000  # 16 KB as a data URI


@dataclass(frozen=True)
class BankReport:
    """Figures of a person; `sheet` is a contact sheet as a data URI of at most 16 KB, or empty."""

    numbers: dict[str, int]
    quality: list[dict[str, Any]]
    sheet: str


@dataclass(frozen=True)
class FaceBankFinding:
    """Result of a check on a person's faces: how many were checked, and which violate it."""

    looked_at: int
    broken: list[dict[str, Any]]
    numbers: dict[str, int]


def person_report(bank: FaceBank, person_id: UUID) -> BankReport:
    """Figures and contact sheet of one person."""
    with bank.connect() as session:
        queries, conn = session.queries, session.conn
        numbers = dict(queries.figures(conn, person_id=person_id))
        quality = [
            {"reason": row["reason"] or "fine", "images": row["images"]}
            for row in queries.quality_reasons(conn, person_id=person_id)
        ]
        previews = [bytes(row["preview"]) for row in queries.previews(conn, person_id=person_id, limit=SHEET_FACES)]
    sheet = ""
    if previews:
        picture = contact_sheet(previews, cell=64, columns=8, max_bytes=SHEET_BYTES)
        sheet = f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
    return BankReport(numbers, quality, sheet)


def no_duplicate_faces(bank: FaceBank, person_id: UUID) -> FaceBankFinding:
    """No photo id and no content hash occurs twice for one person."""
    with bank.connect() as session:
        queries, conn = session.queries, session.conn
        broken = [dict(row) for row in queries.duplicates(conn, person_id=person_id)]
        return FaceBankFinding(queries.figures(conn, person_id=person_id)["images"], broken, {})


def approvals_untouched(bank: FaceBank, person_id: UUID) -> FaceBankFinding:
    """The last import changed no review."""
    with bank.connect() as session:
        queries, conn = session.queries, session.conn
        person = queries.person(conn, person_id=person_id)
        figures = queries.figures(conn, person_id=person_id)
    changed = person["reviews_changed"] if person is not None else 0
    broken = [{"person": str(person_id), "reviews changed": changed}] if changed else []
    return FaceBankFinding(
        figures["approved"] + figures["rejected"],
        broken,
        {"approved": figures["approved"], "rejected": figures["rejected"]},
    )


def seeds_match_backend(bank: FaceBank, backend: BackendClient, person_id: UUID) -> FaceBankFinding:
    """The seeds in the face bank are those the backend lists now, except excluded ones."""
    listed = backend.photos(person_id, seed_only=True).photos
    with bank.connect() as session:
        queries, conn = session.queries, session.conn
        stored = {row["media_asset_id"]: row["hosted_key"] for row in queries.seeds(conn, person_id=person_id)}
        excluded = list(queries.excluded(conn, person_id=person_id))
    left_out = {row[name] for row in excluded for name in ("media_asset_id", "sha256", "hosted_key")}
    expected = {
        photo.photo_id: photo.hosted_key
        for photo in listed
        if left_out.isdisjoint({photo.photo_id, photo.hosted_key, getattr(photo, "sha256", None)} - {None})
    }
    keys_stored, keys_expected = set(stored.values()) - {None}, set(expected.values())
    missing = {photo for photo, key in expected.items() if photo not in stored and key not in keys_stored}
    broken = [{"photo": str(photo), "problem": "flagged in the backend only"} for photo in sorted(missing)]
    left = {photo for photo, key in stored.items() if photo not in expected and key not in keys_expected}
    if session.kind is Kind.OWN or listed:
        # The application's rows are seeds for good: those of a person without seeds came by the fallback.
        broken += [{"photo": str(photo), "problem": "a seed in the face bank only"} for photo in sorted(left)]
    return FaceBankFinding(len(missing | set(stored)), broken, {"backend_seeds": len(listed), "seeds": len(stored)})
