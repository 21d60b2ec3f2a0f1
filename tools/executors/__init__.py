"""What may be done: the closed set of actions, and one executor for each."""
