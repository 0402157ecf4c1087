"""`python -m mcp_ferry` is `mcp-ferry`."""

from mcp_ferry.cli import main

if __name__ == "__main__":
    main()
