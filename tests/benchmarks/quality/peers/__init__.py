"""Schedulers of other tuners, their own classes, played on the same tables by the same clock.

Each is played in a virtual environment of its own, which has the peer and numpy but not this
project's dependencies: modules here and those they use import nothing else.
`make bench-quality-peers` makes the environments in `.peers/`, keeps what was played in
`.peers/curves/`, and shows it beside the project's own.

Rules

* A trial trains step by step, and its scheduler is told each value, as its users would report it.
* Configurations come in the same order as for all others here, unless the name says whose sampler
  draws them. That one draws in the unit cube, in which each parameter is the share of rows that
  have less of it, gets the nearest row not used yet, and is told where that lies.
* A value that is NaN is told as it is to who ranks it, else as a number beyond all.
"""
