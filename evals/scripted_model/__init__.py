"""A scripted model behind the OpenAI protocol, over a real socket: the test double of the reasoner, without a key."""
