"""Reports: batches, delivery, operations, and their plots."""
