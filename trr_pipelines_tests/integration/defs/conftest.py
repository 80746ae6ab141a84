"""Dagster over a real archive: the definitions, an instance of the test's own, and the archive they open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, Definitions

from trr_pipelines.pipeline.archive import Archive

# Partitions of checks are in preview in the version that we pin, and Dagster uses what it calls deprecated itself.
DAGSTERS_OWN_WARNINGS = (
    "ignore::dagster.PreviewWarning",
    "ignore::dagster.BetaWarning",
    "ignore:InitResourceContext.dagster_run:DeprecationWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for warning in DAGSTERS_OWN_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture
def defs(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Definitions:
    """The definitions as Dagster loads them; their resource opens the test's archive."""
    from trr_pipelines.definitions import defs as loaded

    assert archive.settings.database_url is not None
    monkeypatch.setenv("TRR_HOME", str(archive.settings.home))
    monkeypatch.setenv("TRR_DATABASE_URL", archive.settings.database_url.get_secret_value())
    monkeypatch.setenv("TRR_MEDIA_STORE", archive.settings.media_store)
    monkeypatch.setenv("TRR_RENDER_PROCESSES", "1")
    return loaded


@pytest.fixture(scope="session")
def dagster_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's storage as files, without a run: making its tables takes 0.22 s, a copy with them 0.07."""
    home = tmp_path_factory.mktemp("dagster")
    with DagsterInstance.local_temp(str(home)) as one:
        one.get_runs_count()
        one.all_instigator_state()
    return home


@pytest.fixture
def instance(dagster_tables: Path, tmp_path: Path) -> Iterator[DagsterInstance]:
    """Dagster's storage, as files of the test's own."""
    with DagsterInstance.local_temp(str(shutil.copytree(dagster_tables, tmp_path / "dagster"))) as one:
        yield one
