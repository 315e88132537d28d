"""Built-in policies, one module each. They are jitted and decide inside `act` (SPEC 12)."""
