"""What happens when the columns of a delivery differ from those of its table."""
