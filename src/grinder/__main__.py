"""`python -m grinder`."""

from grinder.cli import main

raise SystemExit(main())
