"""What can go wrong, as exceptions. The native module raises these too."""


class FerryError(Exception):
    """The base of every error of this package."""


class ConfigError(FerryError, ValueError):
    """A setting has a value that cannot be used.

    `name` is the setting as the table in `mcp_ferry.settings` calls it, `message` is one line for a
    person that says what to do. Neither ever holds a secret.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
