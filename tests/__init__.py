"""What a user sees, tried from outside."""
