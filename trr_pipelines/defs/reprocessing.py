"""Reprocessing failed photos from Dagster's launchpad, as `trr reprocess` does."""

from dagster import Config, Failure, OpExecutionContext, job, op
from pydantic import Field

from trr_pipelines.catalogue.audit import Author
from trr_pipelines.defs.metadata import plan_metadata
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.errors import InputError
from trr_pipelines.pipeline.rework.reprocessing import ReprocessFilter, plan_reprocessing, reprocess


class Failures(Config):
    """Failed photos by reason, source, or both; empty means any."""

    reason: str = Field("", description="reason code, such as truncated")
    source: str = Field("", description="name of a source, such as deadline")
    dry_run: bool = Field(False, description="show the cost; change nothing")


@op(description="Reopen failed work. The sensor retry_failed requests its runs, which report the result.")
def ask_for_failures(context: OpExecutionContext, config: Failures, archive: ArchiveResource) -> None:
    wanted, database = ReprocessFilter("failed", config.reason or None, config.source or None), archive.get().database
    try:
        if config.dry_run:
            plan = plan_reprocessing(database, wanted)
        else:
            plan = reprocess(database, wanted, author=Author(context.run_id, "dagster"))
    except InputError as error:
        raise Failure(str(error), allow_retries=False) from None
    context.add_output_metadata(plan_metadata(plan))
    if plan.id is not None:
        context.log.info("request %s: trr reprocess --report %s --watch", plan.id, plan.id)


@job(
    name="retry_failures",
    description="Reprocess failed photos by reason code and source; with dry_run only show the cost. Each run of"
    " `rerender` for the request has `retry_NUMBER` in its output metadata: fixed, still failing, still open.",
)
def retry_failures() -> None:
    ask_for_failures()
