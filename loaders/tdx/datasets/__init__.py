"""The datasets, one module for each `--dataset` and with its name."""
