"""Codes E4xx: capacity of targets."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
    ("E401", "a layer that cannot be split to fit",
     "Even the smallest piece of a layer exceeds a limit of a core. The message has the need and the limit: make the "
     "layer narrower, its fan-in smaller, or choose another target."),
    ("E402", "more chips than allowed",
     "The network takes more chips than --chips allows. Leave it out for as many as it takes, or shrink the network."),
    ("E403", "a delay longer than the chip's",
     "Shorten the delay, choose a larger dt, or put relay neurons in between."),
    ("E404", "a core or chip that holds too much",
     "A limit of the target is exceeded by this mapping. Compile anew for this target."),
    ("E405", "routing tables that may not fit",
     "Uncompressed, the routing table exceeds the chip's. Compression may still make it fit; a placement with less "
     "spread needs fewer entries."),
    ("E406", "too many ways between two populations",
     "Stateless nodes fork and join so often that the connections cannot be listed. Merge some of the layers between "
     "the two."),
    ("E407", "a refractory period longer than the chip's",
     "The chip's counter of refractory steps ends before. Shorten the period, or choose a larger dt."),
    ("E410", "no machine for the network",
     "The largest machine of the target is too small, or nothing of the machine works once all that is dead is left out."),
    ("E411", "something dead that the machine does not have",
     "Chips are x,y, cores x,y,p, links x,y,l with l from 0 (east) by north-east, north, west, south-west to 5 (south). "
     "A small network gets a small machine: --chips asks for more."),
    ("E412", "a routing table that does not fit",
     "Even compressed, the table of a chip has more entries than its router holds. Fewer layers whose packets cross that "
     "chip, layers with fewer slices, or a spread over more chips need fewer."),
    ("E413", "no keys left",
     "A packet's key has 32 bits; the slices, each rounded up to a power of two, need more. Split the network."),
    ("E414", "dead chips, cores or links that cannot be read, or on a target without routing tables",
     "Write --dead-chips X,Y --dead-cores X,Y,P --dead-links X,Y,L; several are separated by colons, X,Y:X,Y."),
    ("E415", "a slice that no chip has room for",
     "Every chip is full, or what is dead leaves none with enough shared memory."),
    ("E419", "a routing table that sends packets wrong",
     "The replay of all packets through the tables found one that goes astray. This is a bug of spikeport's: report it."),
)  # fmt: skip
