"""Codes E8xx: runs, and hardware in the loop."""

from __future__ import annotations

TABLE: tuple[tuple[str, str, str], ...] = (
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
    ("E895", "a fault that does not happen on the way",
     "The proxy between client and daemon does delay, drop, truncate, corrupt, duplicate, half_open and reset. Faults of a "
     "device or a network are FaultyDevice's."),
    ("E896", "a message that was damaged on the way",
     "Its check sum is not that of its bytes. It is sent again for as long as retry_s says; where that keeps happening, a "
     "cable, a bridge or a proxy between client and daemon spoils bytes. TLS (hilds://) notices it earlier."),
)  # fmt: skip
