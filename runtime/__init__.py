"""Running, pricing, reporting, comparing, storing: what a user calls."""
