"""Create the face bank and the backend client from settings."""

from __future__ import annotations

from pydantic import SecretStr

from trr_pipelines.errors import SetupError
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.client import BackendClient
from trr_pipelines.screenalytics.schema import FACE_BANK
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
            FACE_BANK.upgrade(url)
    return bank


def open_client(settings: Settings) -> BackendClient:
    """A client of the backend. Raises SetupError when no token is set."""
    token = settings.screenalytics_service_token
    if token is None or not token.get_secret_value().strip():
        raise SetupError("SCREENALYTICS_SERVICE_TOKEN is not set")
    return BackendClient(settings.backend_url, token)
