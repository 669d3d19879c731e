"""Clock, randomness, refusals: what every capability stands on."""
