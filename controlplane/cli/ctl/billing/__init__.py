"""What is asked for, paid and given back."""
