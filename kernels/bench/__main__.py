"""`python -m catzoo.kernels.bench`."""

from catzoo.kernels.bench.command import main

raise SystemExit(main())
