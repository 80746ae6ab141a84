"""The only reader of the environment: every setting, its default and its check, all problems reported at once.

Nothing else in this project looks at `os.environ`. Values that are secret are `SecretStr`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from trr_pipelines.errors import SetupError

Port = int


class Settings(BaseSettings):
    """Where state lives, which database and store are used, and how much may run at once."""

    model_config = SettingsConfigDict(env_prefix="TRR_", extra="ignore", frozen=True)

    home: Path = Field(Path(".trr"), description="state of the embedded default, relative to the working directory")
    database_url: SecretStr | None = Field(None, description="catalogue; unset: the embedded PostgreSQL")
    dagster_pg_url: SecretStr | None = Field(None, description="Dagster's storage; unset: the embedded PostgreSQL")
    media_store: str = Field("", description="file:DIR or s3://BUCKET/PREFIX; unset: a directory under home")
    media_base_url: str = Field("", description="where the objects of the store are served")
    api_port: Port = Field(8000, ge=1, le=65535)
    admin_port: Port = Field(8080, ge=1, le=65535)
    dagster_port: Port = Field(3000, ge=1, le=65535)
    render_processes: int = Field(0, ge=0, le=256, description="child processes that render; 0: one per core")
    debug: bool = Field(False, description="show tracebacks of unexpected errors")
    fetch_allow_networks: tuple[str, ...] = Field(
        (), description="networks that imports may fetch from although they are not public (JSON list of CIDRs)"
    )

    @field_validator("database_url", "dagster_pg_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgresql+", "postgres:")):
            raise ValueError("must be a PostgreSQL URL (postgresql://…)")
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @cached_property
    def store_url(self) -> str:
        """The object store's URL, with the embedded default filled in."""
        return self.media_store or f"file:{self.home / 'media'}"

    @cached_property
    def base_url(self) -> str:
        """The URL under which objects are served, without a slash at its end."""
        return (self.media_base_url or f"http://127.0.0.1:{self.api_port}/media").rstrip("/")


def load_settings() -> Settings:
    """Read the environment. Raises SetupError naming every setting that is wrong, without showing its value."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"TRR_{'_'.join(str(part) for part in problem['loc'][:1]).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SetupError(f"settings: {problems}") from None
