"""Verbs that change graphs and place them: importers, passes, mapping, the driver."""
