"""What files are packed in: compressions and archives, and what suffixes say."""
