"""Columns of the tables that kernels read: a row for each port (a node's output) and for each stage (a piece of work).

Offsets are into the pools: ``W`` (floats, read only), ``WI`` (int32, read only), and the workspace's ``F`` (floats),
``I`` (int32), ``U`` (uint64 masks) and ``L`` (int64 counters). -1 is "has none".
"""

# ---- ports
N = 0  # neurons
BLOCKS = 1  # 64-neuron blocks of a row
WORDS = 2  # U: masks of the spiking neurons, BLOCKS a row
VALUES = 3  # F: values, 64*BLOCKS a row
IDX = 4  # I: canonical index of each event, CAP a row, ascending
AMOUNT = 5  # F: value of each event; none: every value is 1
COUNT = 6  # I: events of each row
UNIT = 7  # I: whether all events of the row have the value 1; none: they have
CAP = 8  # room for the events of a row
PLACE = 9  # WI: canonical index of each packed position
CHANNEL = 10  # WI: channel of each packed position
CHANNELS = 11  # number of channels
ACTIVE = 12  # L: non-zero values by packed position (Input: canonical)
AMPLITUDE = 13  # W: value of a spike, 64*BLOCKS; none: 1
EMITTED = 14  # L: spikes of each row
SCRATCH = 15  # I: room to sort the events of a row
TRACE = 16  # F: membranes after the step, 64*BLOCKS a row
CURRENTS = 17  # F: synaptic currents after the step, 64*BLOCKS a row
PORT_COLUMNS = 18

# ---- stages
OP = 0
SOURCE = 1  # port
TARGET = 2  # port
DELAY = 3  # steps
SYNOPS = 4  # L: synaptic operations of each row
TALLY = 5  # L: one counter of the events that entered
FAN = 6  # WI: synapses that each presynaptic neuron meets; none: FAN_ALL
FAN_ALL = 7
A, B, C, D, E, G, H, J, K, M = range(8, 18)  # by kind of stage, see the kernels
STAGE_COLUMNS = 18

# ---- kinds of stages
(
    EVENTS_OF_WORDS, EVENTS_OF_VALUES, VALUES_OF_WORDS, COUNT_VALUES, DENSE, DENSE_NEURON, SPARSE, CONV, POOL, GATHER, NEURON,
    THRESHOLD, SCALE, LAG, COUNT_SPIKES, NARROW_DENSE,
) = range(16)  # fmt: skip

# ---- edges of GATHER
EDGE_COLUMNS = 3
EDGE_PORT, EDGE_DELAY, EDGE_ORDER = range(EDGE_COLUMNS)  # port, steps, WI: position in the source of each target position

# ---- a workspace's desk: where its memory and its tables lie (addresses), how many rows they have, and its sizes
(
    AT_F, AT_I, AT_U, AT_L, AT_W, AT_WI, AT_STAGES, AT_GROUPS, GROUPS, AT_PORTS, PORTS, AT_EDGES, AT_STATES, STATES, PITCH,
    LEAD, CHUNK, ROOM, BY_STEP, AT_SYNC,
) = range(20)  # fmt: skip
GROUP_COLUMNS = 3  # first stage, behind the last one, whether it is a loop
STATE_COLUMNS = 3  # F: state, W: state at the start, floats of a sample

HALT = 8  # where the sign to halt stands behind the counter at AT_SYNC: in a cache line of its own

# ---- inputs and views: addresses of arrays outside the workspace
AT_X, X_IS_BYTES, X_PORT = range(3)
INPUT_COLUMNS = 3
AT_OUT, OUT_KIND, OUT_PORT, FORM, BEHIND = range(5)
VIEW_COLUMNS = 5
AS_FLOATS, AS_COUNTS, AS_DOUBLES = range(3)  # kinds: as the kernels' floats, int32, float64
