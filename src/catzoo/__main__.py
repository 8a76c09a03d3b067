"""`python -m catzoo`."""

from catzoo.zoo.cli import main

raise SystemExit(main())
