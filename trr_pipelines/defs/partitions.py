"""Partitions: batches of photos. The state of a photo is in the ledger, not in its partition.

The catalogue knows every key first. Dagster may lose keys: a user deletes a partition in the UI, or its database is
restored from an earlier state. A request for a run of an unknown partition fails the whole tick, so sensors add the
partitions that they request.
"""

from collections.abc import Iterable

from dagster import AddDynamicPartitionsRequest, DagsterInstance, DynamicPartitionsDefinition

import_batches = DynamicPartitionsDefinition(name="import_batches")


def add_missing(
    instance: DagsterInstance, partitions: DynamicPartitionsDefinition, keys: Iterable[str]
) -> list[AddDynamicPartitionsRequest]:
    """The request that adds those of `keys` that Dagster lacks; none if it has all."""
    name = str(partitions.name)
    missing = [key for key in dict.fromkeys(keys) if not instance.has_dynamic_partition(name, key)]
    return [partitions.build_add_request(missing)] if missing else []
