"""What a person or an enterprise does: see who asks for what, grant, refuse, revoke, freeze, look back."""
