"""Rendering: every derivative that a photo lacks, from one decode, stored first and recorded after.

What a derivative is stands in the recipes of `imaging`; in which process it is made, in `compute`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from trr_pipelines.catalogue import ledger, photos, retention
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Kind, Scope, StaleResultError
from trr_pipelines.catalogue.photos import NO_CROP, CropRow, Looks, Photo, Variant
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import Reason, RetryableError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.geometry import Crop, CropMode
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown import discard_late_objects
from trr_pipelines.pipeline.work import Outcome, Tally, Work, work_through
from trr_pipelines.settings import Settings
from trr_pipelines.storage.keys import crop_key, variant_key

AUTO_AUTHOR = "auto"
CROP_KEYS = frozenset(target.key for target in CROP.targets)
# While one photo is rendered, others are read from the store and written to it.
IO_THREADS = 2
# Render processes of a backfill: whoever else wants the CPU gets nearly all of it.
BACKGROUND_NICENESS = 19


@dataclass(frozen=True)
class Outputs:
    """Which outputs a run makes: base variants, proposals for photos that have no crop, crop variants."""

    base: bool = True
    auto_crops: bool = True
    crops: bool = True

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of work in the ledger that this means."""
        kinds: tuple[tuple[bool, Kind], ...] = ((self.base, "base"), (self.auto_crops or self.crops, "crop"))
        return tuple(kind for is_wanted, kind in kinds if is_wanted)


def render_photos(
    archive: Archive,
    scope: Scope,
    run_id: str,
    outputs: Outputs = Outputs(),
    *,
    pool: RenderPool | None = None,
    claimed: Sequence[Claim] = (),
    in_background: bool = False,
) -> Tally:
    """Render whatever the photos of the scope lack, and sets of an older recipe anew.

    Each photo is decoded once for all its outputs. `claimed` is work that the run holds already; `in_background` has
    it rendered by processes that leave the CPU to others. Returns when every photo has its sets or has failed.
    """
    if outputs.base:
        archive.database.run(lambda conn: ledger.reopen_outdated(conn, scope, "base", BASE.fingerprint))
    if outputs.crops:
        archive.database.run(lambda conn: ledger.reopen_outdated(conn, scope, "crop", CROP.fingerprint))
    if pool is None:
        with own_pool(archive.settings, in_background=in_background) as own:
            return render_photos(archive, scope, run_id, outputs, pool=own, claimed=claimed)
    work = Work(
        archive.database,
        scope,
        outputs.kinds,
        run_id,
        pool.workers + IO_THREADS,
        propose_crops=outputs.auto_crops,
    )
    return work_through(work, _Renderer(archive, pool, run_id), claimed=claimed)


def own_pool(settings: Settings, *, in_background: bool) -> RenderPool:
    """Render processes for one run, as many as the settings say; `in_background` ones leave the CPU to others."""
    if not in_background:
        return RenderPool(settings.render_processes or None)
    return RenderPool(settings.backfill_processes or settings.render_processes or None, niceness=BACKGROUND_NICENESS)


class _Renderer:
    """One photo's missing sets, from its original to their rows."""

    def __init__(self, archive: Archive, pool: RenderPool, run_id: str) -> None:
        self._archive = archive
        self._pool = pool
        self._run_id = run_id

    def __call__(self, photo: Photo, claims: Sequence[Claim]) -> Outcome:
        kinds = {claim.kind for claim in claims}
        data = self._original(photo)
        request = RenderRequest(
            base=BASE if "base" in kinds else None,
            crop_recipe=CROP if "crop" in kinds else None,
            crop=_crop_of(photo),
        )
        rendered = self._pool.render(data, request, name=f"{photo.id} ({photo.source_url})")
        return self._keep(photo, claims, rendered, len(data))

    def _original(self, photo: Photo) -> bytes:
        """The original as it was mirrored. Raises RetryableError when the store gives other bytes back."""
        assert photo.hosted_key is not None
        data = self._archive.store.get(photo.hosted_key, max_bytes=MAX_BYTES)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 != photo.sha256:
            raise RetryableError(
                Reason.STORAGE_UNAVAILABLE, f"{photo.hosted_key} is damaged: sha256 {sha256} instead of {photo.sha256}"
            )
        return data

    def _keep(self, photo: Photo, claims: Sequence[Claim], rendered: Rendered, bytes_read: int) -> Outcome:
        """Objects first, then rows, all of a photo in one transaction."""
        assert photo.sha256 is not None
        crop = photo.crop
        if rendered.crop is not None and crop is None:
            crop = CropRow(
                rendered.crop.mode,
                rendered.crop.x,
                rendered.crop.y,
                rendered.crop.zoom,
                crop_signature(rendered.crop, photo.sha256),
            )
        keys = [self._key(photo, variant, crop) for variant in rendered.variants]
        self._archive.database.run(lambda conn: retention.revive(conn, self._archive.store.bucket, keys))
        sets: dict[str, list[Variant]] = {"base": [], "crop": []}
        created: list[Variant] = []
        for variant, key in zip(rendered.variants, keys, strict=True):
            stored, is_new = self._store(variant, key)
            sets["crop" if variant.variant_key in CROP_KEYS else "base"].append(stored)
            created += [stored] * is_new

        def record(conn: Connection) -> int:
            written = 0
            for claim in claims:
                written += self._record_set(conn, photo, claim, crop, rendered, sets[claim.kind])
            photos.mark_rendered(conn, photo.id, _looks(rendered))
            return written

        try:
            rows_written = self._archive.database.run(record)
        except StaleResultError:
            discard_late_objects(self._archive, photo.id, keys)
            raise
        return Outcome(
            rows_written=rows_written,
            objects_written=len(created),
            bytes_read=bytes_read,
            bytes_written=sum(variant.bytes for variant in created),
        )

    def _record_set(
        self,
        conn: Connection,
        photo: Photo,
        claim: Claim,
        crop: CropRow | None,
        rendered: Rendered,
        variants: Sequence[Variant],
    ) -> int:
        assert photo.sha256 is not None
        if claim.kind == "base":
            ledger.complete(conn, claim, self._run_id, recipe=BASE.fingerprint)
            return photos.replace_set(
                conn, photo.id, variants, recipe=BASE.fingerprint, source_version=photo.sha256, crop=NO_CROP
            )
        assert crop is not None
        ledger.complete(conn, claim, self._run_id, recipe=CROP.fingerprint, signature=crop.signature)
        if photo.crop is None:
            photos.add_crop(
                conn,
                photo.id,
                crop,
                source_version=photo.sha256,
                reason=rendered.crop_reason,
                author=AUTO_AUTHOR,
            )
        return photos.replace_set(
            conn, photo.id, variants, recipe=CROP.fingerprint, source_version=photo.sha256, crop=crop
        )

    def _key(self, photo: Photo, variant: RenderedVariant, crop: CropRow | None) -> str:
        assert photo.sha256 is not None
        extension = FILE_TYPES[variant.format].extension
        if variant.variant_key not in CROP_KEYS:
            return variant_key(photo.id, photo.sha256, BASE.fingerprint, variant.variant_key, extension)
        assert crop is not None
        return crop_key(photo.id, crop.signature, CROP.fingerprint, variant.variant_key, extension)

    def _store(self, variant: RenderedVariant, key: str) -> tuple[Variant, bool]:
        """The row for a variant, and whether its object was new. An object that stood there says what it is."""
        file_type = FILE_TYPES[variant.format]
        stored = self._archive.store.put_if_absent(
            key, variant.data, content_type=file_type.content_type, sha256=variant.sha256
        )
        row = Variant(
            variant.variant_key,
            variant.format,
            variant.width,
            variant.height,
            stored.bytes,
            stored.sha256,
            self._archive.store.bucket,
            stored.key,
            self._archive.store.public_url(stored.key),
        )
        return row, stored.created


def _crop_of(photo: Photo) -> Crop | None:
    """The photo's active crop as `imaging` knows it."""
    if photo.crop is None:
        return None
    return Crop(cast(CropMode, photo.crop.mode), photo.crop.x, photo.crop.y, photo.crop.zoom)


def _looks(rendered: Rendered) -> Looks:
    return Looks(
        rendered.source.width,
        rendered.source.height,
        rendered.source.frames,
        rendered.placeholder,
        rendered.dominant_color,
        rendered.warnings,
        rendered.unfit,
    )
