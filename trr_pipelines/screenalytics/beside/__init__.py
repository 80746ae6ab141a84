"""Our schema `trr_face_bank` in the application's database, beside its table of faces."""
