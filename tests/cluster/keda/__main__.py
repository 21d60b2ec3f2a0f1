"""python -m tests.cluster.keda build|up|down|status"""

from __future__ import annotations

import sys

from tests.cluster.harness import addon
from tests.cluster.harness.layout import Layout
from tests.cluster.keda.system import Keda

if __name__ == "__main__":
    sys.exit(addon.main(Keda(Layout.from_environment())))
