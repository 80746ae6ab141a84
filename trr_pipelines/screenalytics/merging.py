"""What writing a list of photos into a face bank did; shared by both kinds of bank."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Merged:
    """Rows by what happened to them; `unflagged` ones are included in `updated`, `excluded` photos have no row."""

    inserted: int
    updated: int
    unchanged: int
    unflagged: int
    excluded: int
