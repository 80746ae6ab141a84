"""Asset checks of every batch, of severity ERROR or WARN. None is blocking: one bad photo must not end a run.

A render compares each original with its hash, so a damaged one fails its own photo and stops no other.

docs/checks.md explains each check and what to do when it fails. A new check is a function in `pipeline.checks` and a
line in `CLAIMS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetChecksDefinition, AssetCheckSeverity, asset_check

from trr_pipelines.defs.metadata import finding_metadata
from trr_pipelines.defs.partitions import import_batches
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import guardrails, invariants
from trr_pipelines.pipeline.checks.invariants import Finding

ERROR, WARN = AssetCheckSeverity.ERROR, AssetCheckSeverity.WARN


@dataclass(frozen=True)
class BatchCheck:
    """The asset of a check, the function that evaluates it, and the severity of a failure.

    `evaluate` takes a batch, or None for the whole archive.
    """

    asset: str
    name: str
    evaluate: Callable[[Archive, str | None], Finding]
    severity: AssetCheckSeverity

    @property
    def description(self) -> str:
        consequence = "an error" if self.severity is ERROR else "a warning"
        return f"{self.evaluate.__doc__} A failure is {consequence}."


CLAIMS = (
    BatchCheck("original_images", "originals_are_intact", invariants.originals_are_intact, ERROR),
    BatchCheck("original_images", "originals_within_guardrails", guardrails.originals_within_guardrails, WARN),
    BatchCheck("original_images", "failure_rate_by_source", guardrails.failure_rate_by_source, WARN),
    BatchCheck("base_variants", "variant_sets_are_complete", invariants.variant_sets_are_complete, ERROR),
    BatchCheck("base_variants", "no_row_without_object", invariants.variant_objects_are_intact, ERROR),
    BatchCheck("base_variants", "nothing_was_upscaled", invariants.nothing_was_upscaled, WARN),
    BatchCheck("base_variants", "grid_bytes_fell_by_70_percent", invariants.grid_bytes_fell, WARN),
    BatchCheck("crop_variants", "active_crops_are_rendered", invariants.active_crops_are_rendered, ERROR),
)


def check_result(archive: Archive, finding: Finding, severity: AssetCheckSeverity) -> AssetCheckResult:
    """A finding as a check result of Dagster."""
    metadata = finding_metadata(finding, archive.settings.admin_app_url)
    return AssetCheckResult(passed=finding.passed, severity=severity, metadata=metadata)


def _check_of(claim: BatchCheck) -> AssetChecksDefinition:
    @asset_check(
        asset=claim.asset,
        name=claim.name,
        description=claim.description,
        partitions_def=import_batches,
    )
    def check(context: AssetCheckExecutionContext, archive: ArchiveResource) -> AssetCheckResult:
        opened = archive.get()
        return check_result(opened, claim.evaluate(opened, context.partition_key), claim.severity)

    return check


checks = [_check_of(claim) for claim in CLAIMS]
claims_by_asset: Mapping[str, tuple[BatchCheck, ...]] = {
    asset: tuple(claim for claim in CLAIMS if claim.asset == asset) for asset in {claim.asset for claim in CLAIMS}
}
