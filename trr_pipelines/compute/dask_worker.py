"""The tasks of a Dask worker: the same steps as on this machine, with the worker's own settings.

`cluster` submits them by name. Failures of photos are returned: Dask would log a traceback for each raised one.
Untrusted bytes are decoded in the worker's render processes, with their limits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from trr_pipelines.compute import protocol
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.compute.renderer import OriginalRef, render_source, store_variants, without_bytes
from trr_pipelines.errors import InputError, MediaError, SetupError
from trr_pipelines.imaging.recipes import BASE, CROP, Recipe
from trr_pipelines.imaging.render import Rendered
from trr_pipelines.settings import load_settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines.storage.store import ObjectStore, PutObject

T = TypeVar("T")
Failure = MediaError | SetupError

_open_lock = threading.Lock()


def render(store_url: str, source: Mapping[str, str], request: Mapping[str, Any]) -> Rendered | Failure:
    """Render an original of the run's store; `request` is in the form of `protocol`.

    Returns a SetupError if this worker has another store or other recipes than the run.
    """

    def work() -> Rendered:
        store, pool = _opened_once(store_url)
        parsed = protocol.parse_request(dict(request))
        _require_same(BASE, parsed.base)
        _require_same(CROP, parsed.crop_recipe)
        return render_source(store, pool, OriginalRef(**source), parsed)

    return _or_failure(work)


def summarise(rendered: Rendered | Failure) -> Rendered | Failure:
    """The result without its pixels."""
    return without_bytes(rendered) if isinstance(rendered, Rendered) else rendered


def store(store_url: str, rendered: Rendered | Failure, keys: Sequence[str]) -> list[PutObject] | Failure:
    """Store the variants at their keys, and return the objects at these keys."""
    if not isinstance(rendered, Rendered):  # rendered again after its worker died, and failed this time
        return rendered
    return _or_failure(lambda: store_variants(_opened_once(store_url)[0], rendered.variants, keys))


def _or_failure(work: Callable[[], T]) -> T | Failure:
    try:
        return work()
    except (MediaError, SetupError) as failure:
        return failure
    except InputError as error:  # the store's URL in this worker's settings
        return SetupError(f"a Dask worker cannot open its store: {error}")


def _opened_once(store_url: str) -> tuple[ObjectStore, RenderPool]:
    """The store and the render pool of this worker, opened once. Raises SetupError for another store URL."""
    with _open_lock:
        own_url, store, pool = _opened()
    if own_url != store_url:
        raise SetupError(f"a Dask worker has TRR_MEDIA_STORE {own_url}, the run has {store_url}")
    return store, pool


@cache
def _opened() -> tuple[str, ObjectStore, RenderPool]:
    settings = load_settings()
    store = open_store(settings.store_url, base_url=settings.base_url, s3_options=settings.s3_options)
    return settings.store_url, store, RenderPool(settings.render_processes or None)


def _require_same(own: Recipe, requested: Recipe | None) -> None:
    if requested is not None and requested != own:
        raise SetupError(
            f"a Dask worker has the {own.kind} recipe {own.fingerprint}, the run has {requested.fingerprint}: "
            "start the worker with the version of the run"
        )
