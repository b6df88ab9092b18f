"""The project of this process: its settings, its data folder, and the lakehouse made of them."""
