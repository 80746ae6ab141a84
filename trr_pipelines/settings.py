"""The only reader of the environment: every setting, its default and its check, all problems reported at once.

Nothing else in this project looks at `os.environ`. Values that are secret are `SecretStr`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trr_pipelines.errors import SetupError

Port = int
LEAST_SILENCE_SECONDS = 120  # Dagster's daemons and sensors are quiet for up to a minute when all is well


@dataclass(frozen=True)
class Hours:
    """Hours of each day, in the time zone of the machine; they may go over midnight. `end` itself is outside."""

    start: time
    end: time

    def contain(self, moment: datetime) -> bool:
        """Whether a moment (with a time zone) lies within them."""
        now = moment.astimezone().time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def end_of(self, work: timedelta, begin: datetime) -> datetime:
        """When work that takes so long is done, if it begins at a moment and goes on within these hours only."""
        now = begin.astimezone()
        while True:
            if not self.contain(now):
                now = _next(now, self.start)
            end = _next(now, self.end)
            if work <= end - now:
                return now + work
            work -= end - now
            now = end

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


class Settings(BaseSettings):
    """Where state lives, which database and store are used, and how much may run at once."""

    # A variable that is set to nothing is how compose files say "not set".
    model_config = SettingsConfigDict(
        env_prefix="TRR_", extra="ignore", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    home: Path = Field(Path(".trr"), description="state of the embedded default, relative to the working directory")
    database_url: SecretStr | None = Field(None, description="catalogue; unset: the embedded PostgreSQL")
    dagster_pg_url: SecretStr | None = Field(None, description="Dagster's storage; unset: the embedded PostgreSQL")
    screenalytics_db_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SCREENALYTICS_DB_URL", "DB_URL"),
        description="the Screenalytics database; unset: the embedded PostgreSQL",
    )
    api_url: str = Field("", description="where the backend answers; unset: the embedded default's API")
    admin_url: str = Field("", description="where browsers find the admin app; unset: loopback on admin_port")
    dagster_url: str = Field("", description="where browsers find Dagster's UI; unset: loopback on dagster_port")
    media_store: str = Field("", description="file:DIR or s3://BUCKET/PREFIX; unset: a directory under home")
    media_base_url: str = Field("", description="where the objects of the store are served")
    api_port: Port = Field(8000, ge=1, le=65535)
    admin_port: Port = Field(8080, ge=1, le=65535)
    dagster_port: Port = Field(3000, ge=1, le=65535)
    render_processes: int = Field(0, ge=0, le=256, description="child processes that render; 0: one per core")
    backfill_queue: int = Field(2, ge=1, le=100, description="runs that a backfill has in Dagster's queue at a time")
    backfill_processes: int = Field(
        0, ge=0, le=256, description="child processes that render for a backfill; 0: as many as render_processes"
    )
    dask_address: str = Field("", description="scheduler of the Dask cluster that renders; unset: this machine renders")
    backfill_hours: Annotated[Hours | None, NoDecode] = Field(
        None, description="hours in which backfills run, such as 22:00-06:00; unset: always"
    )
    alert_webhook: SecretStr | None = Field(
        None, description="URL that alerts and failed runs are posted to as JSON; unset: nowhere"
    )
    alert_lag_seconds: int = Field(900, ge=0, description="the oldest live work waits for longer; 0: no alert")
    alert_parked_photos: int = Field(100, ge=0, description="photos parked within 24 h; 0: no alert")
    alert_silence_seconds: int = Field(
        300, ge=0, description="seconds without a heartbeat of Dagster's daemon or a sensor (at least 120); 0: no alert"
    )
    alert_disk_percent: float = Field(
        5, ge=0, le=100, description="less of the disk of a directory store is free; 0: no alert"
    )
    debug: bool = Field(False, description="show tracebacks of unexpected errors")
    # Decoded by ourselves: pydantic-settings reports text that is no JSON on its own, before it looks at the rest.
    service_role_key: SecretStr | None = Field(None, description="shared with the admin app, which sends it as bearer")
    internal_admin_shared_secret: SecretStr | None = Field(None, description="second secret of the admin app")
    screenalytics_service_token: SecretStr | None = Field(
        None, validation_alias="SCREENALYTICS_SERVICE_TOKEN", description="bearer of Screenalytics"
    )
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret that the sign-in's tokens are signed with")
    jwks_url: str = Field("", description="public keys of the sign-in (RS256 or ES256), in place of jwt_secret")
    jwt_audience: str = Field("authenticated", min_length=1, description="the `aud` that tokens must carry")
    jwt_issuer: str = Field("", description="the `iss` that tokens must carry; unset: any")
    admin_allowlist: str = Field("", description="e-mails of admins, separated by commas; or file:PATH, one a line")
    smoke_token: SecretStr | None = Field(None, description="sign-in token of an admin, for `trr smoke`")
    metrics_token: SecretStr | None = Field(None, description="bearer for /metrics; unset: only loopback may read it")
    originals: Literal["public", "signed"] = Field("public", description="plain or expiring URLs of originals")
    fetch_allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="networks that imports may fetch from although they are not public (JSON list of CIDRs)"
    )

    @field_validator("database_url", "screenalytics_db_url")
    @classmethod
    def _is_for_libpq(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else _postgres_url(value, value.get_secret_value())

    @field_validator("dagster_pg_url")
    @classmethod
    def _is_for_sqlalchemy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme, separator, rest = value.get_secret_value().partition("://")
        return _postgres_url(value, f"{scheme.partition('+')[0]}{separator}{rest}")

    @field_validator("api_url", "admin_url", "dagster_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL")
        return value.rstrip("/")

    @field_validator("alert_webhook")
    @classmethod
    def _is_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            url = urlsplit(value.get_secret_value())
            is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            is_url = False
        if not is_url or not value.get_secret_value().isascii() or re.search(r"\s", value.get_secret_value()):
            raise ValueError("must be an http or https URL (https://HOST/PATH)")
        return value

    @field_validator("alert_silence_seconds")
    @classmethod
    def _is_longer_than_a_pause(cls, value: int) -> int:
        if 0 < value < LEAST_SILENCE_SECONDS:
            raise ValueError(f"must be 0 (no alert) or at least {LEAST_SILENCE_SECONDS}")
        return value

    @field_validator("dask_address")
    @classmethod
    def _is_scheduler(cls, value: str) -> str:
        if value and not re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+):\d{1,5}", value, re.ASCII):
            raise ValueError("must be tcp://HOST:PORT or tls://HOST:PORT")
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        try:
            return value.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError(f"{value}: {error}") from None

    @field_validator("fetch_allow_networks", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            networks = json.loads(value)
        except ValueError:
            networks = None
        if not isinstance(networks, list):
            raise ValueError('must be a JSON list of networks, such as ["10.1.0.0/16"]')
        return networks

    @field_validator("backfill_hours", mode="before")
    @classmethod
    def _from_clock(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        clock = r"([01]\d|2[0-3]):[0-5]\d"
        start, _, end = value.strip().partition("-")
        if not re.fullmatch(clock, start) or not re.fullmatch(clock, end) or start == end:
            raise ValueError("must be two different times of day, such as 22:00-06:00")
        return Hours(time.fromisoformat(start), time.fromisoformat(end))

    @cached_property
    def store_url(self) -> str:
        """The object store's URL, with the embedded default filled in."""
        return self.media_store or f"file:{self.home / 'media'}"

    @property
    def is_embedded(self) -> bool:
        """Whether nothing of it is given: then every part is on this machine, with secrets of its own."""
        return self.database_url is None and self.screenalytics_db_url is None and not self.api_url

    @property
    def has_face_bank(self) -> bool:
        """Whether there is a Screenalytics database: one that is given, or the embedded one beside the catalogue."""
        return self.screenalytics_db_url is not None or self.database_url is None

    @cached_property
    def backend_url(self) -> str:
        """Where clients find the backend, without a slash at its end."""
        return self.api_url or f"http://127.0.0.1:{self.api_port}"

    @cached_property
    def dagster_ui_url(self) -> str:
        """Where browsers find Dagster's UI, without a slash at its end."""
        return self.dagster_url or f"http://127.0.0.1:{self.dagster_port}"

    @cached_property
    def admin_app_url(self) -> str:
        """Where browsers find the admin app, without a slash at its end."""
        return self.admin_url or f"http://127.0.0.1:{self.admin_port}"

    @cached_property
    def base_url(self) -> str:
        """The URL under which objects are served, without a slash at its end."""
        return (self.media_base_url or f"http://127.0.0.1:{self.api_port}/media").rstrip("/")


def _next(now: datetime, clock: time) -> datetime:
    """The first moment after `now` at which the clock shows this time."""
    today = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def _postgres_url(value: SecretStr, url: str) -> SecretStr:
    """`value`, if `url` is one that libpq understands. The messages of libpq show it, so ours replaces them."""
    try:
        if url.startswith(("postgresql://", "postgres://")):
            conninfo_to_dict(url)
            return value
    except psycopg.ProgrammingError:
        pass
    raise ValueError("must be a PostgreSQL URL (postgresql://USER:PASSWORD@HOST:PORT/DATABASE)")


def load_settings() -> Settings:
    """Read the environment. Raises SetupError naming every setting that is wrong, without showing its value."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{_variable(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SetupError(f"settings: {problems}") from None


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable that a problem is about; a field with a name of its own is reported under that."""
    name = str(location[0]) if location else ""
    return name if name.isupper() else f"TRR_{name.upper()}"
