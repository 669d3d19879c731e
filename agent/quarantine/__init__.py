"""The vault that files are taken to, and the journal that makes it survive a crash."""
