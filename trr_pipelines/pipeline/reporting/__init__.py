"""Reports: batches, delivery and operations."""
