"""The nightly run: load, build, findings, metrics, manifest."""
