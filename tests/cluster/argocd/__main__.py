"""python -m tests.cluster.argocd build|up|down|status"""

from __future__ import annotations

import sys

from tests.cluster.argocd.system import ArgoCD
from tests.cluster.harness import addon
from tests.cluster.harness.layout import Layout

if __name__ == "__main__":
    sys.exit(addon.main(ArgoCD(Layout.from_environment())))
