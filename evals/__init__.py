"""What the service never needs at run time: the simulator, the scripted model, the demo, evaluations."""
