"""Plans and what they grant, as versioned data."""
