"""Codes E9xx: passes, and our own bugs."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
    ("E901", "an unknown pass",
     "`spikeport passes` lists what there is."),
    ("E902", "a pipeline that cannot be read",
     "It is written name{option=value,option=value},name: canonicalise,dead{keep=probe}."),
    ("E903", "an option of a pass that cannot be",
     "`spikeport passes` lists every pass with its options and their types."),
    ("E904", "an unknown optimisation level",
     "-O takes 0, 1 or 2; none of them changes a recorded bit."),
    ("E905", "a pass failed or broke the graph",
     "That is a bug of ours, never yours. Report it; -O 0 compiles without passes."),
    ("E999", "a bug in spikeport",
     "Something happened that should not. Report it with the traceback file that the message names."),
)  # fmt: skip
