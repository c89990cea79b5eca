"""A test session on devices: what it asks for, leases, runs, judges and reports. pytest's hooks are in `plugin`."""
