"""Models on disk that become versions ready to answer, and stop being so, without a gap."""
