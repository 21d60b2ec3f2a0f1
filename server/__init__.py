"""The service around the graph: HTTP, the watcher, dispatch, settings and the command line.  No business rules."""
