"""Simulation of the whole engine in virtual time; see `tests/README.md`."""
