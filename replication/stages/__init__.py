"""One module per kind of pipeline stage: it reads parameters, opens files, calls the rooms below, writes files."""
