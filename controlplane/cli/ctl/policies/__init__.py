"""What an organisation sets on its devices."""
