"""The vault: taking infected files out of their place so that nothing is lost and nobody who races us gains."""
