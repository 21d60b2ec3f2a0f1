"""`GET /metrics` for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.metrics import CONTENT_TYPE
from server.service import service_of

router = APIRouter()


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """The application's own registry in the text format."""
    return Response(service_of(request).metrics.render(), media_type=CONTENT_TYPE)
