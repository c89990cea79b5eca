"""The passes by name, and what each level of -O runs."""

from __future__ import annotations

from spikeport.compiler.passes.base import Pass
from spikeport.compiler.passes.canonicalise import Canonicalise
from spikeport.compiler.passes.dead import Dead

#: Every pass by its name in a pipeline's text.
PASSES: dict[str, type[Pass]] = {cls.name: cls for cls in (Canonicalise, Dead)}

#: Pipelines of -O 0, 1 and 2. None of them changes a bit of what is recorded; a lossy pass runs only when asked for.
LEVELS: tuple[str, ...] = ("", "canonicalise", "canonicalise,dead")
