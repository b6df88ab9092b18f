"""What formats of text share: lines, encodings, and what stands around the records."""
