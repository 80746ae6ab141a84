"""Photo derivatives for TRR, an entertainment archive: imported, rendered, catalogued, served."""
