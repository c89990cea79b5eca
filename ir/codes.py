"""Every code that an error, a warning or a note carries, explained: what ``spikeport explain CODE`` shows."""

from __future__ import annotations

from dataclasses import dataclass

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

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("E001", "not a readable .nir file",
     "The file is missing, is not HDF5, or has no NIR graph in it. A .nir file is what nir.write writes: check the "
     "path, or export the model anew."),
    ("E002", "a .nir file that is too large",
     "The file holds, or unpacks to, more than the limits allow; a small file that unpacks to gigabytes is an attack "
     "or damage. Split the network, or write the file without compression."),
    ("E003", "something in a .nir file that NIR does not have",
     "Links, external data, exotic types or filters are never followed. Write the file again with nir.write."),
    ("E004", "a node of a .nir file lacks a field, or has one too many",
     "Every NIR primitive has a fixed list of fields. Export with a current version of the framework's exporter."),
    ("E005", "a field of a .nir file has the wrong type",
     "A parameter must be a number or an array of numbers, a shape or stride whole numbers. Export the model anew."),
    ("E006", "an unknown node type",
     "The file names a primitive that NIR 1.0.8 does not have. Replace the layer by one that NIR has before exporting."),
    ("E007", "nested graphs that cannot be flattened",
     "The edges do not say how an inner graph is connected, or two nodes get the same path. Give every inner graph an "
     "Input and an Output, and every node a name of its own."),
    ("E008", "metadata that spikeport did not write",
     "The file's spikeport metadata does not parse or does not belong to this graph. Remove it, or import the model "
     "from its source."),
    ("E009", "an edge stands in the file twice",
     "NIR connects two nodes once; the copy was ignored. Nothing to do if that is meant; otherwise sum through a "
     "second node."),
    ("E010", "a missing field was filled in",
     "Older files leave v_reset or w_in out; NIR's own default (0 and 1) was taken. Check that it is what the model "
     "was trained with."),
    ("E011", "parameters were widened to the population",
     "The file gives one number where every neuron has its own; the shape that follows from the layers around was "
     "taken. Export with a current exporter to be rid of this."),
    ("E012", "a batch axis was taken off",
     "The file's Input (or a population) has a leading axis of 1, and the layers behind only fit without it. Export "
     "with shapes that leave the batch out."),
    ("E013", "the axes of a Flatten were shifted",
     "They counted a batch axis, which NIR does not have, and only the shifted reading fits the layer behind. Export "
     "with start_dim one lower."),
    ("E014", "the input size of a convolution was filled in",
     "The file leaves input_shape out; it follows from the layers in front. Export with a current exporter to be rid "
     "of this."),
    ("E015", "the shape of an Output was mended",
     "The file states another shape than the layer in front gives; that layer's was taken. Check that nothing is "
     "missing between them."),
    ("E016", "metadata that no longer fits the graph",
     "Another tool changed the file after spikeport wrote it, so part of its metadata was dropped. Import the model "
     "from its source if the lost part (profile, exact decays) matters."),
    ("E017", "the size of a population has two readings",
     "Its parameters are single numbers, and the only shape around may count neurons or time steps. Write the "
     "parameters with the population's full shape."),
    ("E018", "edges that name no node, or a missing Output",
     "Older exporters name nodes by number, or a group of nodes by its prefix, or leave the Output out. The only reading "
     "was taken: check that the layers follow each other as they should."),
    ("E020", "a layer that has no counterpart",
     "The module contains a class that a spiking graph cannot express. Replace it by a supported layer, or fold it "
     "before import."),
    ("E021", "a layer with an option that cannot be expressed",
     "The class is supported, this option of it is not; the message says which value is. Set it so and retrain or "
     "fold."),
    ("E022", "a module that cannot be traced",
     "torch.fx could not follow the forward (branches on data, unknown calls), or the argument is no torch.nn.Module. "
     "Write the forward of one time step as straight calls of layers."),
    ("E023", "a function in the forward that a spiking graph cannot say",
     "Only sums, products with constants, flattening and layers are nodes, and nothing is changed in place. What reaches no "
     "output is ignored; move the rest out of the network (decoding, for instance)."),
    ("E024", "the input's shape does not follow from the module",
     "A convolution fixes no image size. Give it: from_torch(module, input_shape=(1, 28, 28)), or --input-shape "
     "1,28,28."),
    ("E025", "a loop over time that is not the same in each step",
     "Every step must read its own input, run every layer once and return the same values. Move initialisation out of "
     "the loop."),
    ("E026", "a neuron's state is used in a way that no graph says",
     "States may only be handed on to the same neuron's next step; the network's signals are spikes. Return the "
     "spikes, or make the layer a non-spiking readout."),
    ("E027", "shapes of a module that do not fit",
     "A layer cannot take what the layer in front of it gives. Check input_shape (without batch and time) and the "
     "layer's sizes."),
    ("E028", "neurons of several libraries in one module",
     "Their conventions of time differ, so no single profile holds. Use one library's neurons."),
    ("E029", "a layer with forward hooks",
     "Hooks are code that runs beside a layer's forward, and may change its values; the import does not see them. Remove "
     "those that change values. Hooks that only record are harmless."),
    ("E030", "a layer of a library whose modules are not imported yet",
     "Modules of snnTorch, sinabs, Norse and SpikingJelly are read; Rockpool's are not. Write the network to a .nir file with "
     "its own exporter and state what the file leaves open: --profile rockpool."),
    ("E031", "a state outside of the neurons",
     "The forward computes with what its last call left in the module (self.trace = ...). A signal of the step before, used "
     "as such (self.last = spikes), is a recurrent connection and is imported where the first call is like the later ones with "
     "zeros in its place; a value that depends on itself (a running mean) is a state that no node holds."),
    ("E032", "a layer that is given other axes than it takes",
     "Some layers take one step, (batch, ...), others all steps: (batch, time, ...) in sinabs, (time, batch, ...) in Norse's "
     "layers and SpikingJelly's step_mode='m', or both axes merged (sinabs' Squeeze layers, PyTorch's convolutions). The error "
     "says what this one takes and what reaches it; a wrapper in front is missing, or a step_mode."),
    ("E033", "a module that cannot run on the sample",
     "from_torch(module, sample=x) runs the module on x beside its import. Here the module itself fails, or its forward takes "
     "a state that it does not return. Give what module(x) takes; time_axis=1 where x holds steps and the forward takes one."),
    ("E034", "a module and its import give other spikes",
     "The check on the sample found the first place where they part: layer, step, sample, neuron, and the membrane that the "
     "import compares with its threshold. The import is wrong there, or the module does something that its layers do not show "
     "(hooks, global state). Please report it."),
    ("E035", "a tie on the sample",
     "The module and its import differ where the membrane lies on the threshold within rounding: sums in another order fall on "
     "either side. Weights and inputs on a grid can meet the threshold exactly; a threshold off the grid avoids it."),
    ("E040", "a file in the dialect of a library",
     "Some exporters leave marks in a .nir file (which parameters follow from which, and how nodes are called). The "
     "message says by what it was recognised, or that --dialect states it, and which profile that gives. A given --profile "
     "always wins."),
    ("E041", "an unknown dialect",
     "Files are read in the dialects snntorch, sinabs, norse, spikingjelly, rockpool, spyx and lava-dl, written "
     "NAME[:RESET][,field=value]; models are exported for a part of them. For all others state the profile."),
    ("E042", "a dialect that the file contradicts",
     "A dialect mends what one library's exporter writes wrongly; on the file of another it would break what is right. The "
     "file bears another library's marks, or has a neuron that the stated one never writes. Leave "
     "--dialect out, or state the profile alone (--profile) to run the plain equations of the file."),
    ("E044", "what an exporter wrote wrongly was mended",
     "Some exporters exchange or scale time constants, transpose weights, or connect recurrent layers wrongly. The message "
     "says what the file has and what was taken. Norse 1.1 multiplies every tau by dt; a file of an older Norse, in seconds, "
     "is read with --profile norse, without --dialect."),
    ("E046", "what an exporter leaves out",
     "The library's exporter drops this without a word, so no file tells whether the module has it. Where it has, import the "
     "module itself, or add it by hand."),
    ("E047", "a dialect where none is needed",
     "Files of spikeport, compiled programs and modules say what they mean. Leave --dialect out."),
    ("E050", "not a readable .net file",
     "The file is missing, damaged, not HDF5, or has no group 'layer'. A .net file is what export_hdf5 of lava-dl (or of the "
     "older slayerPytorch) writes: check the path, or export the network anew."),
    ("E051", "layers of a .net file that are no sequence",
     "The layers are groups named 0, 1, 2, ... in their order, each behind the one before, and one of them has neurons at "
     "least. Number them anew."),
    ("E052", "a layer of a .net file lacks a field",
     "The message names the layer's key in the file and the field. Export the network anew with lava-dl."),
    ("E053", "a field of a .net file has the wrong kind or value",
     "A .net file holds Loihi's integers: weights, decays, thresholds and delays are finite whole numbers in the range that "
     "the message gives, types are texts. Mend the field, or export the network anew."),
    ("E054", "shapes in a .net file that clash",
     "What the layer says of its size does not fit its weights, or the layer before it; the message has both. Shapes are "
     "(channels, height, width)."),
    ("E055", "a layer of a .net file that does not lower",
     "input, dense, dense_rec, conv, pool and flatten become populations and synapses of Loihi. Others are refused by their "
     "name, with the reason: leave them out, or replace them before training."),
    ("E056", "a neuron of a .net file that does not lower",
     "CUBA and LOIHI are Loihi's leaky integrate-and-fire neuron. Sigma-delta, resonating and adaptive neurons, graded spikes "
     "and layers without neurons are others: train with slayer.block.cuba."),
    ("E057", "a field of a .net file that has two readings",
     "Training uses the field and lava-dl's netx, which builds the network for Lava, leaves it out (refractory periods, "
     "exponents of weights, delays of convolutions), so the file means two networks. Set the field to its neutral value if "
     "netx's reading is meant; otherwise train without it."),
    ("E058", "dense weights that Loihi's synapses do not hold",
     "A synapse holds 8 bits: even weights from -256 to 254 where signs are mixed, 0 to 255 or -255 to 0 where they are not. "
     "Scale weights, vThMant and bias of the layer down together."),
    ("E059", "something in a .net file that was changed or left out",
     "As lava-dl's netx and Lava do it: weights at the edge of 8 bits are clipped or cut, delays end at 62 steps, and fields "
     "that nobody knows are not read. The message has the numbers."),
    ("E060", "a .net file that does not say the size of its input",
     "It begins with a convolution whose stride leaves several sizes open. Begin the file with an input layer, or give "
     "input_shape=(channels, height, width)."),
    ("E061", "how an input layer of a .net file is driven",
     "Its neurons get their input as a bias, as in netx: each step 64 times the value is added to the membrane. Give whole "
     "numbers: weight*x + bias of a pixel x, both as the file has them."),
    ("E036", "a readout over time that the graph leaves to you",
     "The forward ends with a sum or a mean over all steps. A graph gives spikes step by step: read the sum or mean from the "
     "result of a run, as the module does."),
    ("E037", "a state among the results",
     "The forward returns membranes or currents beside its spikes. A graph's outputs are signals; states are recorded on "
     "request: run(..., record_state=True) or --record-state."),
    ("E038", "a module that spikes otherwise in single precision",
     "Run on the sample in its own float32, the module gives other spikes than in double precision: its membranes lie so near "
     "to the threshold that rounding decides. A run in float64 is exact to the module's double-precision self; --arith float32 "
     "takes the same numbers, its sums in another order."),
    ("E080", "your model function raised an error",
     "FILE.py:FUNCTION runs your own code, and it failed; the message has the exception and the line. Try it alone: "
     "python -c 'import FILE; FILE.FUNCTION()'."),
    ("E081", "your model function returned something else than a model",
     "FUNCTION takes no arguments and returns a torch module, (module, input shape) or a spikeport Graph."),
    ("E101", "an edge to nowhere",
     "The edge names a node that is not in the graph. Remove it, or add the node."),
    ("E102", "no input",
     "A graph needs an Input node in front of its first layer: that is where values enter."),
    ("E103", "no output",
     "A graph needs an Output node behind its last layer: that is what a run gives back."),
    ("E104", "a node that nothing reaches",
     "No input leads to the node, so it would compute nothing. Connect it or remove it."),
    ("E105", "a node that reaches no output",
     "It still runs, costs energy and can be recorded. The pass `dead` (-O 2) removes such nodes."),
    ("E106", "a loop without state",
     "A loop through stateless nodes only has no value: each depends on itself at once. Put a neuron in it, or a delay "
     "on an edge."),
    ("E107", "a path that cannot be used",
     "Paths name arrays, files and options. Use letters, digits, dots, dashes, underscores."),
    ("E108", "an edge into an input or out of an output",
     "Connect the layer behind the Input, or in front of the Output, instead."),
    ("E109", "the order of a sum is open",
     "Floating-point sums depend on their order, so the edges into a node carry different ranks. Give each its own."),
    ("E110", "a delay outside 0 to 4096 steps",
     "Shorten it, or choose a larger dt; longer lines are not simulated."),
    ("E201", "a layer cannot take its input",
     "The layer's parameters and the shape that reaches it clash; the message has both. Mend the layer or the one in "
     "front."),
    ("E202", "a shape that does not follow",
     "No parameter and no input fixes the shape of this node. Give input_shape, or parameters of full shape."),
    ("E203", "two shapes clash",
     "A node takes one shape and gets another. Usually a Flatten is missing or a size is wrong."),
    ("E301", "NaN or infinity in parameters",
     "The layer cannot compute with them. Retrain or repair it: a diverged training run is the usual cause."),
    ("E302", "a time constant or delay below zero",
     "Time constants are above 0, delays 0 or more. The file is wrong, or counts something else in this field."),
    ("E303", "dt and a time constant do not fit",
     "Euler's decay is 1 - dt/tau, which is not above 0 when dt >= tau. State the dt of the training: --profile "
     "snntorch,dt=1e-3; for time constants counted in steps, dt=1."),
    ("E304", "a delay that is no whole number of steps, or of too many",
     "Delays are integers in steps, at most 2^20 of them. Choose a dt that divides them, in the unit of the file."),
    ("E305", "a reset above the threshold",
     "The neuron would spike in every step from the first spike on. Mend v_reset or v_threshold."),
    ("E306", "parameters of another type than numbers",
     "Parameters are integers or floats up to 64 bits. Convert booleans, complex and text before export."),
    ("E307", "a recurrent affine that also feeds forward",
     "At step 0 its bias would act in the loop and nowhere else, which one node cannot do. Give its edges delays, or "
     "set bias_at_0=no."),
    ("E308", "a loop without delay",
     "Some edge of a loop must wait a step: feedback=1 in the profile, or a delay on an edge."),
    ("E309", "division by a threshold that is not above zero",
     "multi_subtract divides the membrane by the threshold. Use reset=subtract, or mend the threshold."),
    ("E310", "not on Loihi's grid",
     "Arithmetic loihi runs integers: 8-bit weights with an exponent, 12-bit decays, a threshold of 17 bits six up. The graph "
     "holds other numbers. Compile it for loihi1 or loihi2 (or with --arith loihi): that chooses the scales."),
    ("E313", "almost no leak",
     "The time constant is more than 10,000 steps. Probably the file counts tau in steps or milliseconds: state dt=1, "
     "or dt in the file's unit."),
    ("E330", "the execution profile is not stated",
     "A graph of differential equations leaves dt, integration, reset and delays open, and each choice gives other "
     "spikes. Name the framework that trained the model: --profile snntorch:subtract, or profile='norse'."),
    ("E331", "an unknown profile",
     "Named profiles are exact, snntorch, norse, sinabs, rockpool, spyx, nengo, spikingjelly, spinnaker2, spynnaker "
     "and lava_float; fields are set behind them: norse:zero,dt=1e-3."),
    ("E332", "a profile field or value that is not known",
     "Fields are written field=value, for one node @PATH:field=value. The message lists what the field takes."),
    ("E333", "a reset that the framework does not have",
     "Choose one of the framework's own, or set the field itself: reset=to_zero."),
    ("E334", "the profile names a node that is not there, or has no use for the field",
     "An override @PATH:field=value names a neuron of the graph, @%KIND:field=value a kind of neuron (LIF, CubaLIF, "
     "...); resets and thresholds go to neurons that spike. `spikeport inspect MODEL` lists the paths."),
    ("E335", "the profile given replaces the model's own",
     "The model states a profile, and another was given: the given one is used. Leave --profile out to run the model "
     "as trained."),
    ("E336", "a compiled program carries another profile",
     "Profile and arithmetic are fixed when a program is compiled, since scales and delays depend on them. Leave "
     "--profile out, or compile anew."),
    ("E337", "a reset at the crossing that has no closed form",
     "reset_when=at_crossing holds where the membrane within a step is known: LIF under scheme=exponential and IF, without a "
     "refractory period, reset to a value or by subtraction. Elsewhere reset at the end of the step: "
     "@PATH:reset_when=after_spike."),
    ("E338", "a dialect leaves something open",
     "The file comes from a known library, whose files do not show all that changes the spikes (the reset kind, mostly). "
     "State what the message lists behind the dialect's name, --dialect snntorch:zero, or all of it with --profile. In "
     "`spikeport export` the option is --source-dialect. A file of a Norse before 1.1, with tau in seconds, is read with "
     "--profile norse."),
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
     "sPyNNaker has no place for it: a delay beyond its ring buffers and delay extensions, input that is no spikes, a start "
     "with neurons held. The message names the layer and what to do; --backend spinnaker still runs it in spikeport."),
    ("E551", "sPyNNaker failed",
     "The emitted program ended with an error on the virtual board, or its process was killed. Emit it (spikeport emit "
     "--backend spinnaker -o DIR) and run it by hand; the last lines that it said are among the facts."),
    ("E552", "sPyNNaker took too long",
     "It was ended with all that it had started. Give it more time, in seconds: SPIKEPORT_SPYNNAKER_DEADLINE=3600."),
    ("E553", "no sPyNNaker for the oracle",
     "`spikeport backends setup spinnaker` builds its environment, once for each user; everything else of the backend works "
     "without it."),
    ("E554", "a backend without an oracle of the mapping",
     "Only machines whose own tools run here have one: --backend spinnaker, against PACMAN."),
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
    ("E600", "a command line that cannot be understood",
     "An option or an argument is missing, unknown, or has a value that it does not take. `spikeport COMMAND --help` lists "
     "all of them."),
    ("E601", "an unknown backend",
     "`spikeport backends` lists those that are installed; outside packages add their own."),
    ("E602", "an unknown code",
     "Codes look like E203. The message lists those of the same family."),
    ("E603", "an unknown arithmetic",
     "Choose float64, float32 or spinnaker2; others come with their targets."),
    ("E604", "an unknown target",
     "`spikeport targets` lists the names; the path of a .toml file is a target too."),
    ("E605", "a target's file that cannot be read",
     "Start from a copy of a shipped TOML file, and keep it below a megabyte."),
    ("E606", "a target's file that breaks the schema",
     "Every number needs value, unit, class and source; every construct a line. The message names each key."),
    ("E607", "an option that the backend does not have",
     "Some backends have options of their own, --mode M or --backend-option NAME=WORD. The hint lists this one's, or the "
     "words that the option takes; brian2 has mode: numpy, cython, cpp_standalone; lava has conv: conv, sparse."),
    ("E608", "a backend that writes no scripts",
     "Only some backends can write a network as a script of their own simulator; the hint names them."),
    ("E609", "compare was given the wrong things",
     "Either two results, `spikeport compare A.npz B.npz`, or a model in two backends, `spikeport compare MODEL "
     "--backends engine,reference --input X`."),
    ("E610", "arrays that cannot be read",
     "Inputs and results are .npy or .npz files of numbers. Write them with numpy.save or numpy.savez; pickled objects "
     "are never loaded."),
    ("E611", "an array of the wrong type",
     "Integers, booleans and floats up to 64 bits are taken. Convert with x.astype('float32')."),
    ("E612", "an input of the wrong shape",
     "X is (steps, *shape) or (samples, steps, *shape) by the Input node's shape, with --encode (samples, *shape). The "
     "message has both shapes: reshape, for instance x[:, None]."),
    ("E613", "NaN or infinity in the input",
     "One such value poisons every membrane behind it. Clean the data: numpy.nan_to_num(x)."),
    ("E614", "inputs by the wrong names",
     "A model with several inputs takes an .npz with one array for each Input node's path."),
    ("E615", "an encoding that cannot be",
     "--encode takes constant, rate or latency, with --steps; rate and latency want values from 0 to 1. Scale first: x "
     "/ 255."),
    ("E616", "steps or samples that cannot be",
     "A run needs at least one sample and one step, and all inputs the same number of both."),
    ("E617", "arrays that are too large",
     "The file holds more than a run reads at once. Split the samples over several files."),
    ("E618", "the model is compiled already",
     "A .spk is the result of compile. Compile the .nir or module that it came from."),
    ("E619", "not the result of a run",
     "compare takes what `spikeport run -o` writes: arrays spikes/PATH, out/PATH, v/PATH."),
    ("E620", "a compiled program carries another arithmetic",
     "Leave --arith out, or compile the model anew with it."),
    ("E621", "a compiled program carries another target",
     "Leave --target out, or compile the model anew for it."),
    ("E622", "a node to record that is not there",
     "`spikeport inspect` lists the paths. A pass may have removed the node: compile with -O 0 to keep all."),
    ("E623", "calibration data without an input",
     "Every Input node needs an array in the data. `spikeport inspect` shows the names."),
    ("E624", "labels that do not fit the data",
     "Labels are integers, one for each sample of the calibration data."),
    ("E625", "an approximation that is not there",
     "--allow asks for approximations by name, and a name that would do nothing is refused: arithmetic loihi has "
     "reset-change, spinnaker1 has reset-change and slow-leak, the others have none."),
    ("E630", "not a model",
     "A model is a .nir, a .spk, or FILE.py:FUNCTION that builds a torch module."),
    ("E631", "a file that cannot be written",
     "Choose a file in a folder that is there and writable. What was there before is untouched."),
    ("E632", "not a report",
     "`spikeport report` takes what `spikeport run --report` writes. The message names what breaks the schema."),
    ("E633", "a folder with other files",
     "A script and its arrays go into a folder of their own, and nothing that is there already is overwritten. Name a "
     "folder that is empty or not there yet, or one that holds a former script of ours."),
    ("E640", "an unknown mapper",
     "Choose one of those that the message lists."),
    ("E641", "a number of chips that cannot be",
     "Give at least 1, or leave --chips out for as many as it takes."),
    ("E642", "rates that cannot be priced",
     "A stated rate names an input or spiking layer, and lies between 0 and one spike a step; samples and steps are at "
     "least 1."),
    ("E643", "a report of another version",
     "This spikeport reads reports of its own format. Run again with --report R.json."),
    ("E644", "a price for another target than the program's",
     "A price needs the mapping: compile the model for that target first."),
    ("E690", "a .nir file that cannot be written",
     "Choose a file in a folder that is there and writable."),
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
    ("E801", "a backend failed",
     "It ended with an exception that it did not explain. Report it to its authors with the message."),
    ("E802", "not enough memory",
     "Run fewer samples at once, fewer steps, or record less (--record, --record-state)."),
    ("E803", "the run took too long",
     "It did not end within --timeout. Give more time, fewer samples, or a faster backend."),
    ("E804", "a run after the end",
     "The executable was closed, as it is at the end of its `with` block. Emit the program again."),
    ("E805", "values beyond the range of the numbers",
     "A membrane, an output or a spike count overflowed, and all that follows from it means nothing. Usual causes: input "
     "that is not scaled as in training, or dt and time constants in different units."),
    ("E806", "input that the program was not compiled for",
     "In arithmetic loihi the input enters as integers of a fixed unit and range, found from the calibration data: beyond "
     "them sums might leave Loihi's 24 bits. Without data the input is spikes, 0 or 1. Compile with --data that is like it."),
    ("E811", "a run that cannot be priced",
     "The backend did not count the events of a layer. Run it on one that counts: engine or reference."),
    ("E812", "a generated program that failed",
     "The C++ program that a backend generated was refused by the compiler, or ended before its results were written; the "
     "message has its last words. Brian2's mode numpy compiles nothing and gives the same spikes."),
    ("E850", "a device without a program",
     "Load an artifact before the run; a reset takes it away."),
    ("E851", "a device that is not fresh after its reset",
     "What was read back from it is not what a fresh device has: something of an earlier run is left. Take it out of use."),
    ("E852", "a program for another chip than the device",
     "Compile the model for the device's target."),
    ("E853", "a device that does something else than the model",
     "The message names the criteria that failed and the first divergence; divergence.npz holds both runs. A known, "
     "harmless difference is stated by the policy: @pytest.mark.hil_tolerance."),
    ("E854", "over budget",
     "The run took more than @pytest.mark.hil_budget allows. The message has the number, its limit and its source."),
    ("E855", "a budget that cannot be judged",
     "The number is not known for this target or device, or the baseline has none. What is unknown is never within a budget."),
    ("E856", "no recording of this run",
     "A cassette is replayed for the same artifact, input, request and firmware only; the message says what differs from "
     "the nearest one. Record anew on the bench with --hil-record."),
    ("E857", "a recording that cannot be read",
     "The cassette is damaged, was edited, or is of another version. Record anew."),
    ("E858", "nothing that can be compared",
     "The two runs have no recorded array in common, or are of different sizes. Record the same layers on both sides, on the "
     "same input."),
    ("E859", "an argument of a marker, a policy or an option that cannot be",
     "The message lists what there is."),
    ("E860", "a driver that cannot be loaded",
     "Drivers of hardware are entry points of the group spikeport.hil_drivers. Install the package that has it anew."),
    ("E861", "a baseline that cannot be read",
     "It is written by pytest --hil-baseline FILE --hil-baseline-update, and by nothing else."),
    ("E865", "no answer from the daemon",
     "The connection is gone, or only looks alive; calls were made again until the time for that was over. Check that "
     "`spikeport hild` runs there, the address, and whether it has TLS (hilds://) or not (hild://)."),
    ("E866", "two versions that do not speak with each other",
     "Client and daemon speak different versions of the protocol. Install the same spikeport on both sides."),
    ("E867", "no token that will do",
     "The daemon asks for a token, and none, an unknown or an expired one, or one without the scope (read, run, admin) was "
     "given. Whoever runs the daemon makes one: `spikeport hild --config FILE --new-token NAME`."),
    ("E868", "a lease that is over",
     "It was released, ran out since no sign of life came, or was taken back; the device may be another's by now and is "
     "not touched. Lease a device anew."),
    ("E869", "no such device",
     "The daemon offers no device with that name, target or features. `spikeport devices --url URL` lists them."),
    ("E870", "no device became free",
     "All devices that would do were leased to others for as long as was waited. Wait longer (wait_s), or add devices."),
    ("E871", "the daemon is busy",
     "A queue or a store is full, and the daemon takes no more until there is room; the message says when to try again."),
    ("E872", "a worker that died",
     "The process that had the device ended, or the daemon was restarted, before the result was there. Nothing of it is "
     "left; the device is reset and verified before it is used again. Load and run again."),
    ("E873", "a watchdog",
     "A phase (connect, load, run, reset) took too long, or made no step and used no processor; the worker was ended. Run "
     "fewer samples or steps, or raise the limit in the daemon's configuration."),
    ("E874", "a quarantined device",
     "Its reset could not be verified, or its worker died several times in a row. Somebody has to look after it, and then "
     "`spikeport devices --url URL --restore NAME`."),
    ("E875", "an upload that is not what was announced",
     "Bytes are missing, too many, or others than the announced SHA-256 says; what was sent is dropped. Send it again."),
    ("E876", "a request id used twice",
     "An id stands for one request, so that it can be repeated safely. Give another request another id."),
    ("E877", "a message that cannot be read",
     "It is damaged, too large, or none of spikeport's. Something between client and daemon is faulty, or is no spikeport."),
    ("E878", "a run that needs too much memory",
     "A lease has a limit of memory; the worker went beyond it and was ended. Run fewer samples or steps at once, record less, "
     "or raise memory_mb in the daemon's configuration."),
    ("E879", "an address that is not safe",
     "Without TLS and tokens a daemon can be reached from its own machine only. Set both, or listen on 127.0.0.1."),
    ("E880", "a daemon's configuration that cannot be used",
     "A key, a file or an address is not as it has to be; the message says which. `spikeport hild --help` tells more."),
    ("E881", "a daemon that cannot write",
     "Its disk is full or failing: what cannot be kept is not done, and nothing that was acknowledged is lost. Make room."),
    ("E882", "grpcio is not installed",
     "Daemon and client need it: pip install 'spikeport[hil]'."),
    ("E883", "a call that the daemon does not have",
     "Client and daemon are of different versions, or the client is none of ours."),
    ("E884", "a folder of state that cannot be used",
     "Another daemon keeps its state there, one of another version did, or its database is damaged. Give another: --state."),
    ("E885", "a fault that cannot be read",
     "It is written name:key=value,key=value, several joined by /: spike_drop:p=0.01,seed=3/device_dies:step=40. The message "
     "says what the fault takes."),
    ("E886", "a fault without a rate",
     "Only faults with an extent can be varied: spike_drop, late, bit_flip, saturate, dead_core, dead_link, stuck."),
    ("E895", "a fault that does not happen on the way",
     "The proxy between client and daemon does delay, drop, truncate, corrupt, duplicate, half_open and reset. Faults of a "
     "device or a network are FaultyDevice's."),
    ("E887", "a fault that cannot be done to this program",
     "Dead cores and links need a program that is mapped on a chip; a layer has to be there, and to have what the fault is "
     "about. Nothing is left out silently: name another layer, or compile for a target or for another arithmetic."),
    ("E888", "a fault that this device cannot have",
     "Hardware runs a mapped program as it is, recorded answers are those of a sound network, and a test does not kill its own "
     "process. Inject it into a simulator."),
    ("E889", "a device that died on purpose",
     "The fault device_dies was injected, or a device that hangs on purpose was closed."),
    ("E890", "a sweep over faults that cannot be",
     "It needs a fault that has a rate, rates from 0, a seed at least, and an output that says the class: the message says "
     "which of them is wrong."),
    ("E891", "matplotlib is not installed",
     "It draws the picture; numbers and table come without it. pip install 'spikeport[hil]'."),
    ("E896", "a message that was damaged on the way",
     "Its check sum is not that of its bytes. It is sent again for as long as retry_s says; where that keeps happening, a "
     "cable, a bridge or a proxy between client and daemon spoils bytes. TLS (hilds://) notices it earlier."),
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

#: Every code by itself.
CODES: dict[str, Explanation] = {code: Explanation(code, title, text) for code, title, text in _TABLE}


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
