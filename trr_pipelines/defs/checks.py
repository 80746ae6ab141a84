"""Asset checks: claims that must hold of every batch. ERROR stops what is downstream, WARN never does.

What each means and what to do when it fails is in docs/checks.md.
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


@dataclass(frozen=True)
class BatchCheck:
    """A check to be: the asset it is about, the function that looks, and whether its failure stops a run.

    `look` takes a batch, or None for the whole archive.
    """

    asset: str
    name: str
    look: Callable[[Archive, str | None], Finding]
    blocking: bool

    @property
    def severity(self) -> AssetCheckSeverity:
        return AssetCheckSeverity.ERROR if self.blocking else AssetCheckSeverity.WARN

    @property
    def description(self) -> str:
        consequence = "Where it fails, nothing downstream is made." if self.blocking else "A warning: it stops nothing."
        return f"{self.look.__doc__} {consequence}"


CLAIMS = (
    BatchCheck("original_images", "originals_are_intact", invariants.originals_are_intact, True),
    BatchCheck("original_images", "originals_within_guardrails", guardrails.originals_within_guardrails, False),
    BatchCheck("original_images", "failure_rate_by_source", guardrails.failure_rate_by_source, False),
    BatchCheck("base_variants", "variant_sets_are_complete", invariants.variant_sets_are_complete, True),
    BatchCheck("base_variants", "no_row_without_object", invariants.variant_objects_are_intact, True),
    BatchCheck("base_variants", "nothing_was_upscaled", invariants.nothing_was_upscaled, False),
    BatchCheck("base_variants", "grid_bytes_fell_by_70_percent", invariants.grid_bytes_fell, False),
    BatchCheck("crop_variants", "active_crops_are_rendered", invariants.active_crops_are_rendered, True),
)


def check_result(archive: Archive, finding: Finding, severity: AssetCheckSeverity) -> AssetCheckResult:
    """A finding as Dagster takes it."""
    metadata = finding_metadata(finding, archive.settings.admin_app_url)
    return AssetCheckResult(passed=finding.passed, severity=severity, metadata=metadata)


def _check_of(claim: BatchCheck) -> AssetChecksDefinition:
    @asset_check(
        asset=claim.asset,
        name=claim.name,
        description=claim.description,
        blocking=claim.blocking,
        partitions_def=import_batches,
    )
    def check(context: AssetCheckExecutionContext, archive: ArchiveResource) -> AssetCheckResult:
        opened = archive.get()
        return check_result(opened, claim.look(opened, context.partition_key), claim.severity)

    return check


checks = [_check_of(claim) for claim in CLAIMS]
claims_by_asset: Mapping[str, tuple[BatchCheck, ...]] = {
    asset: tuple(claim for claim in CLAIMS if claim.asset == asset) for asset in {claim.asset for claim in CLAIMS}
}
