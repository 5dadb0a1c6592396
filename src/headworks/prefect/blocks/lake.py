"""The block that says where the lake is."""

from __future__ import annotations

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field, HttpUrl, SecretStr

from headworks.settings import LakeSettings


class LakeLocation(Block):
    """Where the lake is: a folder, or a place in an object store with the credentials to reach it."""

    _block_type_name = "Headworks Lake"
    _block_type_slug = "headworks-lake"
    _description = "Where the bronze, silver and gold tables are."
    _documentation_url = HttpUrl("https://github.com/headworks/headworks/blob/main/docs/deployment.md#blocks")
    _code_example = """
    ```python
    from headworks.prefect.blocks import LakeLocation

    LakeLocation(root="/srv/acme/lake").save("example-lake", overwrite=True)
    settings = LakeLocation.load("example-lake").to_settings()
    ```
    """

    root: str = Field(description="A local path, or a URI such as s3://bucket/lake.")
    storage_options: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        description="Options of the object store by delta-rs' names, such as AWS_ACCESS_KEY_ID; empty for a folder. "
        "The key needs to read, write, list and delete below the root, and nothing else.",
    )

    def to_settings(self) -> LakeSettings:
        """Return the engine's settings."""
        options = {
            name: SecretStr(str(value)) for name, value in self.storage_options.get_secret_value().items()
        }
        return LakeSettings(root=self.root, storage_options=options)
