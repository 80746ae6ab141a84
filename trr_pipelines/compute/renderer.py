"""The renderer renders photos and stores their objects: on this machine, or on a Dask cluster.

The steps for one photo are defined here once for both, and need no catalogue. Rendering and storing are two steps,
because object keys depend on the rendered crop, and the run must protect them from retention in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ChangedOriginalError, Reason, RetryableError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.formats import WRITTEN_TYPES
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest
from trr_pipelines.storage.store import ObjectStore, PutObject, put_exactly, read_original

# Photos read from or written to the store while others are rendered.
IO_THREADS = 2


@dataclass(frozen=True)
class OriginalRef:
    """An original: the photo's name for messages, its object key, and the sha256 of its bytes.

    `external_bucket` is the bucket of an object of another program; empty for one of ours.
    """

    name: str
    key: str
    sha256: str
    external_bucket: str = ""


class RenderedPhoto(Protocol):
    """A rendered photo whose pixels are still on the machine that rendered it."""

    @property
    def summary(self) -> Rendered:
        """The result; its variants may lack their bytes."""
        ...

    def store(self, keys: Sequence[str]) -> list[PutObject]:
        """Store each variant at its key, in the order of the summary, and return the objects at these keys.

        Raises RetryableError if the store fails.
        """
        ...


class Renderer(Protocol):
    """Renders photos; any thread may call it."""

    @property
    def threads(self) -> int:
        """The maximal number of useful threads."""
        ...

    def concurrency(self) -> int:
        """The number of photos to keep in progress so that no worker idles. It may change.

        Raises SetupError if the renderer cannot be used.
        """
        ...

    def cancel(self) -> None:
        """Stop waiting for results: the run is over."""
        ...

    def render(self, source: OriginalRef, request: RenderRequest) -> RenderedPhoto:
        """Read and render the original; blocks until it is rendered.

        Raises MediaError if the photo cannot be read or rendered, SetupError if the renderer cannot be used.
        """
        ...


def render_source(store: ObjectStore, pool: RenderPool, source: OriginalRef, request: RenderRequest) -> Rendered:
    """Render an original. Raises RetryableError if its bytes have another hash: damaged, or changed (external)."""
    data = read_original(store, source.key, source.external_bucket, max_bytes=MAX_BYTES)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != source.sha256:
        difference = f"sha256 {sha256} instead of {source.sha256}"
        if source.external_bucket:
            raise ChangedOriginalError(
                Reason.STORAGE_UNAVAILABLE,
                f"{source.key} in {source.external_bucket} has changed: {difference}; it is read again",
            )
        raise RetryableError(Reason.STORAGE_UNAVAILABLE, f"{source.key} is damaged: {difference}")
    return pool.render(data, request, name=source.name)


def store_variants(store: ObjectStore, variants: Sequence[RenderedVariant], keys: Sequence[str]) -> list[PutObject]:
    """Store each variant at its key; an object there that is not what was rendered is damaged, and is rewritten."""
    return [
        put_exactly(
            store, key, variant.data, content_type=WRITTEN_TYPES[variant.format].content_type, sha256=variant.sha256
        )
        for variant, key in zip(variants, keys, strict=True)
    ]


def without_bytes(rendered: Rendered) -> Rendered:
    """`rendered` without the bytes of its variants."""
    return replace(rendered, variants=tuple(replace(variant, data=b"") for variant in rendered.variants))


@dataclass(frozen=True)
class LocalRenderer:
    """The render processes of this machine."""

    objects: ObjectStore
    pool: RenderPool

    @property
    def threads(self) -> int:
        return self.concurrency()

    def concurrency(self) -> int:
        return self.pool.workers + IO_THREADS

    def cancel(self) -> None:
        """Does nothing: photos in progress finish within seconds."""

    def render(self, source: OriginalRef, request: RenderRequest) -> RenderedPhoto:
        return _LocalRenderedPhoto(self.objects, render_source(self.objects, self.pool, source, request))


@dataclass(frozen=True)
class _LocalRenderedPhoto:
    objects: ObjectStore
    summary: Rendered

    def store(self, keys: Sequence[str]) -> list[PutObject]:
        return store_variants(self.objects, self.summary.variants, keys)
