"""The types that arguments of actions have in common: names, kinds, quantities, each with its syntax and bound.

Neighbours: `tools.executors.actions` and the families beside this module use them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tools.refs import DNS_NAME

Name = Annotated[str, Field(pattern=DNS_NAME, max_length=253)]
Namespace = Annotated[str, Field(pattern=DNS_NAME, max_length=63)]
RollingKind = Literal["Deployment", "StatefulSet", "DaemonSet"]
ScalableKind = Literal["Deployment", "StatefulSet"]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=20)]
ContainerName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
