"""The campaign of faults: kills, writers and broken files, by seed; `make campaign`."""
