"""Several boards measure for one: they join a Dask scheduler as workers, and a run hands them units.

board: what runs on a board. join, scheduler: the processes of both. security: who may be a member. members, placing, ship,
executor: the side of the run that asks. Nothing that measures knows of any of it.
"""
