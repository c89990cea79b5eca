"""Every code that an error, a warning or a note carries, explained: what ``spikeport explain CODE`` shows.

One file a range; a code is explained where its neighbours are, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.ir.codes import artifacts, backends, graphs, importing, passes, runs, targets, usage
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means and what helps.

    Parameters
    ----------
    code, title, text : str
        The code; a line; a few sentences with a remedy.
    """

    code: str
    title: str
    text: str


#: The first digit says what a code is about.
FAMILIES = {
    "0": "import of models", "1": "structure of graphs", "2": "shapes", "3": "semantics and execution profiles",
    "4": "capacity of targets", "5": "backends and what they lack", "6": "usage and inputs", "7": "artifacts (.spk)",
    "8": "runs", "9": "passes, and our own bugs",
}  # fmt: skip

_TABLES = (importing, graphs, targets, backends, usage, artifacts, runs, passes)

#: Every code by itself.
CODES: dict[str, Explanation] = {code: Explanation(code, title, text) for table in _TABLES for code, title, text in table.TABLE}


def explanation(code: str) -> Explanation:
    """Return the explanation of *code*; raise UsageError E602 for one that is not there.

    >>> explanation("e330").title
    'the execution profile is not stated'
    """
    wanted = code.strip().upper()
    if wanted not in CODES:
        family = FAMILIES.get(wanted[1:2], "") if wanted[:1] == "E" else ""
        inside = [c for c in CODES if c[1:2] == wanted[1:2]] if family else []
        hint = f"codes about {family}: {', '.join(inside)}" if inside else "codes look like E203"
        raise UsageError(Diagnostic("E602", code, f"there is no code {code!r}{did_you_mean(wanted, CODES)}", hint))
    return CODES[wanted]
