"""Dagster's own storage: the PostgreSQL of the settings, or the embedded one. Named in `dagster.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster._config.config_schema import UserConfigSchema
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from trr_pipelines.pipeline.archive import dagster_url
from trr_pipelines.settings import load_settings


class ArchiveRunStorage(DagsterPostgresStorage):
    """dagster-postgres with a URL that needs no environment variable: `storage.postgres` fails where one is unset."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ArchiveRunStorage:
        del config_value  # there is none: see config_type
        return cls(postgres_url=dagster_url(load_settings()), inst_data=inst_data)
