"""Seats, and the keys and licences that give them."""
