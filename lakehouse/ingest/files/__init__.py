"""Reading delivered files: landing, formats, and the record ledger."""
