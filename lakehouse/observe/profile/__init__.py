"""The profile of a delivered file: what it looks like, and what each of its columns holds.

Belongs here: facts about values, and which types would read them. Does not belong here: what a
declaration for them looks like (`scaffold/`), and printing (`cli/`).
"""
