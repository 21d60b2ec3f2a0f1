"""What may be done to a cluster, and the only way to do it.  Never a decision about what should be done."""
