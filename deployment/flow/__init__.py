"""The course of a deployment: the state machine and its steps, from the lease to the bake or the rollback."""
