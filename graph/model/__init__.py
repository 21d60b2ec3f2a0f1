"""The model half of the reasoner: it reads evidence, investigates within bounds, and proposes; it never acts."""
