"""Types of parameters that several routes share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import StringConstraints

# PostgreSQL's text type cannot store NUL.
_NO_NUL = r"^[^\x00]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL)]
"""An id, a slug, a tag, a source."""

Line = Annotated[str, StringConstraints(max_length=200, pattern=_NO_NUL)]
"""A search text."""

PageSize = Annotated[int, Query(ge=1, le=200, description="items in a page")]


def id_or_slug(given: str) -> UUID | str:
    """`given` as a UUID if it has that form (five groups), else unchanged, as it may be a slug."""
    if len(given) != 36:
        return given
    try:
        return UUID(given)
    except ValueError:
        return given
