"""From raw to staged to marts: read the inputs, transform, judge, publish."""
