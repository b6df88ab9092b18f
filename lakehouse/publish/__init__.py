"""The only way in which a table changes: write the files, audit them, commit."""
