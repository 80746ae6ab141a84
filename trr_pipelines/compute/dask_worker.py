"""What a Dask worker does with a photo: the same as this machine would, by the worker's own settings.

Called by name from `cluster`, through Dask. Failures of photos are results here: raised ones would be logged by Dask
with a traceback each. Bytes of strangers are decoded by the worker's render processes, under their limits.
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

_opening = threading.Lock()


def render(store_url: str, source: Mapping[str, str], request: Mapping[str, Any]) -> Rendered | Failure:
    """Render an original of the run's store. `request` is as `protocol` sends it to a render process.

    SetupError: this worker has another store, or other recipes, than the run.
    """

    def work() -> Rendered:
        store, pool = _opened_once(store_url)
        wanted = protocol.parse_request(dict(request))
        _require_same(BASE, wanted.base)
        _require_same(CROP, wanted.crop_recipe)
        return render_source(store, pool, OriginalRef(**source), wanted)

    return _answer(work)


def outline(rendered: Rendered | Failure) -> Rendered | Failure:
    """What the run has to know of the result, without its pixels."""
    return without_bytes(rendered) if isinstance(rendered, Rendered) else rendered


def store(store_url: str, rendered: Rendered | Failure, keys: Sequence[str]) -> list[PutObject] | Failure:
    """Store the variants at their keys: small rows about what stands there now."""
    if not isinstance(rendered, Rendered):  # rendered anew after its worker died, and failed this time
        return rendered
    return _answer(lambda: store_variants(_opened_once(store_url)[0], rendered.variants, keys))


def _answer(work: Callable[[], T]) -> T | Failure:
    try:
        return work()
    except (MediaError, SetupError) as failure:
        return failure
    except InputError as error:  # of this worker's settings: the store's URL
        return SetupError(f"a Dask worker cannot open its store: {error}")


def _opened_once(store_url: str) -> tuple[ObjectStore, RenderPool]:
    """The store and the render processes of this worker, which end with it."""
    with _opening:
        own_url, store, pool = _opened()
    if own_url != store_url:
        raise SetupError(f"a Dask worker has TRR_MEDIA_STORE {own_url}, the run has {store_url}")
    return store, pool


@cache
def _opened() -> tuple[str, ObjectStore, RenderPool]:
    settings = load_settings()
    store = open_store(settings.store_url, base_url=settings.base_url)
    return settings.store_url, store, RenderPool(settings.render_processes or None)


def _require_same(own: Recipe, wanted: Recipe | None) -> None:
    if wanted not in (None, own):
        assert wanted is not None
        raise SetupError(
            f"a Dask worker has the {own.kind} recipe {own.fingerprint}, the run has {wanted.fingerprint}: "
            "start it with the version of the run"
        )
