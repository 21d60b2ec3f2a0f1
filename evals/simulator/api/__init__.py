"""The Kubernetes API over HTTP: storage, semantics, and the protocol."""
