"""The checks of the guard, one pure function per file; their order is in `tools.guard.guard`."""
