"""XML: the records of a document by their path, in bounded memory."""
