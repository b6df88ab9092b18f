"""JSON: lines and documents of any layout, and the records in them by their path."""
