"""The futures servers: `harvest.py` puts questions to processes (`process.py`) of the program in `client/`, the
only one that knows tqsdk, and gives plain values (`answers.py`) back."""
