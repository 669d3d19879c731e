"""The exit status of a program that Ctrl-C ended; apart, for it is needed before anything else is loaded."""

#: 128 + SIGINT, as shells report it.
EXIT_INTERRUPTED = 130
