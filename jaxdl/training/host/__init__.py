"""What the host does around a compiled run: checks, stretches and their bar, signals, checkpoints, logs."""
