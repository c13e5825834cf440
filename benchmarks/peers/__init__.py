"""One short program for each server that is measured; every one does the same work (see ``program``)."""
