"""What the wallet's two services, keyholder and identity authority, share at their HTTP edge."""
