"""What changed, what each period was made from, and what is stale."""
