"""Pictures of runs, one module a picture; `grinder.plot` is what they are reached by. Nothing here imports matplotlib at once."""
