"""Alerts in Dagster: the sensor that looks for them and hands them over, and what of Dagster itself is silent.

The conditions are in `pipeline.alerting.alerts`. A dead daemon takes this sensor with it: the API notices that
it no longer looks, and `trr alerts` looks from outside.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetObservation,
    AssetSpec,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.metadata import Metadata, table
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.defs.run_failures import failed_run
from trr_pipelines.pipeline.alerting import alerts as use_cases
from trr_pipelines.pipeline.alerting.alerts import Silence
from trr_pipelines.pipeline.alerting.messages import deliver
from trr_pipelines.pipeline.archive import Archive

LOOK_SECONDS = 30
# Sensors tick when the daemon gets round to them: 10 intervals are a long time for those of 2 s, and enough for others.
INTERVALS = 10
# `failed_runs` has a run within 5 s; what it could not record, because the catalogue was away, is found by this.
MISSED_AFTER = timedelta(minutes=1)
MISSED_WITHIN = timedelta(days=1)
MISSED_RUNS = 50

alerts_asset = AssetSpec(
    use_cases.SENSOR,
    description="Alerts as an external asset: an observation whenever one begins or ends, with all that is open."
    " The sensor of the same name looks every 30 seconds; `docs/operations.md` has the thresholds.",
    group_name="operations",
    kinds={"dagster", "postgres"},
    owners=OWNERS,
)


@sensor(
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    name=use_cases.SENSOR,
    description="Evaluates alerts (overdue live work, parked photos and batches, daemons and sensors without a"
    " heartbeat, a full disk). Notifies the webhook (TRR_ALERT_WEBHOOK) once when an alert opens and once when it"
    " ends, and of failed runs.",
)
def watch(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    opened, instance = archive.get(), context.instance
    before = use_cases.last_look(opened.database)
    if before is not None:
        for run_id in _record_missed(opened, instance, first_look=before[1]):
            context.log.warning("run %s failed and was not recorded yet", run_id)
    # After a gap, others had no chance to tick yet.
    is_steady = before is not None and before[0] < 3 * LOOK_SECONDS
    assert context.repository_def is not None
    limit = opened.settings.alert_silence_seconds
    silent = list(silences(instance, context.repository_def.sensor_defs, limit)) if is_steady else None
    seen = use_cases.look(opened, silences=silent, watcher=use_cases.SENSOR)
    for kind in seen.raised:
        context.log.warning("alert %s", kind)
    for kind in seen.resolved:
        context.log.info("resolved: %s", kind)
    delivered = deliver(opened)
    if delivered.messages:
        context.log.info("sent to the webhook: %s", ", ".join(delivered.kinds))
    if delivered.problem:
        context.log.warning("the webhook took no more: %s; the rest is kept", delivered.problem)
    told = "; ".join(one.text for one in seen.holding) or "nothing"
    changed = seen.raised or seen.resolved
    return SensorResult(
        skip_reason=f"open: {told}",
        asset_events=[_observation(seen)] if changed else [],
    )


def silences(instance: DagsterInstance, sensors: Iterable[SensorDefinition], limit: float) -> Iterator[Silence]:
    """Daemons, and sensors that are on, that were not heard of for longer than `limit` seconds (0: none counts).

    A sensor that nobody ever evaluated counts only by its daemon; one that somebody switched off is silent on purpose.
    """
    if not limit:
        return
    now = time.time()
    for name, status in sorted(instance.get_daemon_statuses().items()):
        heard = None if status.last_heartbeat is None else now - status.last_heartbeat.timestamp
        if status.required and (heard is None or heard > limit):
            yield Silence(f"daemon {name.lower()}", heard, limit)
    ticked: dict[str, float] = {}
    for state in instance.all_instigator_state():
        data = state.sensor_instigator_data
        if state.is_running and data is not None and data.last_tick_timestamp is not None:
            ticked[state.instigator_name] = max(data.last_tick_timestamp, ticked.get(state.instigator_name, 0))
    for one in sensors:
        most = max(limit, INTERVALS * (one.minimum_interval_seconds or LOOK_SECONDS))
        if one.name in ticked and now - ticked[one.name] > most:
            yield Silence(f"sensor {one.name}", now - ticked[one.name], most)


def _record_missed(archive: Archive, instance: DagsterInstance, *, first_look: datetime) -> list[str]:
    now = datetime.now(UTC)
    records = instance.get_run_records(
        RunsFilter(
            statuses=[DagsterRunStatus.FAILURE],
            updated_after=max(first_look, now - MISSED_WITHIN),
            updated_before=now - MISSED_AFTER,
        ),
        limit=MISSED_RUNS,
    )
    runs = {record.dagster_run.run_id: record.dagster_run for record in records}
    missed = use_cases.unrecorded(archive.database, list(runs)) if runs else set()
    for run_id in missed:
        use_cases.record_failed_run(archive.database, failed_run(archive, instance, runs[run_id], None))
    return sorted(missed)


def _observation(seen: use_cases.AlertChanges) -> AssetObservation:
    rows = [{"kind": one.kind, "what": one.text} for one in seen.holding]
    began, ended = ", ".join(seen.raised) or "nothing", ", ".join(seen.resolved) or "nothing"
    metadata: Metadata = {"open": len(rows), "began": began, "ended": ended}
    if rows:
        metadata["alerts"] = table(rows)
    return AssetObservation(use_cases.SENSOR, metadata=metadata)
