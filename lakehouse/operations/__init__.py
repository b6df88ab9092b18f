"""What people do with tables: replay, restore."""
