"""Help that finds the cause itself: check-ups that name what to do, bundles of evidence for who can help."""
