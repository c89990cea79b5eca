"""How long a 20-layer VGG of SpikingJelly takes to become a graph: convolution, norm and neuron, and average pools.

    python benchmarks/importing.py [REPEATS]

Prints the seconds of each import by the clock and by the processor, the first of the process apart; the bound to keep is 2 s.
"""

import itertools
import statistics
import sys
import time

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeport.compiler.importers.torch_module import from_torch

CHANNELS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0)  # 0: a pool
SIZES = (32, 224)


def build(size: int) -> nn.Sequential:
    """Return the network for images of *size*: 16 convolutions and 4 dense layers, step mode m."""
    layers: list[nn.Module] = []
    width = 3
    for channels in CHANNELS:
        if channels == 0:
            layers.append(layer.AvgPool2d(2))
            continue
        layers += [layer.Conv2d(width, channels, 3, padding=1, bias=False), layer.BatchNorm2d(channels), neuron.IFNode()]
        width = channels
    features = width * (size // 32) ** 2
    dense = (features, 4096, 4096, 1000, 10) if size > 32 else (features, 512, 512, 128, 10)
    layers.append(layer.Flatten())
    for given, wanted in itertools.pairwise(dense):
        layers += [layer.Linear(given, wanted), neuron.IFNode()]
    module = nn.Sequential(*layers).eval()
    functional.set_step_mode(module, "m")
    return module


def main() -> None:
    """Print the times."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.manual_seed(0)
    for size in SIZES:
        module = build(size)
        weights = sum(p.numel() for p in module.parameters())
        clock, processor = [], []
        for _ in range(repeats + 1):
            start, own = time.perf_counter(), time.process_time()
            graph = from_torch(module, (3, size, size))
            clock.append(time.perf_counter() - start)
            processor.append(time.process_time() - own)
        print(f"{size} x {size}: {weights:,} weights, {len(graph)} nodes")
        print(f"  first import      {clock[0]:6.2f} s, {processor[0]:6.2f} s of the processor")
        for name, values in (("by the clock", clock[1:]), ("of the processor", processor[1:])):
            print(f"  later, {name:17s} {statistics.median(values):6.2f} s ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
