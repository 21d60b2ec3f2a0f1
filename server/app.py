"""The FastAPI application: routes behind the gate, and a lifespan that opens and closes the service.

Reading order: `create_app`, then `server.service.open_service`, then one route.  The generated documentation routes are
off: the gate would hide them, and a schema of everything is not what a stranger should find first.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from fastapi import FastAPI

from server.auth.gate import Gate
from server.auth.tokens import open_tokens
from server.logging import get_logger
from server.problem import install_handlers
from server.routes import byhand, events, heal, health, incidents, metrics
from server.service import Opener, open_service
from server.settings import Settings

_LOG = get_logger(__name__)


def create_app(settings: Settings, *, opener: Opener = open_service) -> FastAPI:
    """The application over these settings.  Nothing is opened before its lifespan begins.

    Raises `SettingsError` when nobody would be asked for a token and that was not said on purpose.
    """
    tokens = open_tokens(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with opener(settings) as service:
            app.state.service = service
            _LOG.info("service.open", address=settings.bind_address, port=settings.port, watch=settings.watch)
            yield

    app = FastAPI(title="selfheal", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    install_handlers(app)
    for routes in (health.router, metrics.router, heal.router, incidents.router, events.router, byhand.router):
        app.include_router(routes)
    app.add_middleware(Gate, tokens=tokens)
    return app
