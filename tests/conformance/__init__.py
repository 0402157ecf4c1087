"""The protocol's official conformance suite, with the bridge between its two sides."""
