"""Files beside the pages: their style and their script."""
