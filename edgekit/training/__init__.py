"""What the kit trains with: one loop, for the pocket models and for distillation."""
