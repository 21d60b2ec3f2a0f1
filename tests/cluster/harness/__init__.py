"""A real two-node Kubernetes on one Linux machine, built from Go modules; see `__main__` for its commands."""
