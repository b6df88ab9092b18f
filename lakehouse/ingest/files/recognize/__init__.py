"""What an undeclared file looks like: a declaration that would read it, from a bounded sample.

Belongs here: guesses about bytes, and how sure they are. Does not belong here: reading files whose
look is declared. A guess is never applied: people see it, and declare it.
"""
