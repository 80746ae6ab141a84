"""A site is where photos are rendered and their objects stored: this machine, or a Dask cluster.

What a site does with a photo needs no catalogue, and stands here once for all sites. It is two steps, because the keys
of the objects follow from what was rendered, and whoever runs this has to keep retention away from them in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import Reason, RetryableError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest
from trr_pipelines.storage.store import ObjectStore, PutObject

# While one photo is rendered, others are read from the store and written to it.
IO_THREADS = 2


@dataclass(frozen=True)
class OriginalRef:
    """A mirrored original: the photo's name for messages, its key in the store, the hash that its bytes must have."""

    name: str
    key: str
    sha256: str


class RenderedPhoto(Protocol):
    """A rendered photo whose pixels are still where they were made."""

    @property
    def summary(self) -> Rendered:
        """All that was made, whose variants need not carry their bytes."""
        ...

    def store(self, keys: Sequence[str]) -> list[PutObject]:
        """Store each variant at its key, in the order of the outline; what stands there now.

        Raises RetryableError when the store cannot do its part.
        """
        ...


class Renderer(Protocol):
    """Renders photos; any thread may call it."""

    @property
    def threads(self) -> int:
        """How many threads may be of use here, at most."""
        ...

    def concurrency(self) -> int:
        """How many photos to keep under way, so that nothing has to wait for the next one. It may change.

        Raises SetupError when the site cannot be used.
        """
        ...

    def cancel(self) -> None:
        """The run is over: whoever waits here need not wait any more."""
        ...

    def render(self, source: OriginalRef, request: RenderRequest) -> RenderedPhoto:
        """Read the original and render it; blocks until then.

        Raises MediaError when the photo cannot be read or rendered, SetupError when the site cannot be used.
        """
        ...


def render_source(store: ObjectStore, pool: RenderPool, source: OriginalRef, request: RenderRequest) -> Rendered:
    """Render an original as it was mirrored. Raises RetryableError when the store gives other bytes back."""
    data = store.get(source.key, max_bytes=MAX_BYTES)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != source.sha256:
        raise RetryableError(
            Reason.STORAGE_UNAVAILABLE, f"{source.key} is damaged: sha256 {sha256} instead of {source.sha256}"
        )
    return pool.render(data, request, name=source.name)


def store_variants(store: ObjectStore, variants: Sequence[RenderedVariant], keys: Sequence[str]) -> list[PutObject]:
    """Store each variant at its key. An object that stood there says what it is."""
    return [
        store.put_if_absent(
            key, variant.data, content_type=FILE_TYPES[variant.format].content_type, sha256=variant.sha256
        )
        for variant, key in zip(variants, keys, strict=True)
    ]


def without_bytes(rendered: Rendered) -> Rendered:
    """The same without the bytes of its variants."""
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
        """Photos in hand are done within seconds, and are not lost."""

    def render(self, source: OriginalRef, request: RenderRequest) -> RenderedPhoto:
        return _LocalRenderedPhoto(self.objects, render_source(self.objects, self.pool, source, request))


@dataclass(frozen=True)
class _LocalRenderedPhoto:
    objects: ObjectStore
    summary: Rendered

    def store(self, keys: Sequence[str]) -> list[PutObject]:
        return store_variants(self.objects, self.summary.variants, keys)
