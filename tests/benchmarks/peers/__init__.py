"""Ray Tune, Optuna and Syne Tune at the same work as this project, in the same run.

`make bench-peers` makes an environment for each in `.peers/` and starts
`python -m tests.benchmarks.peers [--json]`, which plays one after the other: let the machine do
nothing else.

Rules

* The work is `work.py`: a ladder of 1, 4, 16 and 64 with a factor of 4, two workers, random
  configurations, and segments that sleep for a while or not at all. Each leaves a line that says
  when it ran; start-up and busy shares come from these lines, whoever wrote them.
* Peers have the settings that favour them: Ray Tune reuses its actors, logs nothing and has no
  dashboard; Optuna's processes are forked from one that has imported it, and its server writes
  nothing to the disk; Syne Tune saves nothing and looks at its trials a hundred times a second.
  Nobody saves checkpoints. What this project does to lose nothing stays on: each result is on the
  disk before the next decision. Of Ray Tune with its loggers, and of Optuna on a server that writes
  as this project's does, the rate and the start are told beside.
* Each plays as many trials as it gets done in some ten to twenty seconds. Decisions of peers become
  slower with more, so that favours them, too.
* A peer's program is run by the Python of its environment, which lacks this project's dependencies:
  it imports the peer and `work.py`, and nothing else from here.
"""
