"""The two lanes of runs, and their tags. `dagster.yaml` limits the concurrency of runs with these tags."""

from collections.abc import Mapping

SCOPE_TAG = "trr/scope"
LANE_TAG = "trr/lane"
LIVE = "live"
BACKFILL = "backfill"
# The backfill of the catalogue that a run belongs to.
BACKFILL_TAG = "trr/backfill"
# Set by Dagster on every run of a backfill that was launched in its UI.
UI_BACKFILL_TAG = "dagster/backfill"


def is_backfill(tags: Mapping[str, str]) -> bool:
    """Whether a run belongs to a backfill: it leaves the machine to runs of the live lane."""
    return tags.get(LANE_TAG) == BACKFILL or UI_BACKFILL_TAG in tags
