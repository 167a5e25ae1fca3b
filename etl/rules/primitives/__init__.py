"""What rules of every dialect are made of."""
