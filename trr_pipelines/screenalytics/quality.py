"""Whether a photo in the face bank is fit to learn a face from: looked at once, recorded, and never enforced.

What is measured is `imaging.portrait`'s; here it becomes a reason, which reviewers see beside the photo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import httpx

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import PermanentError, RetryableError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.face_quality import SIDE, FaceQuality, examine
from trr_pipelines.imaging.recipes import Recipe, Target
from trr_pipelines.imaging.render import RenderRequest
from trr_pipelines.screenalytics.bank import Connection, FaceBank, queries

# 200 photos take about half a minute; the next import goes on with the rest.
PHOTOS_PER_LOOK = 200
TIMEOUT = httpx.Timeout(10.0, connect=5.0)

SMALLEST_SIDE = 160
SMALLEST_FACE = 64
# Of 60 photos reduced to 512 pixels the median is 92; blurred by a radius of 2.5 pixels it is 4, at most 31.
LEAST_SHARPNESS = 10.0

_SMALL = RenderRequest(
    base=Recipe("base", (Target("portrait", SIDE, None, 90),), formats=("webp",), transparent_formats=("webp",)),
    crop_recipe=None,
)


class QualityReason(StrEnum):
    """What speaks against a photo; the first that holds, in this order. FINE: nothing does."""

    UNREADABLE = "unreadable"
    TOO_SMALL = "too_small"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    BLURRED = "blurred"
    FINE = ""


@dataclass(frozen=True)
class QualityResult:
    """How many photos were looked at, and how many could not be fetched this time."""

    photos: int
    unreachable: int


def reason_for(portrait: FaceQuality, *, width: int, height: int) -> QualityReason:
    """What speaks against a photo of this size in pixels."""
    if min(width, height) < SMALLEST_SIDE:
        return QualityReason.TOO_SMALL
    if not portrait.faces:
        return QualityReason.NO_FACE
    if portrait.faces > 1:
        return QualityReason.SEVERAL_FACES
    if portrait.face_share * max(width, height) < SMALLEST_FACE:
        return QualityReason.TOO_SMALL
    return QualityReason.BLURRED if portrait.sharpness < LEAST_SHARPNESS else QualityReason.FINE


def look_at_new_photos(
    bank: FaceBank, person_id: UUID, *, limit: int = PHOTOS_PER_LOOK, pool: RenderPool | None = None
) -> QualityResult:
    """Look at photos of a person whose bytes nobody has looked at, seeds first; idempotent.

    A photo that cannot be fetched now is left for the next time. One at a time is in memory.
    """
    with bank.connect() as conn, ExitStack() as stack:
        waiting = list(queries.to_look_at(conn, person_id=person_id, limit=limit))
        if not waiting:
            return QualityResult(0, 0)
        renderers = pool or stack.enter_context(RenderPool(1))
        http = stack.enter_context(httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False))
        seen = sum(_look(conn, http, renderers, row) for row in waiting)
    return QualityResult(seen, len(waiting) - seen)


def _look(conn: Connection, http: httpx.Client, pool: RenderPool, row: Mapping[str, Any]) -> bool:
    """Whether the photo could be fetched; then what was seen is recorded."""
    data = _fetch(http, row["served_url"], row["sha256"])
    if data is None:
        return False
    portrait: FaceQuality | None = None
    reason = QualityReason.UNREADABLE
    try:
        (small,) = pool.render(data, _SMALL, name=f"photo {row['sha256']}").variants
        portrait = examine(small.data)
        reason = reason_for(portrait, width=row["width"], height=row["height"])
    except PermanentError:
        pass  # the reason says so
    except RetryableError:
        return False
    queries.record_quality(
        conn,
        id=row["id"],
        sha256=row["sha256"],
        reason=str(reason),
        sharpness=portrait and portrait.sharpness,
        faces=portrait and portrait.faces,
        preview=portrait and portrait.preview,
    )
    return True


def _fetch(http: httpx.Client, url: str, sha256: str) -> bytes | None:
    """The bytes of that hash; None when the address does not give them now."""
    body = bytearray()
    try:
        with http.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                return None
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    return None
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return bytes(body) if hashlib.sha256(body).hexdigest() == sha256 else None
