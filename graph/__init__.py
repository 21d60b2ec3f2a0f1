"""The state machine: what is wrong, what to do about it, whether it worked.  Never a Kubernetes call, never SQL."""
