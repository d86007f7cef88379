"""One load of any source: request, tasks, packages, record, retry, cancel. Names no source."""
