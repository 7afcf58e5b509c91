"""What a run measured as one archive: packed without a name of the machine, unpacked only where every byte is as it was."""
