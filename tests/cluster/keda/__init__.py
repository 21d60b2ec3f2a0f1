"""A real KEDA beside the real cluster: operator and metrics API server, built from their Go module."""
