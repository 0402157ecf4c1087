"""What several tests share: processes, servers and proxies to test against."""
