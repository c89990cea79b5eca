"""README's table of what is imported from PyTorch, made from the rows that the tests try one by one.

``python tests/helpers/construct_table.py`` prints it; ``tests/test_readme.py`` holds README to it.
"""

from spikeport.compiler.importers import norse, sinabs, snntorch, spikingjelly, torch_layers

LIBRARIES = {
    "PyTorch itself": torch_layers.CONSTRUCTS,
    "snnTorch 1.0": snntorch.CONSTRUCTS,
    "sinabs 3.1": sinabs.CONSTRUCTS,
    "Norse 1.1": norse.CONSTRUCTS,
    "SpikingJelly 2.0": spikingjelly.CONSTRUCTS,
}


def table() -> str:
    """Return the table as Markdown: a row for each library."""
    lines = ["| from | exact | refused by name |", "|---|---|---|"]
    for name, rows in LIBRARIES.items():
        cells = ["<br>".join(map(_text, (row for row in rows if row[1] == verdict))) for verdict in ("exact", "refused")]
        lines.append(f"| **{name}** | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _text(row: tuple[str, str, str]) -> str:
    construct, _, remark = row
    return f"{construct} ({remark})" if remark else construct


if __name__ == "__main__":
    print(table())
