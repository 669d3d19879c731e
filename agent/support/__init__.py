"""Finding out what is wrong with an installation, and taking it to somebody who can help."""
