"""Argo CD: what an Application says about itself, what may be asked of it, and the client that asks."""
