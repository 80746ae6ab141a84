"""The face bank as the pipeline sees it: seeds, imports and removals."""
