"""Reporting: figures of batches, of delivery, and of the whole operation."""
