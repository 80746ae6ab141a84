"""Rendering the derivatives that photos lack: one decode per photo, objects stored before rows are written.

Recipes are in `imaging.recipes`; `compute` decides where rendering runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from trr_pipelines.catalogue import crops, ledger, photos, retention
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Kind, Scope, StaleResultError
from trr_pipelines.catalogue.photos import NO_CROP, CropRow, DecodedInfo, Photo, Variant
from trr_pipelines.compute.cluster import ClusterRenderer
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.compute.renderer import LocalRenderer, OriginalRef, RenderedPhoto, Renderer
from trr_pipelines.foreign_text import shown_url
from trr_pipelines.imaging.formats import WRITTEN_TYPES
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
# More crops of one photo are rendered by further requests, each with its own limits of time and memory.
CROPS_PER_REQUEST = 8
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


@dataclass(frozen=True)
class _Plan:
    """What to make of a photo: its base set, its crops.

    Of the wanted crops `missing` are rendered, and `standing` have a complete set already. With `proposes` a crop is
    proposed, and becomes the active one. `on_white` is for readers of the application.
    """

    base: bool
    crops: bool
    proposes: bool
    missing: tuple[CropRow, ...]
    standing: tuple[CropRow, ...]
    on_white: bool

    @classmethod
    def of(cls, photo: Photo, claims: Sequence[Claim]) -> _Plan:
        by_kind = {claim.kind: claim for claim in claims}
        crop_claim = by_kind.get("crop")
        if crop_claim is None:
            return cls("base" in by_kind, False, False, (), (), photo.is_published)
        complete = {
            one.signature for one in photo.crop_sets if one.recipe == CROP.fingerprint and one.keys == CROP_KEYS
        }
        standing = () if crop_claim.is_asked else complete
        return cls(
            "base" in by_kind,
            True,
            photo.crop is None and photo.proposes_crop,
            tuple(crop for crop in photo.wanted_crops if crop.signature not in standing),
            tuple(crop for crop in photo.wanted_crops if crop.signature in standing),
            photo.is_published,
        )

    def requests(self) -> list[RenderRequest]:
        """One request, several for a photo with many crops, no request when there is nothing to render."""
        crops = (*((None,) if self.proposes else ()), *(_crop_of(row) for row in self.missing))
        parts = [crops[at : at + CROPS_PER_REQUEST] for at in range(0, len(crops), CROPS_PER_REQUEST)] or [()]
        return [
            RenderRequest(
                base=BASE if self.base and number == 0 else None,
                crop_recipe=CROP if part else None,
                crops=part,
                on_white=self.on_white,
            )
            for number, part in enumerate(parts)
            if part or self.base
        ]


class _PhotoHandler:
    """Renders and records the missing sets of one photo."""

    def __init__(self, archive: Archive, renderer: Renderer, run_id: str) -> None:
        self._archive = archive
        self._renderer = renderer
        self._run_id = run_id

    def __call__(self, photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        assert photo.hosted_key is not None
        assert photo.sha256 is not None
        name = f"{photo.id} ({shown_url(photo.source_url)})"
        source = OriginalRef(name, photo.hosted_key, photo.sha256, photo.external_bucket)
        plan = _Plan.of(photo, claims)
        results = [self._renderer.render(source, request) for request in plan.requests()]
        return self._record(photo, claims, plan, results)

    def _record(
        self, photo: Photo, claims: Sequence[Claim], plan: _Plan, results: Sequence[RenderedPhoto]
    ) -> PhotoOutcome:
        """Store the objects, then write all rows of the photo in one transaction."""
        assert photo.sha256 is not None
        version = photo.sha256
        proposal = next((result.summary for result in results if result.summary.proposal is not None), None)
        wanted = {_crop_of(row): row for row in photo.wanted_crops}
        active = photo.crop
        if plan.proposes and proposal is not None and proposal.proposal is not None:
            active = _signed(proposal.proposal, version)
            wanted.setdefault(proposal.proposal, active)
        keys = [[self._key(photo, variant, wanted) for variant in result.summary.variants] for result in results]
        all_keys = [key for of_result in keys for key in of_result]
        if all_keys:
            self._archive.database.run(lambda conn: retention.revive(conn, self._archive.store.bucket, all_keys))
        sets: dict[CropRow, dict[str, Variant]] = {}
        created: list[Variant] = []
        for result, of_result in zip(results, keys, strict=True):
            for variant, stored in zip(result.summary.variants, result.store(of_result), strict=True):
                row = self._row(variant, stored)
                sets.setdefault(NO_CROP if variant.crop is None else wanted[variant.crop], {})[stored.key] = row
                created += [row] * stored.created

        def write_rows(conn: Connection) -> int:
            crops.lock_photo(conn, photo.id)
            written = 0
            for claim in claims:
                recipe, signature = BASE.fingerprint, ""
                if claim.kind == "crop":
                    recipe, signature = CROP.fingerprint, "" if active is None else active.signature
                ledger.complete(conn, claim, self._run_id, recipe=recipe, signature=signature)
            if proposal is not None and active is not None:
                photos.add_crop(
                    conn,
                    photo.id,
                    active,
                    source_version=version,
                    reason=proposal.proposal_reason,
                    author=AUTO_AUTHOR,
                )
            for crop, variants in sets.items():
                recipe = CROP.fingerprint if crop.signature else BASE.fingerprint
                written += photos.replace_set(
                    conn, photo.id, list(variants.values()), recipe=recipe, source_version=version, crop=crop
                )
            if plan.crops:
                _restore_sets(conn, photo.id, plan.standing, version)
                crops.serve_links(
                    conn, photo.id, [crop.signature for crop in (*plan.standing, *sets) if crop.signature]
                )
            photos.settle_sets(conn, photo.id)
            if results:
                photos.mark_rendered(conn, photo.id, _decoded_info(results[0].summary))
            return written

        try:
            rows_written = self._archive.database.run(write_rows)
        except StaleResultError:
            discard_late_objects(self._archive, photo.id, all_keys)
            raise
        return PhotoOutcome(
            rows_written=rows_written,
            objects_written=len(created),
            bytes_read=(photo.bytes or 0) * len(results),
            bytes_written=sum(variant.bytes for variant in created),
        )

    def _key(self, photo: Photo, variant: RenderedVariant, rows: Mapping[Crop, CropRow]) -> str:
        assert photo.sha256 is not None
        extension = WRITTEN_TYPES[variant.format].extension
        if variant.crop is None:
            return variant_key(photo.id, photo.sha256, BASE.fingerprint, variant.variant_key, extension)
        signature = rows[variant.crop].signature
        return crop_key(photo.id, signature, CROP.fingerprint, variant.variant_key, extension)

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


def _crop_of(row: CropRow) -> Crop:
    """A crop of the catalogue as a value of `imaging`."""
    return Crop(cast(CropMode, row.mode), row.x, row.y, row.zoom)


def _signed(crop: Crop, source_version: str) -> CropRow:
    return CropRow(crop.mode, crop.x, crop.y, crop.zoom, crop_signature(crop, source_version))


def _restore_sets(conn: Connection, photo_id: UUID, standing: Sequence[CropRow], source_version: str) -> None:
    """Serve sets that exist already. Raises StaleResultError if one was removed since the photo was read."""
    for crop in standing:
        if not crops.restore_set(
            conn,
            photo_id,
            crop.signature,
            recipe=CROP.fingerprint,
            source_version=source_version,
            keys=CROP_KEYS,
        ):
            raise StaleResultError(f"a set of photo {photo_id} was removed during the work: crop {crop.signature}")


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
