"""Executors of the actions that write Kubernetes objects."""
