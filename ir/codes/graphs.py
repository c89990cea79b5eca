"""Codes E1xx, E2xx, E3xx: graphs: structure, shapes, semantics and execution profiles."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
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
)  # fmt: skip
