"""Executors of other controllers against the real ones: Argo CD and KEDA beside the real cluster."""
