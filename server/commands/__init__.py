"""The commands of `selfheal`, one module per way of working; loaded only when one is run, so that help is fast."""
