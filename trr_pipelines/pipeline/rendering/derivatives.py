"""Rendering the derivatives that photos lack: one decode per photo, objects stored before rows are written.

Recipes are in `imaging.recipes`; `compute` decides where rendering runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from trr_pipelines.catalogue import ledger, photos, retention
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Kind, Scope, StaleResultError
from trr_pipelines.catalogue.photos import NO_CROP, CropRow, DecodedInfo, Photo, Variant
from trr_pipelines.compute.cluster import ClusterRenderer
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.compute.renderer import LocalRenderer, OriginalRef, RenderedPhoto, Renderer
from trr_pipelines.foreign_text import shown_url
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.geometry import Crop, CropMode
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown.late_objects import discard_late_objects
from trr_pipelines.pipeline.worker import PhotoOutcome, Tally, Work, work_through
from trr_pipelines.settings import Settings
from trr_pipelines.storage.keys import crop_key, variant_key
from trr_pipelines.storage.store import PutObject

AUTO_AUTHOR = "auto"
CROP_KEYS = frozenset(target.key for target in CROP.targets)
# Niceness of render processes of the background lane: live work gets nearly all of the CPU.
BACKGROUND_NICENESS = 19


@dataclass(frozen=True)
class Outputs:
    """Which outputs a run makes: base variants, proposed crops for photos without one, crop variants."""

    base: bool = True
    auto_crops: bool = True
    crops: bool = True

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The corresponding kinds of work in the ledger."""
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
    """Render the sets that photos of the scope lack, or that an older recipe made.

    Each photo is decoded once for all its outputs. `claimed` is work that the run has leased already; `in_background`
    renders in niced processes. Returns when every photo has its sets or has failed.
    """
    if outputs.base:
        archive.database.run(lambda conn: ledger.reopen_outdated(conn, scope, "base", BASE.fingerprint))
    if outputs.crops:
        archive.database.run(lambda conn: ledger.reopen_outdated(conn, scope, "crop", CROP.fingerprint))
    with _renderer(archive, pool, in_background=in_background) as renderer:
        work = Work(
            archive.database,
            scope,
            outputs.kinds,
            run_id,
            renderer.threads,
            renderer.concurrency,
            renderer.cancel,
            propose_crops=outputs.auto_crops,
        )
        return work_through(work, _PhotoHandler(archive, renderer, run_id), claimed=claimed)


@contextmanager
def _renderer(archive: Archive, pool: RenderPool | None, *, in_background: bool) -> Iterator[Renderer]:
    """The given pool, the cluster of the settings, or processes of this machine.

    There is no fallback: a cluster that cannot be reached is an error.
    """
    settings = archive.settings
    if pool is not None:
        yield LocalRenderer(archive.store, pool)
    elif settings.dask_address:
        with ClusterRenderer(settings.dask_address, settings.store_url, in_background=in_background) as cluster:
            yield cluster
    else:
        with own_pool(settings, in_background=in_background) as own:
            yield LocalRenderer(archive.store, own)


def own_pool(settings: Settings, *, in_background: bool) -> RenderPool:
    """A pool of render processes for one run, sized by the settings; niced when `in_background`."""
    if not in_background:
        return RenderPool(settings.render_processes or None)
    return RenderPool(settings.backfill_processes or settings.render_processes or None, niceness=BACKGROUND_NICENESS)


class _PhotoHandler:
    """Renders and records the missing sets of one photo."""

    def __init__(self, archive: Archive, renderer: Renderer, run_id: str) -> None:
        self._archive = archive
        self._renderer = renderer
        self._run_id = run_id

    def __call__(self, photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        kinds = {claim.kind for claim in claims}
        assert photo.hosted_key is not None
        assert photo.sha256 is not None
        name = f"{photo.id} ({shown_url(photo.source_url)})"
        source = OriginalRef(name, photo.hosted_key, photo.sha256, photo.external_bucket)
        request = RenderRequest(
            base=BASE if "base" in kinds else None,
            crop_recipe=CROP if "crop" in kinds else None,
            crop=_crop_of(photo),
        )
        return self._record(photo, claims, self._renderer.render(source, request))

    def _record(self, photo: Photo, claims: Sequence[Claim], result: RenderedPhoto) -> PhotoOutcome:
        """Store the objects, then write all rows of the photo in one transaction."""
        rendered = result.summary
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
        for variant, stored in zip(rendered.variants, result.store(keys), strict=True):
            row = self._row(variant, stored)
            sets["crop" if variant.variant_key in CROP_KEYS else "base"].append(row)
            created += [row] * stored.created

        def write_rows(conn: Connection) -> int:
            written = 0
            for claim in claims:
                written += self._record_set(conn, photo, claim, crop, rendered, sets[claim.kind])
            photos.mark_rendered(conn, photo.id, _decoded_info(rendered))
            return written

        try:
            rows_written = self._archive.database.run(write_rows)
        except StaleResultError:
            discard_late_objects(self._archive, photo.id, keys)
            raise
        return PhotoOutcome(
            rows_written=rows_written,
            objects_written=len(created),
            bytes_read=photo.bytes or 0,
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

    def _row(self, variant: RenderedVariant, stored: PutObject) -> Variant:
        """The row of a variant, with the size and hash of the stored object."""
        return Variant(
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


def _crop_of(photo: Photo) -> Crop | None:
    """The photo's active crop as a value of `imaging`."""
    if photo.crop is None:
        return None
    return Crop(cast(CropMode, photo.crop.mode), photo.crop.x, photo.crop.y, photo.crop.zoom)


def _decoded_info(rendered: Rendered) -> DecodedInfo:
    return DecodedInfo(
        rendered.source.width,
        rendered.source.height,
        rendered.source.frames,
        rendered.placeholder,
        rendered.dominant_color,
        rendered.warnings,
        rendered.unfit,
    )
