"""Mirroring originals: fetch, inspect the header, store unchanged under the hash, register.

Bytes that another photo already has make this one a duplicate: its links move to that photo, and it is deleted.
Nothing is decoded here beyond the header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from trr_pipelines.catalogue import ledger, photos, retention, takedowns
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Scope, StaleResultError
from trr_pipelines.catalogue.photos import Original, Photo
from trr_pipelines.errors import TakenDownError
from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.fetching import Fetcher, read_local
from trr_pipelines.pipeline.imports.importing import local_path
from trr_pipelines.pipeline.takedown.late_objects import forbid_late_original
from trr_pipelines.pipeline.worker import PhotoOutcome, Tally, Work, work_through
from trr_pipelines.storage.keys import original_key
from trr_pipelines.storage.store import put_exactly

# Fetching is bound by the network; each thread may hold one original of 50 MB, and a run has 600 MB.
FETCH_THREADS = 4


def mirror_originals(archive: Archive, scope: Scope, run_id: str) -> Tally:
    """Fetch and register every due original of the scope.

    Returns when each photo has its original or has failed with a reason.
    """
    with Fetcher(allow=archive.settings.fetch_allow_networks) as fetcher:
        work = Work(archive.database, scope, ("original",), run_id, FETCH_THREADS)
        return work_through(work, _Mirror(archive, fetcher, run_id))


def store_original(archive: Archive, data: bytes) -> tuple[Original, bool]:
    """Store an original unchanged under its hash; returns its record, and whether the object was written.

    A damaged object at its key is rewritten. Raises PermanentError for bytes that are not a supported image, and
    TakenDownError for bytes that were taken down.
    """
    info = inspect(data)
    file_type = FILE_TYPES[info.format]
    sha256 = hashlib.sha256(data).hexdigest()
    key = original_key(sha256, file_type.extension)

    def prepare(conn: Connection) -> None:
        if takedowns.content_is_taken_down(conn, sha256):
            raise TakenDownError(takedowns.TAKEN_DOWN)
        retention.revive(conn, archive.store.bucket, [key])

    archive.database.run(prepare)
    stored = put_exactly(archive.store, key, data, content_type=file_type.content_type, sha256=sha256)
    original = Original(
        sha256=sha256,
        bytes=stored.bytes,
        width=info.width,
        height=info.height,
        format=info.format,
        frames=info.frames,
        hosted_bucket=archive.store.bucket,
        hosted_key=key,
        hosted_url=archive.store.public_url(key),
    )
    return original, stored.created


class _Mirror:
    """Mirrors and records the original of one photo."""

    def __init__(self, archive: Archive, fetcher: Fetcher, run_id: str) -> None:
        self._archive = archive
        self._fetcher = fetcher
        self._run_id = run_id

    def __call__(self, photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        (claim,) = claims
        data = self._read(photo.source_url)
        original: Original | None = None
        try:
            original, is_new = store_original(self._archive, data)
            kept = self._archive.database.run(lambda conn: self._register(conn, claim, original))
        except TakenDownError:
            self._reject(claim, original)
            return PhotoOutcome("taken_down", bytes_read=len(data))
        except StaleResultError:
            if original is not None:
                forbid_late_original(self._archive, photo.id, original.sha256, original.hosted_key)
            raise
        return PhotoOutcome(
            "complete" if kept else "duplicate",
            objects_written=int(is_new),
            bytes_read=len(data),
            bytes_written=original.bytes if is_new else 0,
        )

    def _read(self, location: str) -> bytes:
        if location.startswith("file:"):
            return read_local(local_path(location))
        return self._fetcher.fetch(location).data

    def _register(self, conn: Connection, claim: Claim, original: Original) -> bool:
        """Record the original; False when the photo was a duplicate."""
        ledger.complete(conn, claim, self._run_id)
        photos.hold_bytes(conn, original.sha256)
        if takedowns.content_is_taken_down(conn, original.sha256):
            raise TakenDownError(takedowns.TAKEN_DOWN)
        kept = photos.register_original(conn, claim.photo_id, original)
        ledger.open_derivatives(conn, kept)
        return kept == claim.photo_id

    def _reject(self, claim: Claim, original: Original | None) -> None:
        """Delete a photo whose bytes were taken down; its import rows keep the reason."""

        def reject(conn: Connection) -> None:
            ledger.complete(conn, claim, self._run_id)
            takedowns.reject_photo(conn, claim.photo_id)

        self._archive.database.run(reject)
        if original is not None:  # taken down while this run stored them
            self._archive.store.delete([original.hosted_key])
