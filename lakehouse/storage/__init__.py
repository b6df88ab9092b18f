"""Delta tables in a folder or a bucket: reading them, their logs, locks and the engines below."""
