"""What tests share: peers, processes, virtual time."""
