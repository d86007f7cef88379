"""One module for each name that `--dataset` takes."""
