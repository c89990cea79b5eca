"""SpiNNaker 1: emitted PyNN programs, and the machine's own tools as an oracle of the mapping.

`environment` says what sPyNNaker's environment holds; the files of `worker/` run in it, and need nothing of ours.
"""
