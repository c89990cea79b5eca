"""What lowerings to a chip's integers share: merging, retiming, calibration, and the table of what became of each number."""
