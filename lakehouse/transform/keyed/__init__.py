"""Tables with keys: upserts, histories and full dumps."""
