"""Delivery in Dagster: numbers that plot, pictures and tables in the metadata, and the schedule."""

from __future__ import annotations

from dagster import DagsterInstance, DefaultScheduleStatus, Definitions, TableMetadataValue

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import add_photo, value


def test_figures_are_numbers_that_plot_and_tables(
    defs: Definitions, instance: DagsterInstance, archive: Archive
) -> None:
    person = value(archive.database, "insert into core.people (full_name) values ('Person One') returning id")
    add_photo(archive.database, person, 1, served=True, seed=False)
    result = defs.resolve_job_def("measure_delivery").execute_in_process(instance=instance)
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    numbers = {name: entry.value for name, entry in metadata.items() if type(entry.value) in (int, float)}
    assert numbers["photos_mirrored"] == 1
    assert numbers["saved_bytes_per_picture"] == 0
    assert numbers["original_p50_bytes"] == 1000
    assert isinstance(metadata["last_days"], TableMetadataValue)


def test_the_schedule_is_on_by_default_and_stays_behind_live_work(defs: Definitions) -> None:
    schedule = defs.resolve_schedule_def("delivery_through_the_day")
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    assert defs.resolve_job_def(schedule.job_name).tags["trr/lane"] == "backfill"
