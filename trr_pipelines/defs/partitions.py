"""Partitions: batches of photos. The state of a photo is in the ledger, not in its partition."""

from dagster import DynamicPartitionsDefinition

import_batches = DynamicPartitionsDefinition(name="import_batches")
