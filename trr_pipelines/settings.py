"""All settings with defaults and validation; the only reader of the environment. All problems are reported at once.

No other module reads settings from `os.environ`. Secrets are `SecretStr`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trr_pipelines.errors import SetupError

Port = int
R2_HOST = ".r2.cloudflarestorage.com"
LEAST_SILENCE_SECONDS = 120  # healthy daemons and sensors of Dagster are silent for up to a minute


@dataclass(frozen=True)
class Hours:
    """Daily hours in the machine's time zone; they may span midnight. `end` is exclusive."""

    start: time
    end: time

    def contain(self, moment: datetime) -> bool:
        """Whether a timezone-aware moment lies within these hours."""
        now = moment.astimezone().time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def end_of(self, work: timedelta, begin: datetime) -> datetime:
        """When `work` that starts at `begin` and runs only within these hours is done."""
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
    """Every setting: state, databases, store, concurrency, alerts, secrets."""

    # Compose files express "not set" as an empty variable.
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
    application_db_url: SecretStr | None = Field(
        None, description="database of the application that the bridge reads and publishes to; unset: no bridge"
    )
    api_url: str = Field("", description="URL of the backend; unset: the API of the embedded default")
    admin_url: str = Field("", description="public URL of the admin app; unset: loopback on admin_port")
    dagster_url: str = Field("", description="public URL of Dagster's UI; unset: loopback on dagster_port")
    dagster_users: str = Field(
        "",
        description="users of this machine who may use Dagster's UI besides root and the one who runs it, with commas;"
        " *: everyone who can connect, for a deployment behind a proxy that authenticates",
    )
    media_store: str = Field(
        "",
        description="file:DIR or s3://BUCKET/PREFIX; unset: the bucket of OBJECT_STORAGE_BUCKET or AWS_S3_BUCKET, else"
        " a directory under home",
    )
    media_base_url: str = Field(
        "",
        description="public URL of the store's objects; unset: OBJECT_STORAGE_PUBLIC_BASE_URL or AWS_CDN_BASE_URL of a"
        " bucket, else /media of the API",
    )
    # Names of the application's own settings, so that one environment serves both. Where both are set, those of
    # OBJECT_STORAGE win over those of AWS, as there.
    object_storage_provider: str = Field("", validation_alias="OBJECT_STORAGE_PROVIDER", description="such as r2")
    object_storage_bucket: str = Field("", validation_alias="OBJECT_STORAGE_BUCKET", description="see media_store")
    aws_s3_bucket: str = Field("", validation_alias="AWS_S3_BUCKET", description="see media_store")
    object_storage_public_base_url: str = Field(
        "", validation_alias="OBJECT_STORAGE_PUBLIC_BASE_URL", description="see media_base_url"
    )
    aws_cdn_base_url: str = Field("", validation_alias="AWS_CDN_BASE_URL", description="see media_base_url")
    s3_endpoint_url: str = Field(
        "",
        validation_alias=AliasChoices("OBJECT_STORAGE_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="of an S3 server other than AWS's",
    )
    s3_region: str = Field(
        "",
        validation_alias=AliasChoices("OBJECT_STORAGE_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
        description="of the bucket; unset: as boto3 finds it, and auto on R2",
    )
    # Unset: boto3 finds credentials by AWS's own variables, a profile or a role.
    object_storage_access_key_id: SecretStr | None = Field(None, validation_alias="OBJECT_STORAGE_ACCESS_KEY_ID")
    object_storage_secret_access_key: SecretStr | None = Field(
        None, validation_alias="OBJECT_STORAGE_SECRET_ACCESS_KEY"
    )
    object_storage_session_token: SecretStr | None = Field(None, validation_alias="OBJECT_STORAGE_SESSION_TOKEN")
    api_port: Port = Field(8000, ge=1, le=65535)
    admin_port: Port = Field(8080, ge=1, le=65535)
    dagster_port: Port = Field(3000, ge=1, le=65535)
    render_processes: int = Field(0, ge=0, le=256, description="render processes; 0: one per core")
    backfill_queue: int = Field(2, ge=1, le=100, description="maximum number of queued runs of a backfill")
    backfill_processes: int = Field(
        0, ge=0, le=256, description="render processes of a backfill; 0: as many as render_processes"
    )
    dask_address: str = Field("", description="scheduler of the Dask cluster that renders; unset: this machine renders")
    backfill_hours: Annotated[Hours | None, NoDecode] = Field(
        None, description="hours in which backfills run, such as 22:00-06:00; unset: always"
    )
    alert_webhook: SecretStr | None = Field(
        None, description="URL to post alerts and failed runs to, as JSON; unset: none"
    )
    alert_lag_seconds: int = Field(900, ge=0, description="alert when live work waits longer; 0: no alert")
    alert_parked_photos: int = Field(100, ge=0, description="alert when this many were parked in 24 h; 0: no alert")
    alert_silence_seconds: int = Field(
        300, ge=0, description="seconds without a heartbeat of Dagster's daemon or a sensor (at least 120); 0: no alert"
    )
    alert_disk_percent: float = Field(
        5, ge=0, le=100, description="alert when a disk has less free space or inodes, in percent; 0: no alert at all"
    )
    alert_disk_bytes: int = Field(
        1_000_000_000, ge=0, description="alert when a disk has fewer free bytes; 0: by percent only"
    )
    alert_disk_seconds: int = Field(
        900, ge=0, description="alert when a disk will be full within this time at its present rate; 0: no estimate"
    )
    debug: bool = Field(False, description="show tracebacks of unexpected errors")
    service_role_key: SecretStr | None = Field(None, description="bearer token of the admin app")
    internal_admin_shared_secret: SecretStr | None = Field(None, description="second secret of the admin app")
    screenalytics_service_token: SecretStr | None = Field(
        None, validation_alias="SCREENALYTICS_SERVICE_TOKEN", description="bearer token of Screenalytics"
    )
    internal_admin_jwt_issuer: str = Field(
        "trr-app-internal", min_length=1, description="required `iss` of the app's short-lived tokens"
    )
    internal_admin_jwt_audience: str = Field(
        "trr-backend-internal-admin", min_length=1, description="required `aud` of the app's short-lived tokens"
    )
    supabase_jwt_secret: SecretStr | None = Field(
        None,
        validation_alias="SUPABASE_JWT_SECRET",
        description="HS256 secret of service-role tokens; unset: only service_role_key is the service role",
    )
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret of the sign-in tokens")
    jwks_url: str = Field("", description="URL of the sign-in's public keys (RS256 or ES256), instead of jwt_secret")
    jwt_audience: str = Field("authenticated", min_length=1, description="required `aud` claim of sign-in tokens")
    jwt_issuer: str = Field("", description="required `iss` claim of sign-in tokens; unset: any")
    admin_allowlist: str = Field("", description="e-mails of admins, comma-separated; or file:PATH, one per line")
    smoke_token: SecretStr | None = Field(None, description="sign-in token of an admin, for `trr smoke`")
    metrics_token: SecretStr | None = Field(None, description="bearer token for /metrics; unset: loopback only")
    originals: Literal["public", "signed"] = Field("public", description="public or signed, expiring URLs of originals")
    # NoDecode: pydantic-settings would report invalid JSON alone, before it validates the other settings.
    fetch_allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="non-public networks that imports may fetch from (JSON list of CIDRs)"
    )

    @field_validator("database_url", "screenalytics_db_url", "application_db_url")
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
        """URL of the object store; by default the directory `media` under `home`."""
        bucket = self.object_storage_bucket or self.aws_s3_bucket
        return self.media_store or (f"s3://{bucket}" if bucket else f"file:{self.home / 'media'}")

    @property
    def store_setting(self) -> str:
        """The variable that names the object store; empty for the default directory under `home`."""
        return self._first_set("media_store", "object_storage_bucket", "aws_s3_bucket")

    @property
    def base_url_setting(self) -> str:
        """The variable that names the public URL of objects; empty for /media of the API."""
        names = ["media_base_url"]
        if self.store_url.startswith("s3:"):  # the others are of the bucket
            names += ["object_storage_public_base_url", "aws_cdn_base_url"]
        return self._first_set(*names)

    def _first_set(self, *names: str) -> str:
        return next((_variable_of(name) for name in names if getattr(self, name)), "")

    @cached_property
    def s3_options(self) -> dict[str, str]:
        """Arguments of `storage.s3.s3_client`; boto3 finds what is missing."""
        is_r2 = "r2" in self.object_storage_provider.lower() or R2_HOST in self.s3_endpoint_url
        options = {
            "endpoint_url": self.s3_endpoint_url,
            "region": self.s3_region or ("auto" if is_r2 else ""),
            **{
                f"aws_{name}": secret.get_secret_value()
                for name in ("access_key_id", "secret_access_key", "session_token")
                if (secret := getattr(self, f"object_storage_{name}")) is not None
            },
        }
        return {name: value for name, value in options.items() if value}

    @property
    def is_embedded(self) -> bool:
        """Whether no database or backend is configured: all parts run on this machine, with generated secrets."""
        return self.database_url is None and self.screenalytics_db_url is None and not self.api_url

    @property
    def has_face_bank(self) -> bool:
        """Whether a Screenalytics database is configured, or embedded with the catalogue."""
        return self.screenalytics_db_url is not None or self.database_url is None

    @cached_property
    def backend_url(self) -> str:
        """URL of the backend, without a trailing slash."""
        return self.api_url or f"http://127.0.0.1:{self.api_port}"

    @cached_property
    def dagster_ui_url(self) -> str:
        """Public URL of Dagster's UI, without a trailing slash."""
        return self.dagster_url or f"http://127.0.0.1:{self.dagster_port}"

    @cached_property
    def admin_app_url(self) -> str:
        """Public URL of the admin app, without a trailing slash."""
        return self.admin_url or f"http://127.0.0.1:{self.admin_port}"

    @cached_property
    def base_url(self) -> str:
        """Public base URL of the store's objects, without a trailing slash.

        That of a bucket is extended by the store's prefix in it.
        """
        if self.media_base_url or not self.base_url_setting:
            return (self.media_base_url or f"http://127.0.0.1:{self.api_port}/media").rstrip("/")
        of_bucket = (self.object_storage_public_base_url or self.aws_cdn_base_url).rstrip("/")
        return f"{of_bucket}{urlsplit(self.store_url).path}".rstrip("/")


def _next(now: datetime, clock: time) -> datetime:
    """The next time after `now` at which the clock shows `clock`."""
    today = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def _postgres_url(value: SecretStr, url: str) -> SecretStr:
    """`value`, if libpq accepts `url`. libpq's own messages contain the URL, so they are replaced."""
    try:
        if url.startswith(("postgresql://", "postgres://")):
            conninfo_to_dict(url)
            return value
    except psycopg.ProgrammingError:
        pass
    raise ValueError("must be a PostgreSQL URL (postgresql://USER:PASSWORD@HOST:PORT/DATABASE)")


def load_settings(**overrides: str | None) -> Settings:
    """Read the environment; an override that is not None takes precedence over it.

    Raises SetupError that names every invalid setting, without its value.
    """
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{_variable(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SetupError(f"settings: {problems}") from None


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable of a field; an alias is reported as is."""
    name = str(location[0]) if location else ""
    return name if name.isupper() else f"TRR_{name.upper()}"


def _variable_of(name: str) -> str:
    """The environment variable of the field with this name."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else _variable((name,))
