"""Claims on objects: how each kind of owner shows itself.  `tools.ownership` puts them together."""
