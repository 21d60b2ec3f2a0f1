"""The service's settings where the environment must not count: what it says belongs to another cluster."""

from __future__ import annotations

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from server.settings import Settings


class GivenSettings(Settings):
    """Settings out of arguments alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, nothing else."""
        return (init_settings,)
