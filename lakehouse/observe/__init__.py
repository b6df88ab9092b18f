"""What only reads: overviews, reports and SQL."""
