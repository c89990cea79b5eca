"""A process of its own that writes the C++ of a stand-alone program: Brian2's device belongs to the whole process.

    python -m spikeport.backends.brian2.worker FORM.json FOLDER

leaves FOLDER/unity.cpp, one source of all that Brian2 generates (a single call of the compiler, a fifth of the time).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from spikeport.backends.brian2.build import build, settings
from spikeport.backends.brian2.form import STEP_S, Form

_SUPPORT = re.compile(r"^namespace \{", re.M)
_RUN = re.compile(r"^(\s*)(\w+)\.run\([0-9.e+-]+, NULL, [0-9.]+\);", re.M)
_ARGUMENTS = re.compile(r"^\s*set_from_command_line\(args\);\s*$", re.M)

#: What a program never calls, and what would take half of the compiler's time.
_IDLE = (
    (
        re.compile(r"^void set_variable_by_name\(.*?(?=^/+ arrays )", re.M | re.S),
        "void set_variable_by_name(std::string, std::string) {}\n",
    ),
    (re.compile(r"^void _write_arrays\(\).*?(?=^void _dealloc_arrays)", re.M | re.S), "void _write_arrays() {}\n"),
    (re.compile(r"^void _debugmsg_\w+\(\)\n\{.*?^\}", re.M | re.S), ""),
)

_HEAD = """
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cmath>
#include <vector>
"""

_FILES = """
static int64_t spikeport_steps = 0, spikeport_period = 0;

static void spikeport_need(const bool ok, const char* what)
{
    if (!ok) { std::fprintf(stderr, "spikeport: %s\\n", what); std::exit(3); }
}

static void spikeport_read(std::FILE* f, double* to, const size_t n)
{
    spikeport_need(std::fread(to, sizeof(double), n, f) == n, "parameters.bin is too short");
}

template <class T> static void spikeport_write(std::FILE* f, const T* from, const size_t n)
{
    spikeport_need(std::fwrite(from, sizeof(T), n, f) == n, "results.bin cannot be written");
}
"""


def write_source(form: Form, folder: Path) -> None:
    """Write *folder*/unity.cpp for *form*; only once in a process."""
    with settings("numpy") as b:
        b.set_device("cpp_standalone", directory=str(folder / "code"), build_on_run=False)
        built = build(b, form)
        built.network.run(1 * STEP_S * b.second, namespace=built.namespace)
        b.device.build(directory=str(folder / "code"), compile=False, run=False, with_output=False)
    files = {file.name for file in (folder / "code" / "static_arrays").glob("*")}
    unknown = {name for name in files if not name.endswith("__indices")}
    if unknown:
        raise RuntimeError(f"Brian2 wrote arrays that the program would miss: {sorted(unknown)}")
    (folder / "unity.cpp").write_text(_unity(form, folder / "code"), "utf-8")


def _unity(form: Form, code: Path) -> str:
    """Return all sources as one, the parts that are private to each kept apart."""
    givens = "".join(f"static double* spikeport_{call.name} = 0;\n" for call in form.inputs)
    parts = [_HEAD, givens, '#include "objects.h"\n', _FILES]
    parts += [_trimmed(code / name) for name in ("objects.cpp", "network.cpp", "synapses_classes.cpp", "run.cpp")]
    parts.append(_load_and_save(form))
    for number, file in enumerate(sorted((code / "code_objects").glob("*.cpp"))):
        text = _SUPPORT.sub(f"namespace spikeport_{number} {{", _trimmed(file))
        parts.append(text.replace("using namespace brian;", f"using namespace brian; using namespace spikeport_{number};"))
    main = (code / "main.cpp").read_text("utf-8")
    main, runs = _RUN.subn(rf"\1spikeport_load();\n\1\2.run(spikeport_steps * {STEP_S!r}, NULL, 10.0);", main)
    main = _ARGUMENTS.sub("", main)
    if runs != 1 or "brian_end();" not in main:
        raise RuntimeError(f"Brian2's main.cpp is not as expected: {runs} runs")
    parts.append(main.replace("brian_end();", "spikeport_save();"))
    return "\n".join(parts)


def _trimmed(file: Path) -> str:
    text = file.read_text("utf-8")
    for pattern, instead in _IDLE:
        text = pattern.sub(instead, text)
    return text


def _load_and_save(form: Form) -> str:
    """Return the functions that set all arrays before the first step, and write what the monitors heard after the last."""
    lines = ["static void spikeport_load()", "{", "    using namespace brian;"]
    lines += ['    std::FILE* f = std::fopen("parameters.bin", "rb");', '    spikeport_need(f, "no parameters.bin");']
    lines += ["    int64_t head[2];", '    spikeport_need(std::fread(head, 8, 2, f) == 2, "parameters.bin is too short");']
    lines += ["    spikeport_steps = head[0]; spikeport_period = head[1];"]
    sizes = {f"{g.name}.{v}": g.size for g in form.groups for v in g.variables}
    for name in form.parameters:
        owner, variable = name.split(".")
        if name in sizes:
            lines.append(f"    spikeport_read(f, _array_{owner}_{variable}, {sizes[name]});")
        else:
            lines.append(f"    spikeport_read(f, _dynamic_array_{owner}_w.data(), _dynamic_array_{owner}_w.size());")
    lines += [f"    _array_{g.name}_period[0] = (int32_t)spikeport_period;" for g in form.groups if g.code]
    # Brian2 keeps them in a file of its own.
    lines += [
        f"    for (int i = 0; i < {g.size}; i++) _array_{g.name}_v__indices[i] = i;" for g in form.groups if g.records_state
    ]
    for call in form.inputs:
        size = f"(size_t)spikeport_steps * {call.sizes['n']}"
        lines += [f"    spikeport_{call.name} = new double[{size}];", f"    spikeport_read(f, spikeport_{call.name}, {size});"]
    lines += ["    std::fclose(f);", "}", "", "static void spikeport_save()", "{", "    using namespace brian;"]
    lines += ['    std::FILE* f = std::fopen("results.bin", "wb");', '    spikeport_need(f, "results.bin cannot be written");']
    lines += ["    spikeport_write(f, &Network::_last_run_time, 1);"]
    for g in form.groups:
        if g.records:
            at = f"_dynamic_array_{g.name}_events"
            lines += [f"    {{ const int64_t n = {at}_i.size(); spikeport_write(f, &n, 1);"]
            lines += [f"      spikeport_write(f, {at}_t.data(), n); spikeport_write(f, {at}_y.data(), n);"]
            lines += [f"      spikeport_write(f, {at}_i.data(), n); }}"]
    for g in form.groups:
        if g.records_state:
            at = f"_dynamic_array_{g.name}_v"
            lines += ["    for (int64_t t = 0; t < spikeport_steps; t++)"]
            lines += [
                f"        for (int i = 0; i < {g.size}; i++) {{ const double v = {at}_v(t, i); spikeport_write(f, &v, 1); }}"
            ]
    lines += ['    spikeport_need(std::fclose(f) == 0, "results.bin cannot be written");', "}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    write_source(Form.from_json(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
