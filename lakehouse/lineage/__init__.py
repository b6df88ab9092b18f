"""What changed, what each period was built from, and what is stale."""
