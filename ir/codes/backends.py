"""Codes E5xx: backends and what they lack."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
    ("E500", "a backend is not available",
     "Its packages are missing or broken; the message has the command that installs them. `spikeport doctor` shows "
     "all."),
    ("E501", "an arithmetic that the backend does not run",
     "Choose one that it lists under `spikeport backends`, with --arith."),
    ("E502", "no C++ compiler for a backend's mode",
     "The mode compiles what it runs. Without a compiler the backend takes the mode that needs none, with the same spikes, "
     "only slower. Install g++, or name a compiler in the variable CXX."),
    ("E510", "a connection that the arithmetic or profile cannot express",
     "Integer weights need one population behind each connection, and a bias at the membrane a neuron right behind it. "
     "Run with --arith float64, or restructure the layer."),
    ("E520", "the target lacks a construct",
     "The chip has no such neuron feature and no exact rewriting of it. `spikeport targets NAME` lists what it has; "
     "train with another reset, or choose another target."),
    ("E521", "a construct is rewritten exactly",
     "The chip does it by other means with the same spikes. Nothing to do."),
    ("E522", "a layer that stays beside the chip",
     "A core holds neurons and the synapses into them. Weights that no neuron follows are computed by the host, and are in "
     "no limit and no price. Put an LI (or a spiking neuron) behind them to have them on the chip."),
    ("E530", "what the chip's neurons do not compute",
     "Arithmetic loihi is Lava's fixed_pt: a decaying current and membrane, v > threshold, then v = 0. Arithmetic spinnaker1 "
     "is sPyNNaker's IF_curr_exp and IF_curr_delta, whose membrane must leak. Other resets, spikes, bounds or readouts are "
     "refused with the layer. --allow reset-change resets to 0 instead, --allow slow-leak (spinnaker1) leaks by 1/32768."),
    ("E531", "a loop that is too short for the chip",
     "Every hop between populations takes a step, so a loop of k hops has a delay of k at least. Train the network with "
     "that delay, or merge layers of the loop."),
    ("E532", "no scale that the chip's registers hold",
     "Sums would leave Loihi's 24 bits (or its bias 20), or fill SpiNNaker's ring buffers of 16 bits, unless weights lose "
     "nearly all bits. Lower the fan-in or the time constant of the current."),
    ("E533", "a decay that is lost in rounding",
     "Loihi's decays have 12 bits: slower than 1/8192 a step they round to none. SpiNNaker's exp_TC has 15. Use a larger dt or "
     "a shorter time constant."),
    ("E534", "first steps that differ",
     "A population behind others starts some steps late, but its bias acts from the first step: no initial state undoes that "
     "within the registers and below the threshold. Discard the first steps of each sample."),
    ("E535", "input that is rounded",
     "Values enter a chip as integers. The calibration data has no common unit, so they are rounded to 127 levels a side."),
    ("E536", "a reset that was changed on request",
     "--allow reset-change resets to 0 where the model subtracts. The report shows spikes, mismatches and, with labels in the "
     "data, accuracy of both."),
    ("E537", "integers without calibration data",
     "Scales of a chip's integers are best chosen by their error on data like the input to come, which also shows what values "
     "enter. Without it the input is taken to be spikes. Give --data FILE.npz (run takes its own input)."),
    ("E538", "layers that do not merge into one connection",
     "Between two populations a chip has one matrix or one convolution. These layers without neurons between them are neither, "
     "or too large. Put neurons between them, or flatten the population behind."),
    ("E539", "a model on the chip's grid",
     "All its numbers are the chip's integers already, so it is taken as it is: no scales are chosen and nothing is rounded."),
    ("E541", "the Lava worker is gone",
     "The process that runs Lava could not start, was killed (by hand, or by the system for want of memory) or ended by "
     "itself; nothing of the run is kept. Run it again, with fewer samples if memory was short; `spikeport doctor` says "
     "whether its environment is whole."),
    ("E542", "the Lava worker took too long",
     "A phase (import, build, run) passed its deadline, no step was made for long, or the worker gave no sign of life; it was "
     "ended with all that Lava had started. Give fewer samples or steps, or more time, in seconds: "
     "SPIKEPORT_LAVA_DEADLINES=run=3600,stall=600."),
    ("E543", "something failed inside Lava",
     "One of its processes raised an error, which is in the message with the layer's name; the traceback is among the facts. "
     "Run the program on another backend, and please report it."),
    ("E544", "a neuron that Lava does not have",
     "Lava's floating-point LIF integrates, spikes where v > threshold and is reset to zero; the message says what else this "
     "layer asks for. Set the field of the profile that it names, or train with a reset to zero."),
    ("E545", "a connection that Lava does not have",
     "Between two populations of Lava stands one process of synapses, weights without biases. Merge, split or move what the "
     "message names, or run the program on another backend."),
    ("E546", "a delay that Lava does not have",
     "A process of synapses takes a step, and delays of 63 more at most. Use the profile lava_float or lava, whose timing "
     "that is, give edges delays of their own, or put a relay population in between."),
    ("E547", "an environment that could not be built",
     "`spikeport backends setup NAME` needs a Python of the version that the message names, with venv, and a package index "
     "that pip reaches; the message has the step that failed. Nothing was left behind: mend it and run the command again."),
    ("E548", "a backend without a setup",
     "Only backends that run in an environment of their own are set up; the others come with spikeport's extras, as "
     "`spikeport backends` lists."),
    ("E549", "deadlines that cannot be read",
     "SPIKEPORT_LAVA_DEADLINES is a list of PHASE=SECONDS, such as run=3600,stall=600; phases are import, build, run, step, "
     "stall and beat. SPIKEPORT_SPYNNAKER_DEADLINE is a number of seconds."),
    ("E550", "what no PyNN program can say",
     "sPyNNaker has no place for it: a delay beyond its ring buffers and delay extensions, input that is no spikes, neurons "
     "held at first that no start leads to the model's. The message names the layer; --backend spinnaker still runs it in "
     "spikeport."),
    ("E551", "sPyNNaker failed",
     "The emitted program ended with an error on the virtual board, or its process was killed. Emit it (spikeport emit "
     "--backend spinnaker -o DIR) and run it by hand; the last lines that it said are among the facts."),
    ("E552", "sPyNNaker took too long",
     "It was ended with all that it had started. Give it more time, in seconds: SPIKEPORT_SPYNNAKER_DEADLINE=3600."),
    ("E553", "no sPyNNaker for the oracle",
     "`spikeport backends setup spinnaker` builds its environment, once for each user; everything else of the backend works "
     "without it."),
    ("E554", "a mapping that no oracle can be asked about",
     "Only machines whose own tools run here have one: --backend spinnaker, against PACMAN. The program has to be mapped on "
     "that machine, and PACMAN can be told of dead parts on one board only, chip 0,0 not among them."),
    ("E555", "the machine's tools connect other layers",
     "What PACMAN made of the emitted program does not join the layers that the network joins. Please report it, with the "
     "model."),
    ("E560", "not on SpiNNaker's grid",
     "Arithmetic spinnaker1 runs sPyNNaker's registers: state of s16.15, weights of 16 bits with a shift for each ring buffer. "
     "The graph holds other numbers. Compile it with --arith spinnaker1: that chooses scales and shifts."),
    ("E561", "ring buffers that saturated",
     "More came in within a step than a slot of 16 bits holds at its shift, and what was beyond is lost. Compile with --data "
     "that is as active as the input to come: shifts are then chosen for it."),
    ("E580", "a construct that a library's importer does not read correctly",
     "The file would be another network there. The message has the layer, why, and what to do; --dialect spikeport writes "
     "a file that loses nothing."),
    ("E581", "an exported file that came back different",
     "It was imported by the library itself and run beside the model, and the outputs differ, or the importer failed. "
     "Nothing was written."),
    ("E582", "an export that was not checked",
     "The library is not installed here, so its importer could not be tried on the file. Install it and export again."),
    ("E583", "an export that was checked",
     "The file was imported by the library itself and run beside the model on random input; the message has the counts."),
    ("E584", "a library for which nothing is exported",
     "Its importer is known not to read any file correctly, or was not tried. Export in another dialect, or with --dialect "
     "spikeport."),
    ("E585", "a layer was written differently for a library",
     "Its importer reads this form, and the spikes are the same. Nothing to do."),
    ("E586", "weights that were rounded for a library",
     "Its importer takes one threshold for a whole layer. With one for each neuron, the weights in front are divided by it, "
     "which float32 holds exactly only for powers of two. Spikes of membranes right at the threshold may differ; one "
     "threshold a layer, or powers of two, avoid it."),
    ("E590", "a graph that NIR cannot write",
     "A path or a parameter has no form in NIR or HDF5. Rename the node or give full shapes."),
)  # fmt: skip
