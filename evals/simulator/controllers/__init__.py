"""What the controller manager and the scheduler do, in small."""
