"""Rejected rows and dead letters, and the states that they are in."""
