"""Checks of the settings of the three deployments: every secret and URL, tested where possible.

The checks leave nothing behind: credentials are tested on unknown ids, where valid ones get a 404.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import httpx
import psycopg

from trr_pipelines.allowlist import Allowlist
from trr_pipelines.bridge.application import open_application
from trr_pipelines.bridge.check import check_bridge
from trr_pipelines.catalogue import schema
from trr_pipelines.compute.cluster import connect, slots
from trr_pipelines.credentials import secret_problem
from trr_pipelines.errors import SetupError, TrrError
from trr_pipelines.pipeline.archive import dagster_url, database_url, screenalytics_url
from trr_pipelines.screenalytics.factory import open_bank
from trr_pipelines.settings import Settings
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.factory import open_store
from trr_pipelines.storage.keys import ORIGINALS, original_key
from trr_pipelines.storage.s3 import S3Store

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
UNKNOWN_ID = UUID(int=0)


@dataclass(frozen=True)
class DoctorFinding:
    """The result for one setting; `problem` is one line without the setting's value, empty when `ok`.

    `used` is where the value comes from, for settings that have more than one name.
    """

    name: str
    ok: bool
    problem: str
    used: str = ""

    def report(self) -> dict[str, Any]:
        """The finding in the types of JSON."""
        return asdict(self)


Check = Callable[[Settings], str | None]
"""Raises when the setting is missing or does not work; returns what was used, where that is not plain."""


def examine(deployment: str, settings: Settings) -> list[DoctorFinding]:
    """Check every setting of one of `DEPLOYMENTS`."""
    return [_find(name, check, settings) for name, check in DEPLOYMENTS[deployment].items()]


def _find(name: str, check: Check, settings: Settings) -> DoctorFinding:
    try:
        used = check(settings) or ""
    except httpx.TransportError as error:
        return DoctorFinding(name, False, f"{error.request.url.copy_with(path='/')} cannot be reached: {error}")
    except (TrrError, OSError, httpx.HTTPError, psycopg.Error, ValueError) as error:
        return DoctorFinding(name, False, " ".join(str(error).split())[:300] or type(error).__name__)
    return DoctorFinding(name, True, "", used)


def _secret(name: str) -> Check:
    def check(settings: Settings) -> None:
        if problem := secret_problem(settings, name):
            raise SetupError(problem)

    return check


def _optional_secret(name: str) -> Check:
    def check(settings: Settings) -> None:
        if getattr(settings, name) is not None and (problem := secret_problem(settings, name)):
            raise SetupError(problem)

    return check


def _allowlist(settings: Settings) -> None:
    if not settings.admin_allowlist:
        raise SetupError("TRR_ADMIN_ALLOWLIST is not set")
    if not Allowlist(settings.admin_allowlist).size:
        raise SetupError("TRR_ADMIN_ALLOWLIST is empty")


def _sign_in(settings: Settings) -> None:
    _secret("jwt_secret")(settings)
    if settings.jwks_url:
        keys = _expect(httpx.get(settings.jwks_url, timeout=TIMEOUT, trust_env=False), 200, "TRR_JWKS_URL").json()
        if not isinstance(keys, dict) or not keys.get("keys"):
            raise SetupError("TRR_JWKS_URL returned no keys")


def _catalogue(settings: Settings) -> None:
    if settings.database_url is None and not settings.is_embedded:
        raise SetupError("TRR_DATABASE_URL is not set")
    with _connection(database_url(settings)) as conn:
        schema.require_current(conn)


def _dagster(settings: Settings) -> None:
    if settings.dagster_pg_url is None and not settings.is_embedded:
        raise SetupError("TRR_DAGSTER_PG_URL is not set")
    with _connection(dagster_url(settings).replace("+psycopg2", "", 1)):
        pass


def _connection(url: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(url, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise SetupError(f"cannot reach the database: {str(error).strip().splitlines()[0]}") from None


def _store(settings: Settings) -> str:
    if not settings.store_setting and not settings.is_embedded:
        raise SetupError("TRR_MEDIA_STORE is not set (nor OBJECT_STORAGE_BUCKET, AWS_S3_BUCKET)")
    store = open_store(settings.store_url, base_url=settings.base_url, s3_options=settings.s3_options)
    # No object has this key: with read access the store reports it as missing, without access it refuses.
    store.head(original_key("0" * 64, "jpg"))
    if isinstance(store, DirectoryStore):
        store.probe()
    endpoint = f" at {settings.s3_endpoint_url}" if settings.s3_endpoint_url and isinstance(store, S3Store) else ""
    return f"{settings.store_url}{endpoint}, by {settings.store_setting or 'default'}"


def _media_url(settings: Settings) -> str:
    if not settings.base_url_setting and not settings.is_embedded:
        raise SetupError("TRR_MEDIA_BASE_URL is not set (nor OBJECT_STORAGE_PUBLIC_BASE_URL, AWS_CDN_BASE_URL)")
    status = httpx.get(f"{settings.base_url}/{ORIGINALS[0]}", timeout=TIMEOUT, trust_env=False).status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise SetupError(f"{settings.base_url} returned status {status}, expected below 500")
    return f"{settings.base_url}, by {settings.base_url_setting or 'default'}"


def _application(settings: Settings) -> None:
    """The first error of `trr bridge check`, which has all of them; none where there is no application."""
    if settings.application_db_url is None:
        return
    store = open_store(settings.store_url, base_url=settings.base_url)
    with open_application(settings) as application:
        for finding in check_bridge(application, store):
            if finding.state == "error":
                raise SetupError(f"{finding.name}: {finding.detail}; {finding.remedy}")


def _backend(settings: Settings) -> None:
    if not settings.api_url and not settings.is_embedded:
        raise SetupError("TRR_API_URL is not set")
    _expect(httpx.get(f"{settings.backend_url}/readyz", timeout=TIMEOUT, trust_env=False), 200, settings.backend_url)


def _backend_of_screenalytics(settings: Settings) -> None:
    """As `_backend`, or TRR-Backend, which has no `/readyz`."""
    if not settings.api_url and not settings.is_embedded:
        raise SetupError("TRR_API_URL is not set")
    response = httpx.get(f"{settings.backend_url}/readyz", timeout=TIMEOUT, trust_env=False)
    if response.status_code != httpx.codes.NOT_FOUND:
        _expect(response, 200, settings.backend_url)


def _admin_url(settings: Settings) -> None:
    if not settings.admin_url and not settings.is_embedded:
        raise SetupError("TRR_ADMIN_URL is not set")
    url = settings.admin_url or f"http://127.0.0.1:{settings.admin_port}"
    _expect(httpx.get(f"{url}/healthz", timeout=TIMEOUT, trust_env=False), 200, url)


def _cluster(settings: Settings) -> None:
    if not settings.dask_address:
        return  # this machine renders
    with connect(settings.dask_address) as client:
        if not slots(client):
            raise SetupError(f"the scheduler has no workers; start one with `dask worker {settings.dask_address}`")


def _both_secrets(settings: Settings) -> None:
    """Test both secrets on a toggle of an unknown link: the backend returns 404 if valid, else 401 or 403."""
    values = {}
    for name in ("service_role_key", "internal_admin_shared_secret"):
        _secret(name)(settings)
        values[name] = getattr(settings, name).get_secret_value()
    response = httpx.patch(
        f"{settings.backend_url}/api/v1/admin/person/{UNKNOWN_ID}/gallery/{UNKNOWN_ID}/facebank-seed",
        json={"facebank_seed": False},
        headers={
            "Authorization": f"Bearer {values['service_role_key']}",
            "X-TRR-Internal-Admin-Secret": values["internal_admin_shared_secret"],
        },
        timeout=TIMEOUT,
        trust_env=False,
    )
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise SetupError("TRR_SERVICE_ROLE_KEY differs from the backend's")
    if response.status_code == httpx.codes.FORBIDDEN:
        raise SetupError("TRR_INTERNAL_ADMIN_SHARED_SECRET differs from the backend's")
    _expect(response, 404, "the toggle of an unknown link")


def _token(settings: Settings) -> None:
    """Test the token on photos of an unknown person: valid, ours returns 404 and TRR-Backend an empty list."""
    _secret("screenalytics_service_token")(settings)
    token = settings.screenalytics_service_token
    assert token is not None
    response = httpx.get(
        f"{settings.backend_url}/api/v1/screenalytics/people/{UNKNOWN_ID}/photos",
        headers={"Authorization": f"Bearer {token.get_secret_value()}"},
        timeout=TIMEOUT,
        trust_env=False,
    )
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise SetupError("SCREENALYTICS_SERVICE_TOKEN differs from the backend's")
    if response.status_code != httpx.codes.OK or response.json() != []:
        _expect(response, 404, "photos of an unknown person")


def _face_bank(settings: Settings) -> None:
    with open_bank(screenalytics_url(settings), upgrade=settings.is_embedded).connect():
        pass


def _expect(response: httpx.Response, status: int, what: str) -> httpx.Response:
    if response.status_code != status:
        raise SetupError(f"{what} returned status {response.status_code}, expected {status}")
    return response


DEPLOYMENTS: Mapping[str, Mapping[str, Check]] = {
    "backend": {
        "TRR_DATABASE_URL": _catalogue,
        "TRR_DAGSTER_PG_URL": _dagster,
        "TRR_MEDIA_STORE": _store,
        "TRR_MEDIA_BASE_URL": _media_url,
        "TRR_APPLICATION_DB_URL": _application,
        "TRR_DASK_ADDRESS": _cluster,
        "TRR_SERVICE_ROLE_KEY": _secret("service_role_key"),
        "TRR_INTERNAL_ADMIN_SHARED_SECRET": _secret("internal_admin_shared_secret"),
        "SUPABASE_JWT_SECRET": _optional_secret("supabase_jwt_secret"),
        "SCREENALYTICS_SERVICE_TOKEN": _secret("screenalytics_service_token"),
        "TRR_JWT_SECRET or TRR_JWKS_URL": _sign_in,
        "TRR_ADMIN_ALLOWLIST": _allowlist,
    },
    "admin": {
        "TRR_API_URL": _backend,
        "TRR_ADMIN_URL": _admin_url,
        "TRR_SERVICE_ROLE_KEY and TRR_INTERNAL_ADMIN_SHARED_SECRET": _both_secrets,
        "TRR_JWT_SECRET or TRR_JWKS_URL": _sign_in,
        "TRR_ADMIN_ALLOWLIST": _allowlist,
    },
    "screenalytics": {
        "TRR_API_URL": _backend_of_screenalytics,
        "SCREENALYTICS_SERVICE_TOKEN": _token,
        "SCREENALYTICS_DB_URL": _face_bank,
    },
}
