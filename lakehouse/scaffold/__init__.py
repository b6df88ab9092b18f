"""First files of a table or of a project, written from what a delivered file looks like.

Belongs here: Python source for people to go on with. Does not belong here: finding out what a file
looks like (`ingest/files/recognize/`) and what it holds (`observe/profile/`).
"""
