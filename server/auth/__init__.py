"""Who may speak to the service, and the gate that asks."""
