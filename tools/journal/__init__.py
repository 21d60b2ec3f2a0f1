"""What changed: revision history, exact differences, and the revisions that were seen healthy."""
