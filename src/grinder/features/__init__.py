"""Features: what a closed bar says of the market (SPEC 4). Floats live here only, and leave quantised."""
