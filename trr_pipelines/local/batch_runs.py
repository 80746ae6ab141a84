"""Run the job of a batch in this process, recorded in Dagster's storage like any other run. No daemon is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dagster import AssetMaterialization, DagsterInstance, ExecuteInProcessResult

from trr_pipelines.catalogue import dispatches
from trr_pipelines.defs.lanes import SCOPE_TAG
from trr_pipelines.defs.partitions import import_batches
from trr_pipelines.defs.run_failures import step_failure
from trr_pipelines.defs.run_workers import process_tag


@dataclass(frozen=True)
class BatchRun:
    """The result of a run of one batch: `problem` is one line, empty when it succeeded. Counts are of this run only."""

    batch: str
    run_id: str
    succeeded: bool
    problem: str
    photos: int
    objects_written: int
    rows_written: int
    seconds: float

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return asdict(self)


@contextmanager
def local_instance(home: Path) -> Iterator[DagsterInstance]:
    """Dagster's instance as `home/dagster.yaml` configures it; DAGSTER_HOME is not needed."""
    with DagsterInstance.from_config(str(home)) as instance:
        yield instance


def run_batch(instance: DagsterInstance, batch: str, *, log_level: str = "CRITICAL") -> BatchRun:
    """Run the job `import_batch` for one batch. A failed step returns `succeeded=False`.

    Every event is recorded in Dagster's storage; events of `log_level` and above are printed to stderr too.
    """
    from trr_pipelines.definitions import defs  # 0.6 s, and preview warnings of Dagster that importers must filter

    instance.add_dynamic_partitions(str(import_batches.name), [batch])
    result = defs.resolve_job_def("import_batch").execute_in_process(
        instance=instance,
        partition_key=batch,
        run_config={"loggers": {"console": {"config": {"log_level": log_level}}}},
        tags={SCOPE_TAG: dispatches.batch_scope(batch), **process_tag()},
        raise_on_error=False,
    )
    originals, variants = _did(result, "original_images"), _did(result, "base_variants")
    return BatchRun(
        batch,
        result.run_id,
        result.success,
        next(filter(None, map(step_failure, result.all_events)), ""),
        variants.get("run_photos", 0),
        originals.get("run_objects_written", 0) + variants.get("run_objects_written", 0),
        variants.get("run_rows_written", 0),
        originals.get("run_seconds", 0.0) + variants.get("run_seconds", 0.0),
    )


def _did(result: ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The metadata of an asset about this run."""
    materializations = [
        event.event_specific_data.materialization  # type: ignore[union-attr]
        for event in result.get_asset_materialization_events()
    ]
    found: list[AssetMaterialization] = [one for one in materializations if one.asset_key.path == [asset]]
    return {name: value.value for one in found for name, value in one.metadata.items() if name.startswith("run_")}
