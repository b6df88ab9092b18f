"""From a source to a raw table: each record becomes a row or a dead letter."""
