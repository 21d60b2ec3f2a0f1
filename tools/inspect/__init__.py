"""Read-only investigation tools for one incident.  Nothing here can write."""
