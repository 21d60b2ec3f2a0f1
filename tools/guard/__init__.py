"""Whether an action may happen, and the only door through which it can."""
