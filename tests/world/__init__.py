"""The bridge between real MCP servers and real MCP clients, each in an environment of its own."""
