"""What this device is to do: as configured, as its organisation sets it, as its access level grants."""
