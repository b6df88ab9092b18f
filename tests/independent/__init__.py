"""Figures of the marts computed from the source files by code that shares nothing with the pipeline."""
