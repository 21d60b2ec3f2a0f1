"""Tests against a real Kubernetes: the harness that runs one, the scenarios, and the runner that plays them."""
