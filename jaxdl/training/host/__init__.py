"""What the host does around a compiled run: checks, stretches, bar, signals, checkpoints, logs."""
