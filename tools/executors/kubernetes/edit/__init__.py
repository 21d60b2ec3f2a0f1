"""Executors of the edit family: typed fields of a pod template or of a Service, for what has no last known good."""
