"""The block that says where files are that a flow reads."""

from __future__ import annotations

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field, HttpUrl, SecretStr

from headworks.settings import FilesSettings


class FileLocation(Block):
    """Where files are: a folder, or a place in an object store with the credentials to reach it."""

    _block_type_name = "Headworks Files"
    _block_type_slug = "headworks-files"
    _description = "A folder or an object store that files are read from."
    _documentation_url = HttpUrl("https://github.com/headworks/headworks/blob/main/docs/files.md#set-it-up")
    _code_example = """
    ```python
    from headworks.prefect.blocks import FileLocation

    FileLocation(root="/srv/acme/incoming").save("example-files", overwrite=True)
    settings = FileLocation.load("example-files").to_settings()
    ```
    """

    root: str = Field(description="A local path, or a URI such as s3://bucket/folder.")
    storage_options: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        description="Options of the object store by delta-rs' names, such as AWS_ACCESS_KEY_ID; empty for a folder. "
        "The key needs to list and read below the root, and nothing else.",
    )

    def to_settings(self) -> FilesSettings:
        """Return the engine's settings."""
        options = {
            name: SecretStr(str(value)) for name, value in self.storage_options.get_secret_value().items()
        }
        return FilesSettings(root=self.root, storage_options=options)
