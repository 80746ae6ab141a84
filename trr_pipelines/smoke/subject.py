"""Whom a smoke tries things on: a person without seeds who has photos, as few as there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.smoke.clients import SmokeBackend, StepError

PAGES = 20


@dataclass(frozen=True)
class Subject:
    """A person, their slug, and the link that is flagged for a moment."""

    person_id: UUID
    slug: str
    link_id: UUID


def find_subject(backend: SmokeBackend, person: str, *, may_have_seeds: bool) -> Subject:
    """The person who was named (id or slug), or one that fits. Raises StepError where nobody does.

    A smoke that changes something needs somebody without seeds: importing everybody's photos is undone afterwards, and
    then it matters how many there are.
    """
    candidates = [backend.read(f"people/{person}")] if person else _people(backend)
    fitting = [
        one for one in candidates if one["counts"]["total"] and (may_have_seeds or not one["counts"]["facebank_seeds"])
    ]
    for one in sorted(fitting, key=lambda one: one["counts"]["total"])[:PAGES]:
        person_id = UUID(one["id"])
        photos = backend.photos(person_id, seed_only=False)
        if photos:
            return Subject(person_id, one["slug"], UUID(photos[0]["link_id"]))
    wanted = "with" if may_have_seeds else "without seeds and with"
    raise StepError(f"nobody {wanted} photos that are served" + (f" is {person}" if person else "; give --person"))


def _people(backend: SmokeBackend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    for _ in range(PAGES):
        page = backend.read("people", limit=200, **({} if cursor is None else {"cursor": cursor}))
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return found
