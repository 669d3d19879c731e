"""`buckler scan`: its flags, what they ask for, and the scan they start."""
