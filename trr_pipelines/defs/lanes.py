"""The two lanes of runs, and the tags that say which one a run is in. `dagster.yaml` caps what carries these tags."""

from collections.abc import Mapping

SCOPE_TAG = "trr/scope"
LANE_TAG = "trr/lane"
LIVE = "live"
BACKFILL = "backfill"
# Which backfill of the catalogue asked for a run.
BACKFILL_TAG = "trr/backfill"
# Dagster's own, on every run of a backfill that was launched in its UI.
UI_BACKFILL_TAG = "dagster/backfill"


def is_backfill(tags: Mapping[str, str]) -> bool:
    """Whether a run is one of many that nobody waits for: it must leave the machine to those of the live lane."""
    return tags.get(LANE_TAG) == BACKFILL or UI_BACKFILL_TAG in tags
