"""Lava: a network as Intel's own processes, run by lava-nc 0.10.0 in a worker with an environment of its own.

`ways` finds what joins populations, and what Lava lacks; `plan` says which processes there are; `line` starts the worker
(the files of `worker/`, which need lava-nc and nothing of ours), hands it the plan and the inputs, and ends it whatever
happens. `environment` says what the worker runs in.
"""

from spikeport.backends.lava.backend import BACKEND, LavaBackend

__all__ = ["BACKEND", "LavaBackend"]
