"""The only modules that know tqsdk: `tqsdk_client.py` is the program that runs it, `harvest.py` starts that
program and gives plain values back."""
