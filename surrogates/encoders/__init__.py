"""From what a scientist describes to bags of instances."""
