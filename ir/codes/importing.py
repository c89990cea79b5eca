"""Codes E0xx: import of models."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
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
    ("E080", "your model function raised an error",
     "FILE.py:FUNCTION runs your own code, and it failed; the message has the exception and the line. Try it alone: "
     "python -c 'import FILE; FILE.FUNCTION()'."),
    ("E081", "your model function returned something else than a model",
     "FUNCTION takes no arguments and returns a torch module, (module, input shape) or a spikeport Graph."),
)  # fmt: skip
