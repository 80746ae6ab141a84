"""Create the face bank and the backend client from settings."""

from __future__ import annotations

import psycopg
from pydantic import SecretStr

from trr_pipelines.errors import SetupError
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.client import BackendClient
from trr_pipelines.screenalytics.kinds import kind_of
from trr_pipelines.settings import Settings


def open_bank(url: str, *, upgrade: bool) -> FaceBank:
    """The face bank at `url`. With `upgrade` (embedded default only) its schema is upgraded first if necessary.

    Raises SetupError.
    """
    bank = FaceBank(SecretStr(url))
    if upgrade:
        try:
            with bank.connect():
                return bank
        except SetupError:
            upgrade_bank(url)
    return bank


def upgrade_bank(url: str) -> tuple[str | None, str]:
    """Upgrade our tables in a Screenalytics database, beside the application's if it has one; returns both revisions.

    Raises SetupError.
    """
    try:
        with psycopg.connect(url, connect_timeout=5, prepare_threshold=None) as conn:
            kind = kind_of(conn)
    except psycopg.OperationalError as error:
        raise SetupError(f"cannot reach the Screenalytics database: {str(error).strip().splitlines()[0]}") from None
    return kind.schema.upgrade(url)


def open_client(settings: Settings) -> BackendClient:
    """A client of the backend. Raises SetupError when no token is set."""
    token = settings.screenalytics_service_token
    if token is None or not token.get_secret_value().strip():
        raise SetupError("SCREENALYTICS_SERVICE_TOKEN is not set")
    return BackendClient(settings.backend_url, token)
