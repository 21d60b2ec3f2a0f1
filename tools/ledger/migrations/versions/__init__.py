"""One file a revision, forward only; file names carry the revision's number."""
