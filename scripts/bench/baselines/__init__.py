"""What a user would pick instead, each as small and as good as it can honestly be made."""
