"""Reports on a person in the face bank: figures, a contact sheet of faces, and checks."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.imaging.contact_sheet import contact_sheet
from trr_pipelines.screenalytics.bank import FaceBank, queries
from trr_pipelines.screenalytics.client import BackendClient

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
    with bank.connect() as conn:
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
    with bank.connect() as conn:
        broken = [dict(row) for row in queries.duplicates(conn, person_id=person_id)]
        return FaceBankFinding(queries.figures(conn, person_id=person_id)["images"], broken, {})


def approvals_untouched(bank: FaceBank, person_id: UUID) -> FaceBankFinding:
    """The last import changed no review."""
    with bank.connect() as conn:
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
    listed = {photo.media_asset_id: photo.sha256 for page in backend.photos(person_id, seed_only=True)
              for photo in page.photos}  # fmt: skip
    with bank.connect() as conn:
        stored = {row["media_asset_id"] for row in queries.seeds(conn, person_id=person_id)}
        excluded = list(queries.excluded(conn, person_id=person_id))
    hashes = {row["sha256"] for row in excluded}
    ids = {row["media_asset_id"] for row in excluded}
    expected = {photo for photo, sha256 in listed.items() if photo not in ids and sha256 not in hashes}
    broken = [{"photo": str(photo), "problem": "flagged in the backend only"} for photo in sorted(expected - stored)]
    broken += [{"photo": str(photo), "problem": "a seed in the face bank only"} for photo in sorted(stored - expected)]
    return FaceBankFinding(len(expected | stored), broken, {"backend_seeds": len(listed), "seeds": len(stored)})
