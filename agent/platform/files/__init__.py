"""Files on systems where somebody hostile may be working on the same ones: opened, locked, written whole."""
