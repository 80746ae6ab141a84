"""The owner's application in Dagster, where TRR_APPLICATION_DB_URL is set: its tables, publications, a sensor.

Without that setting nothing of this is loaded.
"""

import atexit
import time
from collections.abc import Callable
from functools import cache

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    ConfigurableResource,
    DefaultSensorStatus,
    Definitions,
    In,
    MaterializeResult,
    Nothing,
    OpExecutionContext,
    SensorEvaluationContext,
    SensorResult,
    asset,
    asset_check,
    definitions,
    op,
    sensor,
)
from pydantic import Field

from trr_pipelines.bridge import checks as bridge_checks
from trr_pipelines.bridge.application import Application, first_line
from trr_pipelines.bridge.following import PUBLISH_SECONDS, follow_once
from trr_pipelines.bridge.publishing import publish_due
from trr_pipelines.catalogue import application as catalogue
from trr_pipelines.catalogue.database import RETRYABLE
from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.checks import check_result
from trr_pipelines.defs.partitions import import_batches
from trr_pipelines.defs.resources import APPLICATION_TABLES, ArchiveResource, from_environment, is_bridged
from trr_pipelines.errors import SetupError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks.invariants import Finding
from trr_pipelines.settings import load_settings

GROUP = "application"
PUBLISHED_GROUP = "publications"  # of its own: the graph of groups would go round in a circle
TICK_SECONDS = 3
# Dagster evaluates sensors every 5 s, all at once. A second look shortly before the next round lets that round request
# the runs of what it finds, instead of the one after.
SECOND_LOOK_SECONDS = 3.5

ERROR, WARN = AssetCheckSeverity.ERROR, AssetCheckSeverity.WARN


class ApplicationResource(ConfigurableResource):  # type: ignore[type-arg]
    """The application's database of `TRR_APPLICATION_DB_URL`, through at most two connections of each process."""

    database_url: str | None = Field(None, description="URL of the application's database")

    def get(self) -> Application:
        """The application, opened on first use. Raises SetupError."""
        settings = load_settings(application_db_url=self.database_url)
        if settings.application_db_url is None:
            raise SetupError("TRR_APPLICATION_DB_URL is not set")
        return _opened(settings.application_db_url.get_secret_value())


@cache
def _opened(url: str) -> Application:
    application = Application(url).open()
    atexit.register(application.close)
    return application


_TABLES = {
    "media_assets": "Photos of the application. Its rows are photos of the catalogue under the same ids.",
    "media_links": "The galleries of the application: photos of shows, seasons and people, with crop intents.",
    "cast_photos": "The legacy photos of people, a second source.",
}
tables = [
    AssetSpec(
        AssetKey.from_user_string(APPLICATION_TABLES[name]),
        description=text,
        group_name=GROUP,
        kinds={"postgres"},
        owners=OWNERS,
    )
    for name, text in _TABLES.items()
]


@asset(
    partitions_def=import_batches,
    deps=["base_variants", "crop_variants", AssetKey.from_user_string(APPLICATION_TABLES["media_links"])],
    group_name=PUBLISHED_GROUP,
    kinds={"python", "postgres"},
    owners=OWNERS,
    code_version="1",
)
def published_variants(
    context: AssetExecutionContext, archive: ArchiveResource, application: ApplicationResource
) -> MaterializeResult[None]:
    """What readers of the application find for the photos of a batch: URLs of derivatives in `media_assets.metadata`
    and in the context of links, and rows of `media_asset_variants`. More: docs/bridge.md."""
    database, batch = archive.get().database, context.partition_key
    ended = publish_due(database, application.get(), batch=batch)
    numbers = database.read(lambda conn: catalogue.batch_numbers(conn, batch))
    return MaterializeResult(
        metadata={
            "dagster/partition_row_count": numbers.published,
            "rows": numbers.rows,
            "published": numbers.published,
            "due": numbers.due,
            "failing": numbers.failing,
            "overwritten": numbers.overwritten,
            "run_published": ended["published"],
            "run_failed": ended["failed"],
        }
    )


@op(
    ins={"rendered": In(Nothing)},
    description="Publish what is due, at once after listed photos were rendered: the crop of an edit, for example.",
)
def publish_rerendered_photos(
    context: OpExecutionContext, archive: ArchiveResource, application: ApplicationResource
) -> None:
    try:
        ended = publish_due(archive.get().database, application.get(), seconds=PUBLISH_SECONDS)
    except (*RETRYABLE, SetupError) as error:
        # The photos are rendered, which is what the run was requested for: the sensor publishes them later.
        context.log.warning("not published yet: %s", first_line(error))
        return
    context.add_output_metadata({"run_published": ended["published"], "run_failed": ended["failed"]})


def _check_of(
    evaluate: Callable[[Archive, Application, str | None], Finding], severity: AssetCheckSeverity
) -> AssetChecksDefinition:
    consequence = "an error" if severity is ERROR else "a warning"

    @asset_check(
        asset=published_variants,
        name=evaluate.__name__,
        description=f"{evaluate.__doc__} A failure is {consequence}.",
        partitions_def=import_batches,
    )
    def check(
        context: AssetCheckExecutionContext, archive: ArchiveResource, application: ApplicationResource
    ) -> AssetCheckResult:
        opened = archive.get()
        return check_result(opened, evaluate(opened, application.get(), context.partition_key), severity)

    return check


checks = [
    _check_of(bridge_checks.published_is_what_was_rendered, WARN),
    _check_of(bridge_checks.no_published_url_is_dead, ERROR),
    _check_of(bridge_checks.nothing_of_others_was_changed, ERROR),
]


@sensor(
    name="application_changes",
    minimum_interval_seconds=TICK_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Takes new and changed rows of the application (without an index on updated_at once a minute, deletions"
    " once an hour), writes edits back, and publishes what runs have rendered.",
)
def application_changes(
    context: SensorEvaluationContext, archive: ArchiveResource, application: ApplicationResource
) -> SensorResult:
    opened, followed = archive.get(), application.get()
    step = follow_once(opened, followed)
    if not str(step):
        time.sleep(SECOND_LOOK_SECONDS)
        step = follow_once(opened, followed)
    if str(step):
        context.log.info("%s", step)
    return SensorResult(skip_reason=str(step) or "nothing has changed")


@definitions
def application_definitions() -> Definitions:
    """Everything of this module, or nothing where no application is configured."""
    if not is_bridged():
        return Definitions()
    return Definitions(
        assets=[*tables, published_variants],
        asset_checks=checks,
        sensors=[application_changes],
        resources={"application": ApplicationResource(database_url=from_environment("TRR_APPLICATION_DB_URL"))},
    )
