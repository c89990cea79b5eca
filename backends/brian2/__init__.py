"""Brian2: a network as NeuronGroups, Synapses and a few functions of ours, spike for spike the reference's.

`layout` turns a step network into a `form` (groups, projections, statements from a whitelist in `statements`, functions in
`functions`) and the numbers that fill it. `build` makes Brian2 objects of the form, which `local` runs in this process
(modes ``numpy`` and ``cython``) and `standalone` as a compiled program that serves every network of the same form.
"""

from spikeport.backends.brian2.backend import BACKEND, MODES, Brian2Backend

__all__ = ["BACKEND", "MODES", "Brian2Backend"]
