"""The catalogue's side of the face bank: seeds, imports, deleted photos, casts."""
