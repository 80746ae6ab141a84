"""Dagster's own storage: the PostgreSQL of the settings, or the embedded one. Named in `dagster.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import psycopg
from dagster_postgres import DagsterPostgresStorage

from trr_pipelines.defs.run_workers import RunStorage
from trr_pipelines.pipeline.archive import dagster_url
from trr_pipelines.settings import load_settings

if TYPE_CHECKING:  # Dagster exports the types of this interface nowhere else
    from dagster._config.config_schema import UserConfigSchema
    from dagster._serdes import ConfigurableClassData

CONNECT_SECONDS = 10
TABLES_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('dagster tables', 0))"


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
        url = dagster_url(load_settings())
        # Dagster checks for its tables and creates them without a lock: on an empty database, of several processes
        # that start at the same time one or more fail with "type event_logs already exists".
        with psycopg.connect(f"postgresql://{url.partition('://')[2]}", connect_timeout=CONNECT_SECONDS) as conn:
            conn.execute(TABLES_LOCK)
            storage = cls(postgres_url=url, inst_data=inst_data)
            storage._run_storage = RunStorage(url)
            return storage
