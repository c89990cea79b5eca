"""Codes E7xx: artifacts (.spk)."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
    ("E701", "not a readable .spk",
     "The file is missing, cut off, or no zip. Copy it again, or compile the model anew."),
    ("E702", "an unsafe or oversized member",
     "Names that lead elsewhere, duplicates, links, encryption, compression and excess size have no place in a .spk. "
     "Do not use a file from that source; compile the model anew."),
    ("E703", "a wrong manifest",
     "The file is no .spk, or of another format version. Compile anew, or use the spikeport that wrote it."),
    ("E704", "members that are missing, extra or altered",
     "The SHA-256 of a member is not what the manifest lists. The file is damaged or was edited: compile the model "
     "anew."),
    ("E705", "a bad array in a .spk",
     "Only plain finite numbers are stored, with a header that matches their bytes. Compile anew."),
    ("E706", "bad JSON in a .spk",
     "Duplicate keys, NaN, excess depth or size are refused before anything is built. Compile anew."),
    ("E707", "a .spk that contradicts itself",
     "An index points outside of what it points at, or a value is none that this version writes. Compile the model "
     "anew."),
    ("E708", "a .spk whose graph does not verify",
     "The graph inside breaks the rules that every model has to keep; the message has their codes. Compile the model "
     "anew."),
)  # fmt: skip
