"""One room for each primitive of the kernel: its steps, and the reading of what they did. Rooms never import one another."""
