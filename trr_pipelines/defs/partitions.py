"""Partitions: buckets of photos. What a photo's state is stands in the ledger, never in a partition."""

from dagster import DynamicPartitionsDefinition

import_batches = DynamicPartitionsDefinition(name="import_batches")
