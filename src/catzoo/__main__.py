"""`python -m catzoo`."""

from catzoo.zoo.cli.main import main

raise SystemExit(main())
