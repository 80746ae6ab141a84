"""Mirroring originals: fetch, inspect the header, store unchanged under the hash, register.

An external original is not fetched: it is read where another program has it, and registered there; nothing is stored.
Bytes that another photo already has make this one a duplicate: its links move to that photo, and it is deleted.
A photo that has an original is fetched again when its bytes failed: a corrected file becomes a new version; without one
the photo keeps its bytes. Nothing is decoded here beyond the header.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from trr_pipelines.catalogue import crops, ledger, photos, retention, takedowns
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Scope, StaleResultError
from trr_pipelines.catalogue.photos import Original, Photo, Place
from trr_pipelines.errors import HostBusyError, MediaError, Reason, RetryableError, TakenDownError
from trr_pipelines.foreign_text import shown_url
from trr_pipelines.imaging.decode import MAX_BYTES, SourceInfo, inspect
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.pipeline import foreign_objects
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.fetching import Fetcher, read_local
from trr_pipelines.pipeline.imports.hosts import PATIENCE_SECONDS, SharedTurns
from trr_pipelines.pipeline.imports.importing import local_path
from trr_pipelines.pipeline.imports.versions import put_original
from trr_pipelines.pipeline.takedown.late_objects import forbid_late_original
from trr_pipelines.pipeline.worker import PhotoOutcome, Tally, Work, work_through
from trr_pipelines.storage.keys import original_key
from trr_pipelines.storage.store import ObjectStore, PutObject, public_url, put_exactly

logger = logging.getLogger(__name__)

# Fetching is bound by the network; each thread may hold one original of 50 MB, and a run has 600 MB.
FETCH_THREADS = 4
# A host that asks for short waits, again and again, does not hold a run for longer than this for each photo.
MOST_WAITED_SECONDS = 60.0


def mirror_originals(archive: Archive, scope: Scope, run_id: str) -> Tally:
    """Fetch and register every due original of the scope.

    Returns when each photo has its original or has failed with a reason.
    """
    with Fetcher(allow=archive.settings.fetch_allow_networks, turns=SharedTurns(archive.database)) as fetcher:
        work = Work(archive.database, scope, ("original",), run_id, FETCH_THREADS)
        return work_through(work, _Mirror(archive, fetcher, run_id))


def store_original(archive: Archive, data: bytes, place: Place | None = None) -> tuple[Original, bool]:
    """Store an original unchanged under its hash; returns its record, and whether the object was written.

    A damaged object at its key is rewritten, unless the bucket is shared. Bytes that are at `place`, or that a photo
    has as its external original, are not stored. Raises PermanentError for bytes that are not a supported image,
    TakenDownError for bytes that were taken down, and RetryableError for a key at which another program may have put
    other bytes.
    """
    info = inspect(data)
    file_type = FILE_TYPES[info.format]
    sha256 = hashlib.sha256(data).hexdigest()
    own_key = original_key(sha256, file_type.extension)

    def prepare(conn: Connection) -> tuple[Place | None, bool, bool]:
        if takedowns.content_is_taken_down(conn, sha256):
            raise TakenDownError(takedowns.TAKEN_DOWN)
        found = place or photos.place_of_bytes(conn, sha256, archive.store.bucket)
        if found is not None and found.is_external:
            return found, False, False
        was_retired = retention.revive(conn, archive.store.bucket, [own_key if found is None else found.hosted_key]) > 0
        return found, found is not None or was_retired, foreign_objects.is_shared(archive, conn)

    found, is_ours, is_shared = archive.database.run(prepare)
    if found is not None and found.is_external:
        return _record(data, info, sha256, found), False
    key = own_key if found is None else found.hosted_key
    put = _put_beside if is_shared else put_exactly
    stored = put(archive.store, key, data, content_type=file_type.content_type, sha256=sha256)
    is_theirs = is_shared and not is_ours and not stored.created
    own = Place(archive.store.bucket, key, archive.store.public_url(key), is_external=is_theirs)
    return _record(data, info, sha256, own), stored.created


def _put_beside(store: ObjectStore, key: str, data: bytes, *, content_type: str, sha256: str) -> PutObject:
    """Store an original in a shared bucket, where no object is rewritten: another program may have put it there."""
    stored = store.put_if_absent(key, data, content_type=content_type, sha256=sha256)
    if not stored.holds(len(data), sha256):
        raise RetryableError(
            Reason.STORAGE_DENIED,
            f"{key} has {stored.bytes} bytes with sha256 {stored.sha256}, and another program may have put them there:"
            " it is not overwritten",
        )
    return stored


def _record(data: bytes, info: SourceInfo, sha256: str, place: Place) -> Original:
    return Original(
        sha256=sha256,
        bytes=len(data),
        width=info.width,
        height=info.height,
        format=info.format,
        frames=info.frames,
        **asdict(place),
    )


class _Mirror:
    """Mirrors and records the original of one photo."""

    def __init__(self, archive: Archive, fetcher: Fetcher, run_id: str) -> None:
        self._archive = archive
        self._fetcher = fetcher
        self._run_id = run_id

    def __call__(self, photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        (claim,) = claims
        original: Original | None = None
        try:
            data, place = self._read(photo)
            original, is_new = store_original(self._archive, data, place)
            kept = self._archive.database.run(lambda conn: self._register(conn, claim, original))
        except TakenDownError:
            self._reject(claim, original)
            return PhotoOutcome("taken_down", bytes_read=len(data))
        except MediaError as error:
            if photo.sha256 is None or photo.external_bucket or _may_pass(error):
                raise
            logger.warning("photo %s (%s) keeps its original: %s", photo.id, shown_url(photo.source_url), error)
            self._archive.database.run(lambda conn: self._keep(conn, claim))
            return PhotoOutcome()
        except StaleResultError:
            if original is not None:
                forbid_late_original(self._archive, photo.id, original)
            raise
        return PhotoOutcome(
            "complete" if kept else "duplicate",
            objects_written=int(is_new),
            bytes_read=len(data),
            bytes_written=original.bytes if is_new else 0,
        )

    def _read(self, photo: Photo) -> tuple[bytes, Place | None]:
        """The bytes of a photo's original; with its place, if another program has it."""
        if not photo.external_bucket or not photo.hosted_key:
            return self._fetch(photo.source_url), None
        bucket, key = photo.external_bucket, photo.hosted_key
        url = photo.hosted_url or public_url(self._archive.settings.base_url, key)
        data = self._archive.store.get_external(bucket, key, max_bytes=MAX_BYTES)
        return data, Place(bucket, key, url, is_external=True)

    def _fetch(self, location: str) -> bytes:
        if location.startswith("file:"):
            return read_local(local_path(location))
        began = time.monotonic()
        while True:
            try:
                return self._fetcher.fetch(location).data
            except HostBusyError as busy:
                waited = time.monotonic() - began
                if busy.wait_seconds > PATIENCE_SECONDS or waited > MOST_WAITED_SECONDS:
                    raise

    def _register(self, conn: Connection, claim: Claim, original: Original) -> bool:
        """Record the original; False when the photo was a duplicate."""
        ledger.complete(conn, claim, self._run_id)
        photos.hold_bytes(conn, original.sha256)
        if takedowns.content_is_taken_down(conn, original.sha256):
            raise TakenDownError(takedowns.TAKEN_DOWN)
        before = crops.lock_photo(conn, claim.photo_id)
        if before is not None and before.sha256 is not None:
            return self._register_again(conn, claim.photo_id, before.sha256, original)
        kept = photos.register_original(conn, claim.photo_id, original)
        ledger.open_derivatives(conn, kept)
        return kept == claim.photo_id

    def _register_again(self, conn: Connection, photo_id: UUID, before: str, original: Original) -> bool:
        """Record what the source delivers for a photo that has an original; False when the photo was a duplicate.

        A photo with anything to show is never a duplicate: it keeps its original, crops and address. Except with an
        external original: its earlier bytes are gone.
        """
        holder = photos.photo_with_bytes(conn, original.sha256)
        is_in_place = original.is_external
        if holder not in (None, photo_id) and (is_in_place or not photos.has_base_set(conn, photo_id)):
            return photos.register_original(conn, photo_id, original) == photo_id
        if holder in (None, photo_id) and original.sha256 != before:
            put_original(conn, photo_id, original, author="import")
        elif is_in_place:
            photos.set_original(conn, photo_id, original, author="import")
        ledger.ask_for_derivatives(conn, photo_id)
        return True

    def _keep(self, conn: Connection, claim: Claim) -> None:
        """End the work with the original that the photo has; what failed is rendered again from it."""
        ledger.complete(conn, claim, self._run_id)
        ledger.ask_for_derivatives(conn, claim.photo_id)

    def _reject(self, claim: Claim, original: Original | None) -> None:
        """Delete a photo whose bytes were taken down; its import rows keep the reason."""

        def reject(conn: Connection) -> None:
            ledger.complete(conn, claim, self._run_id)
            takedowns.reject_photo(conn, claim.photo_id)

        self._archive.database.run(reject)
        if original is not None and not original.is_external:  # taken down while this run stored them
            self._archive.store.delete([original.hosted_key])


def _may_pass(error: MediaError) -> bool:
    """Whether a later fetch may succeed without any change at the source."""
    lasting = (Reason.FETCH_NOT_FOUND, Reason.FETCH_FORBIDDEN)
    return isinstance(error, RetryableError) and error.reason not in lasting
