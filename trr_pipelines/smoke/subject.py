"""The person a smoke tests with: one with served photos, without seeds, and with as few photos as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.smoke.clients import SmokeBackend, StepError

PAGES = 20


@dataclass(frozen=True)
class Subject:
    """The test person, their slug, and the link that is flagged temporarily."""

    person_id: UUID
    slug: str
    link_id: UUID


def find_subject(backend: SmokeBackend, person: str, *, may_have_seeds: bool) -> Subject:
    """The given person (id or slug), or a suitable one when `person` is empty. Raises StepError if none is suitable.

    A full smoke needs a person without seeds: it imports photos of that person and removes them afterwards, so one with
    few photos is best.
    """
    candidates = [backend.read(f"people/{person}")] if person else _people(backend)
    suitable = [
        candidate
        for candidate in candidates
        if candidate["counts"]["total"] and (may_have_seeds or not candidate["counts"]["facebank_seeds"])
    ]
    for candidate in sorted(suitable, key=lambda candidate: candidate["counts"]["total"])[:PAGES]:
        person_id = UUID(candidate["id"])
        photos = backend.photos(person_id, seed_only=False)
        if photos:
            return Subject(person_id, candidate["slug"], UUID(photos[0]["link_id"]))
    needs = "served photos" if may_have_seeds else "served photos and no seeds"
    raise StepError(f"person {person} needs {needs}" if person else f"no person with {needs}; give --person")


def _people(backend: SmokeBackend) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = []
    cursor = None
    for _ in range(PAGES):
        page = backend.read("people", limit=200, **({} if cursor is None else {"cursor": cursor}))
        people += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return people
