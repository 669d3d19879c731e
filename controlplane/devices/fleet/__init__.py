"""Devices taken together: what each counts as, the counters, what is shown, and who is not waited for any more."""
