"""The campaign of faults: kills, writers, broken files and failing stores, by seed; `make campaign`."""
