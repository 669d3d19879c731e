"""The only room that knows operating systems."""
