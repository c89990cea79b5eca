"""Dialects: what each library's NIR exporter does to a model, one file a library, and how a file is recognised.

``read_dialect`` is what the importer of ``.nir`` files calls; the table ``DIALECTS`` is what there is.
"""

from __future__ import annotations

from spikeport.compiler.importers.dialects import lava_dl, norse, rockpool, sinabs, snntorch, spikingjelly, spyx
from spikeport.compiler.importers.dialects.base import Dialect, Question, Reading

#: All dialects by name.
DIALECTS: dict[str, Dialect] = {
    d.DIALECT.name: d.DIALECT for d in (snntorch, sinabs, norse, spikingjelly, rockpool, spyx, lava_dl)
}

__all__ = ["DIALECTS", "Dialect", "Question", "Reading"]
