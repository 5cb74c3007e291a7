"""The search as pure computation: no clock, I/O, environment or logging; randomness handed in."""
