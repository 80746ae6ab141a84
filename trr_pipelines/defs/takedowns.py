"""Takedowns in Dagster: a sensor that works off what takedowns have left, whoever began them and however they ended."""

from dagster import DefaultSensorStatus, SensorEvaluationContext, SensorResult, sensor

from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.pipeline.archive import dagster_events_url
from trr_pipelines.pipeline.takedown.dagster_events import remove_traces
from trr_pipelines.pipeline.takedown.finishing import finish_unfinished
from trr_pipelines.pipeline.takedown.recall import follow_store

# A tick ends after 60 s at the latest; the next one goes on.
SECONDS_PER_TICK = 20


@sensor(
    name="takedowns",
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Finishes takedowns that were cut off: deletes what is left of their photos in the store, and their"
    " pictures in Dagster's events. Repeats takedowns that a restored catalogue does not know. The sensor"
    " `facebank_removals` removes them from the face bank.",
)
def finish_takedowns(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    opened = archive.get()
    follow_store(opened)
    photos = finish_unfinished(opened, seconds=SECONDS_PER_TICK)
    url = dagster_events_url(opened.settings)
    in_events = 0 if url is None else remove_traces(opened, url)
    if photos or in_events:
        context.log.info("takedowns: objects of %s photos, events of %s photos", photos, in_events)
    return SensorResult(skip_reason=f"takedowns finished: {photos}; removed from Dagster's events: {in_events}")
