"""Quality of the photos in the face bank: assessed once per photo, recorded, never enforced.

Measurements are made in `imaging.face_quality`; here they become a reason, which reviewers see beside the photo.
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
from trr_pipelines.screenalytics.bank import FaceBank, Session

# 200 photos take about half a minute; the next import assesses the rest.
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
    """The main problem of a photo: the first that applies, in this order. FINE: none."""

    UNREADABLE = "unreadable"
    TOO_SMALL = "too_small"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    BLURRED = "blurred"
    FINE = ""


@dataclass(frozen=True)
class QualityResult:
    """Number of photos assessed, and of photos that could not be fetched."""

    photos: int
    unreachable: int


def reason_for(measured: FaceQuality, *, width: int, height: int) -> QualityReason:
    """The main problem of a photo of this size in pixels."""
    if min(width, height) < SMALLEST_SIDE:
        return QualityReason.TOO_SMALL
    if not measured.faces:
        return QualityReason.NO_FACE
    if measured.faces > 1:
        return QualityReason.SEVERAL_FACES
    if measured.face_share * max(width, height) < SMALLEST_FACE:
        return QualityReason.TOO_SMALL
    return QualityReason.BLURRED if measured.sharpness < LEAST_SHARPNESS else QualityReason.FINE


def check_new_photos(
    bank: FaceBank, person_id: UUID, *, limit: int = PHOTOS_PER_LOOK, pool: RenderPool | None = None
) -> QualityResult:
    """Assess photos of a person whose current bytes were not assessed yet, seeds first; idempotent.

    Photos that cannot be fetched are left for the next call. Only one photo is in memory at a time.
    """
    with bank.connect() as session, ExitStack() as stack:
        waiting = list(session.queries.to_look_at(session.conn, person_id=person_id, limit=limit))
        if not waiting:
            return QualityResult(0, 0)
        renderers = pool or stack.enter_context(RenderPool(1))
        http = stack.enter_context(httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False))
        assessed = sum(_assess(session, http, renderers, row) for row in waiting)
    return QualityResult(assessed, len(waiting) - assessed)


def _assess(session: Session, http: httpx.Client, pool: RenderPool, row: Mapping[str, Any]) -> bool:
    """Fetch, measure and record one photo; False if it could not be fetched."""
    data = _fetch(http, row["served_url"], row["sha256"])
    if data is None:
        return False
    measured: FaceQuality | None = None
    reason = QualityReason.UNREADABLE
    try:
        rendered = pool.render(data, _SMALL, name=f"photo {row['id']}")
        (small,) = rendered.variants
        measured = examine(small.data)
        width, height = row["width"] or rendered.source.width, row["height"] or rendered.source.height
        reason = reason_for(measured, width=width, height=height)
    except PermanentError:
        pass  # recorded as UNREADABLE
    except RetryableError:
        return False
    session.queries.record_quality(
        session.conn,
        id=row["id"],
        listed_sha256=row["sha256"],
        sha256=hashlib.sha256(data).hexdigest(),
        reason=str(reason),
        sharpness=measured and measured.sharpness,
        faces=measured and measured.faces,
        preview=measured and measured.preview,
    )
    return True


def _fetch(http: httpx.Client, url: str, sha256: str | None) -> bytes | None:
    """The bytes at `url`, if they have the hash that the backend listed; None otherwise."""
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
    return bytes(body) if sha256 in (None, hashlib.sha256(body).hexdigest()) else None
