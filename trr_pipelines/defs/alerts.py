"""Alerts in Dagster: the sensor that evaluates and delivers them, and which daemons and sensors stopped.

The conditions are in `pipeline.alerting.alerts`. When the daemon is dead this sensor does not run either: the API
detects that, and `trr alerts` evaluates from outside Dagster.
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
    RepositoryDefinition,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.metadata import Metadata, table
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.defs.run_failures import failed_run
from trr_pipelines.pipeline.alerting import alerts as use_cases
from trr_pipelines.pipeline.alerting.alerts import FailingTicks, Silence, WaitingRuns
from trr_pipelines.pipeline.alerting.messages import deliver, without_secrets
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings

EVALUATION_SECONDS = 30
# The daemon may tick a sensor late: 10 intervals are long for one of 2 s, and enough for the others.
INTERVALS = 10
# One failed tick is an outage that passes, such as a restart of the database.
FAILED_TICKS = 5
# A queue in which no run starts or ends for so long does not move: a run starts within seconds.
STALLED_SECONDS = 180
MOVING = [
    status for status in DagsterRunStatus if status not in (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED)
]
ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
# `failed_runs` records a run within 5 s; this finds those that it missed while the catalogue was unavailable.
MISSED_AFTER = timedelta(minutes=1)
MISSED_WITHIN = timedelta(days=1)
MISSED_RUNS = 50

alerts_asset = AssetSpec(
    use_cases.SENSOR,
    description="Alerts as an external asset: an observation when an alert opens or ends, with all open alerts."
    " The sensor of the same name evaluates them every 30 seconds; `docs/operations.md` has the thresholds.",
    group_name="operations",
    kinds={"dagster", "postgres"},
    owners=OWNERS,
)


@sensor(
    minimum_interval_seconds=EVALUATION_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    name=use_cases.SENSOR,
    description="Evaluates alerts (overdue live work, parked photos and batches, daemons and sensors without a"
    " heartbeat, ticks that fail in a row, a queue that does not move, a full disk). Notifies the webhook (TRR_ALERT_WEBHOOK) once when an"
    " alert opens and once when it ends, and of failed runs.",
)
def evaluate_alerts(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    opened, instance = archive.get(), context.instance
    before = use_cases.last_evaluation(opened.database)
    if before is not None:
        for run_id in _record_missed(opened, instance, since=before[1]):
            context.log.warning("failed run %s was not recorded yet", run_id)
    # After a gap in this sensor's ticks, the other sensors may not have ticked yet either.
    is_steady = before is not None and before[0] < 3 * EVALUATION_SECONDS
    assert context.repository_def is not None
    limit = opened.settings.alert_silence_seconds
    silent = list(silences(instance, context.repository_def.sensor_defs, limit)) if is_steady else None
    failing = list(failing_ticks(instance, context.repository_def, opened.settings))
    changes = use_cases.evaluate(
        opened, silences=silent, failing=failing, waiting=waiting_runs(instance), watcher=use_cases.SENSOR
    )
    for kind in changes.raised:
        context.log.warning("alert %s", kind)
    for kind in changes.resolved:
        context.log.info("resolved: %s", kind)
    delivered = deliver(opened)
    if delivered.messages:
        context.log.info("sent to the webhook: %s", ", ".join(delivered.kinds))
    if delivered.problem:
        context.log.warning("the webhook refused a message: %s; the others are kept", delivered.problem)
    texts = "; ".join(condition.text for condition in changes.holding) or "nothing"
    return SensorResult(
        skip_reason=f"open: {texts}",
        asset_events=[_observation(changes)] if changes.raised or changes.resolved else [],
    )


def silences(instance: DagsterInstance, sensors: Iterable[SensorDefinition], limit: float) -> Iterator[Silence]:
    """Required daemons and running sensors without a heartbeat for more than `limit` seconds (0: never an alert).

    A sensor without any tick is not reported, since its daemon is; a stopped sensor is not reported either.
    """
    if not limit:
        return
    now = time.time()
    for name, status in sorted(instance.get_daemon_statuses().items()):
        age = None if status.last_heartbeat is None else now - status.last_heartbeat.timestamp
        if status.required and (age is None or age > limit):
            yield Silence(f"daemon {name.lower()}", age, limit)
    last_ticks: dict[str, float] = {}
    for state in instance.all_instigator_state():
        data = state.sensor_instigator_data
        if state.is_running and data is not None and data.last_tick_timestamp is not None:
            last_ticks[state.instigator_name] = max(data.last_tick_timestamp, last_ticks.get(state.instigator_name, 0))
    for running in sensors:
        limit_of_sensor = max(limit, INTERVALS * (running.minimum_interval_seconds or EVALUATION_SECONDS))
        age = now - last_ticks.get(running.name, now)
        if age > limit_of_sensor:
            yield Silence(f"sensor {running.name}", age, limit_of_sensor)


def failing_ticks(
    instance: DagsterInstance, repository: RepositoryDefinition, settings: Settings
) -> Iterator[FailingTicks]:
    """Running sensors and schedules whose last five ticks failed, with the error of the newest, without secrets."""
    present = {one.name for one in repository.sensor_defs} | {one.name for one in repository.schedule_defs}
    for state in sorted(instance.all_instigator_state(), key=lambda state: state.instigator_name):
        if not state.is_running or state.instigator_name not in present:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=FAILED_TICKS, statuses=ENDED)
        if len(ticks) == FAILED_TICKS and all(tick.status is TickStatus.FAILURE for tick in ticks):
            kind = state.instigator_type.value.lower()
            yield FailingTicks(
                f"{kind} {state.instigator_name}", FAILED_TICKS, without_secrets(_tick_error(ticks[0]), settings)
            )


def waiting_runs(instance: DagsterInstance, *, seconds: float = STALLED_SECONDS) -> WaitingRuns | None:
    """The runs that have been queued for long while none started or ended; None when there are none, or one did."""
    limit = datetime.now(UTC) - timedelta(seconds=seconds)
    queued = RunsFilter(statuses=[DagsterRunStatus.QUEUED], created_before=limit)
    oldest = instance.get_run_records(queued, limit=1, ascending=True)
    if not oldest or instance.get_run_records(RunsFilter(statuses=MOVING, updated_after=limit), limit=1):
        return None
    waited = (datetime.now(UTC) - oldest[0].create_timestamp).total_seconds()
    return WaitingRuns(instance.get_runs_count(queued), waited)


def _tick_error(tick: InstigatorTick) -> str:
    """The cause of a failed tick in one line, without the traceback."""
    error = tick.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error is not None else "no cause recorded by Dagster"


def _record_missed(archive: Archive, instance: DagsterInstance, *, since: datetime) -> list[str]:
    now = datetime.now(UTC)
    records = instance.get_run_records(
        RunsFilter(
            statuses=[DagsterRunStatus.FAILURE],
            updated_after=max(since, now - MISSED_WITHIN),
            updated_before=now - MISSED_AFTER,
        ),
        limit=MISSED_RUNS,
    )
    runs = {record.dagster_run.run_id: record.dagster_run for record in records}
    missed = use_cases.unrecorded(archive.database, list(runs)) if runs else set()
    for run_id in missed:
        use_cases.record_failed_run(archive.database, failed_run(archive, instance, runs[run_id], None))
    return sorted(missed)


def _observation(changes: use_cases.AlertChanges) -> AssetObservation:
    rows = [{"kind": condition.kind, "what": condition.text} for condition in changes.holding]
    began, ended = ", ".join(changes.raised) or "nothing", ", ".join(changes.resolved) or "nothing"
    metadata: Metadata = {"open": len(rows), "began": began, "ended": ended}
    if rows:
        metadata["alerts"] = table(rows)
    return AssetObservation(use_cases.SENSOR, metadata=metadata)
